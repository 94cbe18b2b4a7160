"""`staplesrv verify`: judge a response file with the code that judges what the server staples."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import click
from cryptography import x509

from staplesrv import sources
from staplesrv.errors import NotIssuedBy
from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.response import ResponseRejected, verify_response
from staplesrv.ops import text
from staplesrv.server.commands import input_file, judgement, output
from staplesrv.server.commands.option_value import parse_moment, parse_serial, parsed, rules, rules_options
from staplesrv.staples import armour
from staplesrv.staples.issuer import find_target

EXIT_STATUS: Final = {"good": 0, "revoked": 1, "unknown": 1, "rejected": 2}

NOT_ISSUED_BY: Final = "not-issued-by"
"""The reason of a rejection before the response was looked at: the question itself makes no sense."""


@click.command("verify")
@click.argument("response")
@click.option("--certificate", metavar="LEAF", help="The certificate that the response is about.")
@click.option("--serial", callback=parsed(parse_serial), metavar="HEX", help="Its serial number, in its place.")
@click.option("--issuer", required=True, metavar="ISSUER", help="The certificate of the CA that issued it.")
@click.option("--at", callback=parsed(parse_moment), metavar="ISO-TIME", help="Judge as of then; UTC without a zone.")
@rules_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_context
def verify(
    ctx: click.Context,
    /,
    *,
    response: str,
    certificate: str | None,
    serial: int | None,
    issuer: str,
    at: datetime | None,
    as_json: bool,
    **loosened: Any,
) -> None:
    """Judge the OCSP response in the file RESPONSE, just as the server does; - reads the standard input.

    Every file may be DER or PEM. Of several certificates in LEAF the first is meant, of several in ISSUER the first
    that issued it, so that fullchain.pem serves as both.

    The first line is good, revoked, unknown or "rejected: REASON". Exit status: 0 good, 1 revoked or unknown,
    2 rejected, 3 if a file or an option can't be read.
    """
    if (certificate is None) == (serial is None):
        raise click.UsageError("give one of --certificate and --serial")
    leaf = None if certificate is None else input_file.read(certificate, armour.certificates)[0]
    issuers = input_file.read(issuer, armour.certificates)
    response_der = input_file.read(response, armour.response_der, stdin=True)
    now = at or sources.utc(sources.wall_clock())
    try:
        target = _target(leaf, serial, issuers)
        said = judgement.verified(verify_response(response_der, target, now=now, rules=rules(**loosened)))
    except NotIssuedBy as error:
        said = judgement.rejected(NOT_ISSUED_BY, str(error))
    except ResponseRejected as error:
        said = judgement.rejected(error.reason, error.detail)
    if as_json:
        output.json_object({**said, "judged_at": now})
    else:
        rows = [*judgement.rows(said, now), ("judged at", text.moment(now))]
        output.lines([judgement.headline(said), *text.columns(rows)])
    ctx.exit(EXIT_STATUS[said["verdict"]])


def _target(leaf: x509.Certificate | None, serial: int | None, issuers: list[x509.Certificate]) -> Target:
    """Make the question out of the certificates that were given.

    Raises:
        NotIssuedBy: none of `issuers` issued `leaf`.
    """
    if leaf is None:
        return Target.for_serial(serial or 0, issuers[0])
    # The first candidate once more, for its error: it names what the operator took for the issuer.
    return find_target(leaf, issuers) or Target.for_leaf(leaf, issuers[0])
