"""Verify an OCSP response: what it says about one certificate, or the reason why it is not to be believed.

A response is judged by RFC 6960 §3.2 and §4.2.2, check by check in the order of `RejectReason`. Only what comes out as
a `Staple` may be shown to a client.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509 import ocsp

from staplesrv.ocsp.asn1 import BASIC_RESPONSE, ENUMERATED, NONCE, BasicResponse, Extension, Response
from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.rejection import RejectReason, ResponseRejected
from staplesrv.ocsp.signer import SignerSearch
from staplesrv.ocsp.single import Single, matching, worst
from staplesrv.ocsp.text import moment, one_line, subject
from staplesrv.ocsp.verified import Revoked, Staple, Unknown, VerifiedResponse, cut_off

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

CLOCK_SKEW: Final = timedelta(seconds=300)
"""How far ahead of our clock a responder's may be."""


SUCCESSFUL: Final = b"\x00"
ERROR_STATUSES: Final = {
    b"\x01": RejectReason.MALFORMED_REQUEST,
    b"\x02": RejectReason.INTERNAL_ERROR,
    b"\x03": RejectReason.TRY_LATER,
    b"\x05": RejectReason.SIG_REQUIRED,
    b"\x06": RejectReason.UNAUTHORIZED,
}
"""OCSPResponseStatus, RFC 6960 §4.2.1."""

KNOWN_RESPONSE_EXTENSIONS: Final = frozenset({NONCE})
"""What may be critical in a response."""

KNOWN_SINGLE_EXTENSIONS: Final = frozenset(
    {
        x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.3"),  # CRL references, RFC 6960 §4.4.2
        x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.6"),  # archive cutoff, RFC 6960 §4.4.4
        x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.5"),  # certificate timestamps, RFC 6962 §3.3
        x509.ObjectIdentifier("2.5.29.21"),  # CRL reason, RFC 6960 §4.4.5
        x509.ObjectIdentifier("2.5.29.24"),  # invalidity date, the same
    }
)
"""What may be critical in a single response: none of it changes what the response means for stapling."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator may decide about verification.

    Args:
        allow_sha1: Whether signatures over SHA-1 count.
        missing_next_update: How long a response without nextUpdate is good for; None refuses it.
        max_response: Bytes of a response; more is refused.
    """

    allow_sha1: bool = False
    missing_next_update: timedelta | None = None
    max_response: int = MAX_RESPONSE


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
    response, basic = _load(response_der)
    singles = worst(matching(response, target))
    signer = SignerSearch(response, basic, target.issuer, now, rules.allow_sha1).find()
    name = subject(signer)
    window = _window(singles, signer, target, now, rules)
    _check_extensions(basic, name)
    _check_nonce(basic, nonce, name)
    return _result(response_der, singles[0], window, response.produced_at_utc, name)


def _load(response_der: bytes) -> tuple[ocsp.OCSPResponse, BasicResponse]:
    try:
        shell = asn1.decode_der(Response, response_der)
    except ValueError as error:
        raise _malformed(error) from error
    status = bytes(shell.status.data) if shell.status.tag_bytes == ENUMERATED else b""
    # RFC 6960 §4.2.1: without success there are no bytes; whatever is there has nothing to say.
    if status in ERROR_STATUSES:
        raise ResponseRejected(ERROR_STATUSES[status], "the responder's answer is this error")
    if shell.response is None or status != SUCCESSFUL:
        raise ResponseRejected(RejectReason.MALFORMED, f"response status {status.hex()!r} with no response")
    if shell.response.kind != BASIC_RESPONSE:
        detail = f"a response of type {shell.response.kind.dotted_string}"
        raise ResponseRejected(RejectReason.NOT_BASIC, detail)
    try:
        basic = asn1.decode_der(BasicResponse, shell.response.response)
        response = ocsp.load_der_ocsp_response(response_der)
        _ = response.produced_at_utc
    except ValueError as error:
        raise _malformed(error) from error
    if basic.data.version != 0:
        raise ResponseRejected(RejectReason.MALFORMED, f"version {basic.data.version + 1} of the response syntax")
    return response, basic


