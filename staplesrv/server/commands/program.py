"""How the `staplesrv` command ends: one line on stderr and exit status 3 for whatever the caller got wrong.

click ends with 2 there, which for `check` means a critical finding and for `verify` a rejected response.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import click
from cryptography.utils import CryptographyDeprecationWarning

from staplesrv.errors import OperatorError

NOT_DONE = 3
"""Exit status when nothing could be judged: wrong usage, an unreadable file, a host out of reach."""


class Program(click.Group):
    """A group of commands whose errors are one line each, with an exit status that no verdict uses."""

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """Run a command and end the process; see `click.Command.main` for the arguments."""
        run: Callable[..., Any] = super().main  # click's overloads know of no caller like this one
        if not standalone_mode:
            return run(*args, standalone_mode=False, **options)
        try:
            with warnings.catch_warnings():
                # Odd old roots would each put a line on the terminal, which is no business of who asks.
                warnings.simplefilter("ignore", CryptographyDeprecationWarning)
                status = run(*args, standalone_mode=False, **options)
        except (click.ClickException, click.Abort, OperatorError) as error:
            _report(error)
            sys.exit(NOT_DONE)
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command itself."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # `staplesrv check HOST | head -1`: the reader has gone. Click itself would end with 1.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(NOT_DONE)


def _report(error: click.ClickException | click.Abort | OperatorError) -> None:
    """Say on stderr what went wrong: one line, but for the help that a bare `staplesrv` gets."""
    context = getattr(error, "ctx", None)
    name = context.command_path if context is not None else "staplesrv"
    if isinstance(error, click.Abort):
        click.echo(f"{name}: stopped", err=True)
    elif isinstance(error, OperatorError):
        click.echo(f"{name}: {error}", err=True)
    elif type(error).__name__ == "NoArgsIsHelpError":  # click 8.2 and later
        error.show()
    else:
        message = " ".join(error.format_message().split()).removesuffix(".")
        hint = f"; see '{name} --help'" if isinstance(error, click.UsageError) else ""
        click.echo(f"{name}: {message}{hint}", err=True)
