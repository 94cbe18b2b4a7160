"""`staplesrv reload`: have a running server read its configuration anew."""

from __future__ import annotations

from datetime import timedelta

import click

from staplesrv.errors import OperatorError
from staplesrv.ops import admin, text
from staplesrv.ops.admin_address import AdminAddress
from staplesrv.server.commands import admin_request, output
from staplesrv.server.commands.config_command import WRONG


@click.command("reload")
@admin_request.options(120)
@click.pass_context
def reload(ctx: click.Context, /, *, address: AdminAddress | None, config: str | None, timeout: timedelta) -> None:
    """Have a running server, at ADDRESS as for status, read its configuration anew, and wait until that is done.

    Exit status: 0 done, with a line that says what; 1 something can't be used, with a line for it, and what was served
    before goes on; 3 not reached or wrong usage.
    """
    where = admin_request.place_of(address, config)
    answer = admin_request.ask(where, "POST", "/reload", timeout)
    lines = answer.text.splitlines()
    if answer.status == admin.OK:
        output.lines(lines)
    elif answer.status in (admin.CONFLICT, admin.UNUSABLE, admin.BROKEN):
        for line in lines:
            click.echo(f"{ctx.command_path}: {text.plain(line)}", err=True)
        ctx.exit(WRONG)
    else:
        raise OperatorError(str(where), f"answers {answer.status}", "see what listens there")
