"""Verify an OCSP response: what it says about one certificate, or the reason why it is not to be believed.

A response is judged by RFC 6960 §3.2 and §4.2.2, check by check in the order of `RejectReason`. Only what comes out as
a `Staple` may be shown to a client.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.x509 import ocsp

from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.envelope import parse_response
from staplesrv.ocsp.extension import check_critical, check_nonce
from staplesrv.ocsp.rejection import RejectReason, ResponseRejected
from staplesrv.ocsp.signer import SignerSearch
from staplesrv.ocsp.single import matching, worst
from staplesrv.ocsp.text import name_text
from staplesrv.ocsp.verified import Revoked, Staple, Unknown, VerifiedResponse
from staplesrv.ocsp.window import WindowCheck

__all__ = [
    "MAX_RESPONSE",
    "RejectReason",
    "ResponseRejected",
    "Revoked",
    "Rules",
    "Staple",
    "Unknown",
    "VerifiedResponse",
    "verify_response",
]

MAX_RESPONSE: Final = 64 * 1024
"""Bytes of a response, unless the rules say otherwise."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator may decide about verification.

    Args:
        allow_sha1: Whether signatures over SHA-1 count.
        missing_next_update: How long a response without nextUpdate is good for; None refuses it.
        max_response: Bytes of a response; more is refused.

    Raises:
        ValueError: `missing_next_update` is not above zero.
    """

    allow_sha1: bool = False
    missing_next_update: timedelta | None = None
    max_response: int = MAX_RESPONSE

    def __post_init__(self) -> None:
        if self.missing_next_update is not None and self.missing_next_update <= timedelta(0):
            raise ValueError("missing_next_update is above zero")


DEFAULT_RULES: Final = Rules()


def verify_response(
    response_der: bytes, target: Target, *, now: datetime, rules: Rules = DEFAULT_RULES, nonce: bytes | None = None
) -> VerifiedResponse:
    """Judge what a responder said about one certificate.

    Args:
        response_der: The whole response, DER.
        target: The certificate that was asked about, with its issuer.
        now: The time, aware.
        rules: What the operator decided.
        nonce: The nonce of the request; None where there was none.

    Returns:
        A `Staple`, `Revoked` or `Unknown`, each before its cut-off.

    Raises:
        ResponseRejected: it did not pass a check; nothing else is ever raised for what is in the bytes.
    """
    if len(response_der) > rules.max_response:
        raise ResponseRejected(RejectReason.TOO_LARGE, f"{len(response_der)} bytes, the limit is {rules.max_response}")
    response, basic = parse_response(response_der)
    singles = worst(matching(response, target))
    signer = SignerSearch(response, basic, target.issuer, now, rules.allow_sha1).find()
    name = name_text(signer)
    window = WindowCheck(now, rules.missing_next_update, name).window(singles, signer, target.leaf)
    check_critical(basic, name)
    check_nonce(basic, nonce, name)
    single = singles[0]
    common = (
        response_der,
        window.this_update,
        window.next_update,
        response.produced_at_utc,
        window.expires,
        name,
        single.cert_id,
    )
    if single.status is ocsp.OCSPCertStatus.GOOD:
        return Staple(*common)
    if single.revoked_at is None:
        return Unknown(*common)
    return Revoked(*common, single.revoked_at, single.revocation_reason)
