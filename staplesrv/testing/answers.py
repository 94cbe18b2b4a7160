"""What a responder says: for each behaviour the bytes of its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from cryptography import x509

from staplesrv.ocsp.certid import CertID
from staplesrv.testing.authority import CertificateAuthority
from staplesrv.testing.behaviour import Behaviour
from staplesrv.testing.response import CRITICAL_UNKNOWN, HashName, make_error, wrap

HUGE: Final = 128 * 1024
"""Bytes that make an answer too large."""

GARBAGE: Final = b"<html><title>Sign in to the network</title></html>"
"""What a captive portal says instead."""

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_PADDING_OID: Final = x509.ObjectIdentifier("1.3.6.1.4.1.99999.2")

Changes: TypeAlias = Mapping[str, Any]
"""The arguments of `CertificateAuthority.respond` that make an answer what it is."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, and of whom.

    Args:
        authority: The CA that answers.
        cert_id: The certificate asked about.
        nonce: The nonce to send back, if any.
        lifetime: nextUpdate minus thisUpdate.
    """

    authority: CertificateAuthority
    cert_id: CertID
    nonce: bytes | None = None
    lifetime: timedelta = timedelta(days=7)

    @property
    def now(self) -> datetime:
        """What time it is for the CA."""
        return self.authority.now()


def answer(behaviour: Behaviour, question: Question) -> bytes:
    """Make the answer of a behaviour; one that only concerns the way there is answered well.

    Args:
        behaviour: The behaviour.
        question: What was asked.

    Returns:
        The response DER, or what stands in its place.
    """
    if behaviour in _BODIES:
        return _BODIES[behaviour](question)
    changes = _CHANGES[behaviour](question) if behaviour in _CHANGES else {}
    defaults = {"next_update": question.lifetime, "nonce": question.nonce}
    return question.authority.respond(question.cert_id, **(defaults | dict(changes)))


def _other_hash(question: Question) -> Changes:
    other: HashName = "sha256" if question.cert_id.hash_name == "sha1" else "sha1"
    serial_number = question.cert_id.serial_number
    return {"singles": [question.authority.single(serial_number, next_update=question.lifetime, hash_name=other)]}


def _next_serial(question: Question) -> Changes:
    other = question.authority.single(question.cert_id.serial_number + 1, next_update=question.lifetime)
    return {"singles": [other]}


def _two_singles(question: Question) -> Changes:
    serials = (question.cert_id.serial_number + 1, question.cert_id)
    return {"singles": [question.authority.single(serial, next_update=question.lifetime) for serial in serials]}


def _good_and_revoked(question: Question) -> Changes:
    revoked = question.authority.single(question.cert_id, "revoked", next_update=question.lifetime)
    return {"also": [revoked]}


def _nearly_expired(question: Question) -> Changes:
    # The cut-off is E - min(300 s, 5 % of V): half of that is left.
    left = min(timedelta(seconds=150), question.lifetime / 40)
    return {"this_update": question.now - question.lifetime + left}


def _wrong_nonce(question: Question) -> Changes:
    return {"nonce": bytes(byte ^ 0xFF for byte in question.nonce or bytes(32))}


def _foreign(question: Question, name: str) -> Changes:
    return {"signer": CertificateAuthority(name, now=question.now).delegate()}


_CHANGES: Final[Mapping[Behaviour, Callable[[Question], Changes]]] = {
    Behaviour.DELEGATED: lambda q: {"signer": q.authority.delegate()},
    Behaviour.BY_KEY_HASH: lambda _: {"responder_id": "key"},
    Behaviour.PSS: lambda q: {"signer": q.authority.delegate(key="rsa"), "signature": "pss"},
    Behaviour.OTHER_HASH: _other_hash,
    Behaviour.TWO_SINGLES: _two_singles,
    Behaviour.REVOKED: lambda _: {"status": "revoked", "revocation_reason": "key_compromise"},
    Behaviour.UNKNOWN: lambda _: {"status": "unknown"},
    Behaviour.GOOD_AND_REVOKED: _good_and_revoked,
    Behaviour.TRAILING_BYTES: lambda _: {"trailing": b"\x00"},
    Behaviour.HUGE: lambda _: {"extensions": [_padding(HUGE)]},
    Behaviour.WRONG_CERT_ID: _next_serial,
    Behaviour.NO_SINGLES: lambda _: {"singles": []},
    Behaviour.NO_NEXT_UPDATE: lambda _: {"next_update": None},
    Behaviour.FUTURE: lambda q: {"this_update": q.now + _HOUR},
    Behaviour.EXPIRED: lambda q: {"this_update": q.now - q.lifetime - _HOUR},
    Behaviour.NEARLY_EXPIRED: _nearly_expired,
    Behaviour.BACKWARDS: lambda _: {"next_update": -_HOUR},
    Behaviour.CRITICAL_EXTENSION: lambda _: {"extensions": [CRITICAL_UNKNOWN]},
    Behaviour.CRITICAL_SINGLE_EXTENSION: lambda _: {"single_extensions": [CRITICAL_UNKNOWN]},
    Behaviour.WRONG_NONCE: _wrong_nonce,
    Behaviour.SIGNER_WITHOUT_EKU: lambda q: {"signer": q.authority.delegate(eku=False)},
    Behaviour.SIGNER_WITHOUT_DIGITAL_SIGNATURE: lambda q: {"signer": q.authority.delegate(digital_signature=False)},
    Behaviour.EXPIRED_SIGNER: lambda q: {
        "signer": q.authority.delegate(not_before=q.now - 30 * _DAY, not_after=q.now - _HOUR)
    },
    Behaviour.FUTURE_SIGNER: lambda q: {"signer": q.authority.delegate(not_before=q.now + _HOUR)},
    Behaviour.FOREIGN_SIGNER: lambda q: _foreign(q, "foreign CA"),
    Behaviour.IMPOSTOR: lambda q: _foreign(q, q.authority.name),
    Behaviour.SIGNER_NOT_SENT: lambda q: {"signer": q.authority.delegate(), "certificates": ()},
    Behaviour.WRONG_RESPONDER_ID: lambda q: {"responder": q.authority.delegate("somebody else").certificate},
    Behaviour.BAD_SIGNATURE: lambda _: {"corrupt_signature": True},
    Behaviour.SHA1_SIGNATURE: lambda _: {"signature": "sha1"},
}

_BODIES: Final[Mapping[Behaviour, Callable[[Question], bytes]]] = {
    Behaviour.MALFORMED_REQUEST: lambda _: make_error("malformed-request"),
    Behaviour.INTERNAL_ERROR: lambda _: make_error("internal-error"),
    Behaviour.TRY_LATER: lambda _: make_error("try-later"),
    Behaviour.SIG_REQUIRED: lambda _: make_error("sig-required"),
    Behaviour.UNAUTHORIZED: lambda _: make_error("unauthorized"),
    Behaviour.GARBAGE: lambda _: GARBAGE,
    Behaviour.EMPTY: lambda _: b"",
    Behaviour.NOT_BASIC: lambda _: wrap(b"\x05\x00", _PADDING_OID),
}


def _padding(size: int) -> x509.Extension[x509.ExtensionType]:
    value = x509.UnrecognizedExtension(_PADDING_OID, bytes(size))
    return x509.Extension(_PADDING_OID, critical=False, value=value)
