"""`staplesrv check`: look at any server's staple from outside."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from staplesrv import sources
from staplesrv.ops.address import Address, host_name
from staplesrv.ops.check import judge
from staplesrv.ops.probe import Question, observe
from staplesrv.ops.trust import Trust
from staplesrv.server.commands import check_output, input_file, output, system_store
from staplesrv.server.commands.option_value import parse_timeout, parsed, rules, rules_options
from staplesrv.staples import armour

_TIMEOUT = "How long one connection may take; 10 unless given."


@click.command("check")
@click.argument("address", metavar="HOST[:PORT]", callback=parsed(Address.parse))
@click.option("--servername", metavar="NAME", callback=parsed(host_name), help="Ask for this name instead of HOST.")
@click.option("--ca-file", metavar="FILE", help="Trust these certificates alone, and insist on it.")
@click.option("--timeout", metavar="SECONDS", callback=parsed(parse_timeout), default="10", help=_TIMEOUT)
@rules_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_context
def check(
    ctx: click.Context,
    /,
    *,
    address: Address,
    servername: str | None,
    ca_file: str | None,
    timeout: timedelta,
    as_json: bool,
    **loosened: Any,
) -> None:
    """Connect to a server and judge what it staples, with TLS 1.3 and with TLS 1.2.

    PORT is 443 unless given; IPv6 addresses stand in brackets. Without --ca-file the system's certificates are used,
    and a chain that does not lead to them is noted, no more: it is the staple that is looked at.

    Exit status: 0 well, 1 no staple where one was to be had or under a quarter of its life left, 2 expired, revoked or
    not to be believed, or none on a must-staple certificate, 3 not reached or wrong usage.
    """
    anchors = tuple(input_file.read(ca_file, armour.certificates)) if ca_file else system_store.anchors()
    host = servername or address.host
    observations = observe(Question(address, host, anchors, timeout))
    now = sources.utc(sources.wall_clock())
    trust = Trust(anchors, required=ca_file is not None)
    report = judge(observations, now, host=host, trust=trust, rules=rules(**loosened))
    if as_json:
        asked = {"host": address.host, "port": address.port, "server_name": host}
        output.json_object({**asked, **check_output.json_object(report)})
    else:
        output.lines(check_output.lines(report, str(address)))
    ctx.exit(report.verdict.exit_status)