def _malformed(error: ValueError) -> ResponseRejected:
    return ResponseRejected(RejectReason.MALFORMED, one_line(str(error)) or "not a DER-encoded OCSP response")


@dataclass(frozen=True, slots=True)
class _Window:
    """From when to when all that was said holds."""

    this_update: datetime
    next_update: datetime | None
    expires: datetime


def _window(
    singles: Sequence[Single], signer: x509.Certificate, target: Target, now: datetime, rules: Rules
) -> _Window:
    name = subject(signer)
    # A client may pick any of several that match, so all of them must hold: from the latest start to the earliest end.
    start = max(single.this_update for single in singles)
    # RFC 6960 §4.2.2.1: thisUpdate later than our time is not reliable. A difference, as a sum may pass year 9999.
    if start - now > CLOCK_SKEW:
        detail = f"thisUpdate {moment(start)} of {name} is ahead of our clock, {moment(now)}"
        raise ResponseRejected(RejectReason.FUTURE, detail)
    end = _end(singles, start, name, rules)
    ends = [end, signer.not_valid_after_utc]
    if target.leaf is not None:
        ends.append(target.leaf.not_valid_after_utc)
    expires = min(ends)
    if expires <= start or cut_off(start, expires) <= now:
        detail = f"the response of {name} from {moment(start)} ends at {moment(expires)}"
        raise ResponseRejected(RejectReason.STALE, detail)
    said = [single.next_update for single in singles if single.next_update is not None]
    return _Window(start, min(said, default=None), expires)


def _end(singles: Sequence[Single], start: datetime, name: str, rules: Rules) -> datetime:
    ends = []
    for single in singles:
        end = single.ends(rules.missing_next_update)
        if end is None:
            raise ResponseRejected(RejectReason.NO_NEXT_UPDATE, f"{name} set no nextUpdate")
        ends.append(end)
    end = min(ends)
    if end <= start:
        detail = f"nextUpdate {moment(end)} of {name} is not after thisUpdate {moment(start)}"
        raise ResponseRejected(RejectReason.INVERTED_TIMES, detail)
    return end


def _result(der: bytes, single: Single, window: _Window, produced_at: datetime, signer: str) -> VerifiedResponse:
    common = (der, window.this_update, window.next_update, produced_at, window.expires, signer, single.cert_id)
    if single.status is ocsp.OCSPCertStatus.GOOD:
        return Staple(*common)
    if single.status is ocsp.OCSPCertStatus.UNKNOWN or single.revoked_at is None:
        return Unknown(*common)
    return Revoked(*common, single.revoked_at, single.revocation_reason)


def _check_extensions(basic: BasicResponse, signer: str) -> None:
    _check_critical(basic.data.extensions, KNOWN_RESPONSE_EXTENSIONS, signer)
    for single in basic.data.responses:
        _check_critical(single.extensions, KNOWN_SINGLE_EXTENSIONS, signer)


def _check_critical(extensions: list[Extension] | None, known: Collection[x509.ObjectIdentifier], signer: str) -> None:
    for extension in extensions or ():
        # RFC 6960 §4.4: critical extensions that are not understood must not be passed over.
        if extension.critical and extension.oid not in known:
            detail = f"{extension.oid.dotted_string}, from {signer}"
            raise ResponseRejected(RejectReason.CRITICAL_EXTENSION, detail)


def _check_nonce(basic: BasicResponse, nonce: bytes | None, signer: str) -> None:
    if nonce is None:
        return
    for extension in basic.data.extensions or ():
        # RFC 9654 §2.1: an OCTET STRING; RFC 2560 had the bytes alone.
        if extension.oid == NONCE and extension.value not in (nonce, asn1.encode_der(nonce)):
            raise ResponseRejected(RejectReason.NONCE_MISMATCH, f"{signer} answered another request")
