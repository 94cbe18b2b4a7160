from __future__ import annotations

import errno
import os
import subprocess
import sys
import warnings

import click
import pytest
from click.testing import CliRunner
from cryptography.utils import CryptographyDeprecationWarning

from staplesrv.errors import OperatorError
from staplesrv.server.cli import main
from staplesrv.server.commands.program import NOT_DONE, Program


@click.group(cls=Program)
def program() -> None:
    """Test commands."""


@program.command()
@click.option("--number", type=int)
@click.pass_context
def end(ctx: click.Context, number: int | None) -> None:
    """End with a status."""
    ctx.exit(number or 0)


@program.command()
@click.argument("how")
def fail(how: str) -> None:
    """Raise something."""
    warnings.warn("an odd root", CryptographyDeprecationWarning, stacklevel=1)
    errors = {
        "operator": OperatorError("file", "is odd", "even it out"),
        "abort": click.Abort(),
        "interrupt": KeyboardInterrupt(),
        "disk": OSError(errno.EIO, "broken"),
    }
    raise errors[how]


@pytest.mark.parametrize("status", [0, 1, 2, 3])
def test_a_command_ends_with_the_status_it_chose(status: int) -> None:
    """And prints nothing for it."""
    result = CliRunner().invoke(program, ["end", "--number", str(status)])
    assert (result.exit_code, result.output) == (status, "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nothing"], "program: No such command 'nothing'; see 'program --help'"),
        (["end", "--numbr=1"], "program end: No such option"),
        (["end", "--number", "x"], "program end: Invalid value for '--number': 'x' is not a valid integer; see"),
        (["end", "more"], "program end: Got unexpected extra argument (more); see 'program end --help'"),
        (["fail"], "program fail: Missing argument 'HOW'; see 'program fail --help'"),
        (["fail", "operator"], "staplesrv: file: is odd; even it out"),
        (["fail", "abort"], "staplesrv: stopped"),
        (["fail", "interrupt"], "staplesrv: stopped"),
    ],
)
def test_wrong_use_is_one_line_on_stderr_and_status_3(arguments: list[str], line: str) -> None:
    """Click's own 2 would be a verdict."""
    result = CliRunner().invoke(program, arguments)
    assert result.exit_code == NOT_DONE
    assert result.stdout == ""
    assert result.stderr.strip().startswith(line)
    assert len(result.stderr.strip().splitlines()) == 1


def test_without_a_command_there_is_help_and_status_3() -> None:
    """Nothing was judged."""
    result = CliRunner().invoke(program, [])
    assert "Commands:" in result.output
    assert result.exit_code in {0, NOT_DONE}  # 0 in click before 8.2


def test_a_reader_that_has_gone_is_no_verdict() -> None:
    """`| head -1` ends before everything is written."""
    code = "from staplesrv.server.cli import main; main(['check', '127.0.0.1:1'])"
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(writing)
    assert ended.returncode == NOT_DONE
    assert ended.stderr == b""


def test_an_error_of_ours_keeps_its_traceback() -> None:
    """A bug is not the caller's fault."""
    with pytest.raises(OSError, match="broken"):
        CliRunner().invoke(program, ["fail", "disk"], catch_exceptions=False)


def test_embedded_use_gets_the_exceptions() -> None:
    """As with any click command."""
    with pytest.raises(click.UsageError):
        program.main(["nothing"], standalone_mode=False)
    assert program.main(["end", "--number", "2"], standalone_mode=False) == 2


def test_the_command_says_its_version_and_its_commands() -> None:
    """Both are there."""
    assert CliRunner().invoke(main, ["--version"]).stdout.startswith("staplesrv, version ")
    shown = CliRunner().invoke(main, ["--help"]).stdout
    assert "check" in shown
    assert "verify" in shown
