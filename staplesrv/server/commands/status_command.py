"""`staplesrv status`: ask a running server how it is."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import click

from staplesrv import sources
from staplesrv.errors import OperatorError
from staplesrv.ops.admin_address import AdminAddress
from staplesrv.ops.report import Verdict
from staplesrv.server.commands import admin_request, output, status_output


@click.command("status")
@admin_request.options(10)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_context
def status(
    ctx: click.Context, /, *, address: AdminAddress | None, config: str | None, timeout: timedelta, as_json: bool
) -> None:
    """Ask a running server how it is, at ADDRESS: unix:/run/staplesrv.sock, 127.0.0.1:9443 or tcp:9443.

    Exit status: 0 well, 1 something needs a look, 2 a certificate must be stapled and is not, or nobody is served,
    3 not reached or wrong usage.
    """
    where = admin_request.place_of(address, config)
    answer = admin_request.ask(where, "GET", "/status", timeout)
    try:
        found: dict[str, Any] = json.loads(answer.text)
        verdict = Verdict(found["verdict"])
        shown = status_output.lines(found, str(where), sources.utc(sources.wall_clock()))
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise OperatorError(str(where), "is no staplesrv of this version", "see what listens there") from error
    if as_json:
        output.json_object(found)
    else:
        output.lines(shown)
    ctx.exit(verdict.exit_status)
