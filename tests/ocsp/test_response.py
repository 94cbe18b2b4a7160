"""What a sound response becomes, and what is no response at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from staplesrv.errors import ResponderError, StaplesrvError
from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.hashing import HASHES
from staplesrv.ocsp.response import (
    MAX_RESPONSE,
    RejectReason,
    ResponseRejected,
    Revoked,
    Rules,
    Staple,
    Unknown,
    VerifiedResponse,
)
from staplesrv.testing import CertificateAuthority, Leaf, make_error
from staplesrv.testing.response import wrap

Judge = Callable[..., VerifiedResponse]
Refuse = Callable[..., ResponseRejected]

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def test_a_good_response_is_a_staple(
    ca: CertificateAuthority, leaf: Leaf, target: Target, judge: Judge, now: datetime
) -> None:
    """It carries the very bytes, the times, the signer and the CertID."""
    response_der = ca.respond(leaf, this_update=now - DAY, produced_at=now - SECOND)
    staple = judge(response_der)
    assert type(staple) is Staple
    assert staple.status == "good"
    assert staple.response_der is response_der
    assert staple.this_update == now - DAY
    assert staple.next_update == staple.expires == now + 6 * DAY
    assert staple.produced_at == now - SECOND
    assert staple.lifetime == 7 * DAY
    assert staple.cut_off == staple.expires - timedelta(seconds=300)
    assert staple.signer == "CN=Test CA"
    assert staple.cert_id == target.cert_id("sha1")


def test_a_response_of_cryptography_is_a_staple(
    ca: CertificateAuthority, leaf: Leaf, judge: Judge, now: datetime
) -> None:
    """What another encoder makes is read the same way."""
    response = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            leaf.certificate, ca.certificate, HASHES["sha256"], ocsp.OCSPCertStatus.GOOD, now, now + DAY, None, None
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, ca.certificate)
        .sign(ca.key, hashes.SHA384())
    )
    assert judge(response.public_bytes(Encoding.DER)).status == "good"


@pytest.mark.parametrize("reason", [None, "key_compromise", "remove_from_crl", "unspecified"])
def test_a_revoked_response_says_since_when_and_why(
    reason: str | None, ca: CertificateAuthority, leaf: Leaf, judge: Judge, now: datetime
) -> None:
    """It is verified in full, and is no staple."""
    verdict = judge(ca.respond(leaf, "revoked", revoked_at=now - 3 * DAY, revocation_reason=reason))
    assert isinstance(verdict, Revoked)
    assert not isinstance(verdict, Staple)
    assert verdict.status == "revoked"
    assert verdict.revoked_at == now - 3 * DAY
    assert verdict.revocation_reason == reason


def test_an_unknown_response_is_a_value_too(ca: CertificateAuthority, leaf: Leaf, judge: Judge) -> None:
    """It is verified in full, and is no staple."""
    verdict = judge(ca.respond(leaf, "unknown"))
    assert type(verdict) is Unknown
    assert verdict.status == "unknown"


@pytest.mark.parametrize("status", ["revoked", "unknown"])
def test_a_verdict_is_believed_only_with_a_signature(
    status: str, ca: CertificateAuthority, leaf: Leaf, refuse: Refuse
) -> None:
    """Nobody takes a site down with an unsigned "revoked"."""
    forged = ca.respond(leaf, status, corrupt_signature=True)  # type: ignore[arg-type]
    assert refuse(forged).reason is RejectReason.BAD_SIGNATURE


def test_without_a_leaf_the_response_alone_decides(ca: CertificateAuthority, leaf: Leaf, judge: Judge) -> None:
    """A serial number is enough to ask about."""
    target = Target.for_serial(leaf.certificate.serial_number, ca.certificate)
    assert judge(ca.respond(leaf), target=target).status == "good"


def test_a_serial_number_below_zero_can_be_asked_about(ca: CertificateAuthority, judge: Judge) -> None:
    """Certificates that break the standard get their answers all the same."""
    assert judge(ca.respond(-5), target=Target.for_serial(-5, ca.certificate)).status == "good"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("malformed-request", RejectReason.MALFORMED_REQUEST),
        ("internal-error", RejectReason.INTERNAL_ERROR),
        ("try-later", RejectReason.TRY_LATER),
        ("sig-required", RejectReason.SIG_REQUIRED),
        ("unauthorized", RejectReason.UNAUTHORIZED),
    ],
)
def test_each_error_status_has_its_reason(status: str, reason: RejectReason, refuse: Refuse) -> None:
    """What to do next differs from one to the other."""
    assert refuse(make_error(status)).reason is reason  # type: ignore[arg-type]
    assert reason.value == status


@pytest.mark.parametrize(
    "response_der",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="a page"),
        pytest.param(bytes.fromhex("30030a0104"), id="a status that is not used"),
        pytest.param(bytes.fromhex("30030a0107"), id="a status that does not exist"),
        pytest.param(bytes.fromhex("30040a020000"), id="a status of two bytes"),
        pytest.param(bytes.fromhex("3003020100"), id="an integer for a status"),
        pytest.param(bytes.fromhex("30030a0100"), id="success with nothing in it"),
        pytest.param(bytes.fromhex("30800a01000000"), id="indefinite length"),
        pytest.param(bytes.fromhex("30030a010600"), id="an error with a byte too many"),
        pytest.param(wrap(b"\x30\x00"), id="an empty basic response"),
        pytest.param(wrap(b""), id="nothing for a basic response"),
    ],
)
def test_what_is_no_response_is_malformed(response_der: bytes, refuse: Refuse) -> None:
    """Whatever is wrong with the bytes, it is said in one line."""
    assert refuse(response_der).reason is RejectReason.MALFORMED


def test_a_certificate_is_no_response(ca: CertificateAuthority, refuse: Refuse) -> None:
    """DER of another kind is malformed."""
    assert refuse(ca.certificate.public_bytes(Encoding.DER)).reason is RejectReason.MALFORMED


def test_trailing_bytes_are_malformed(ca: CertificateAuthority, leaf: Leaf, refuse: Refuse) -> None:
    """The whole body is the response: OpenSSL would send the rest along to every client."""
    assert refuse(ca.respond(leaf, trailing=b"\x00")).reason is RejectReason.MALFORMED


def test_every_proper_part_of_a_response_is_malformed(ca: CertificateAuthority, leaf: Leaf, refuse: Refuse) -> None:
    """A download that was cut short is never half believed."""
    response_der = ca.respond(leaf, nonce=b"n" * 32, signer=ca.delegate())
    for end in range(len(response_der)):
        assert refuse(response_der[:end]).reason is RejectReason.MALFORMED


def test_another_type_of_response_is_not_basic(refuse: Refuse) -> None:
    """The detail has the type."""
    refusal = refuse(wrap(b"\x04\x00", x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.99")))
    assert refusal.reason is RejectReason.NOT_BASIC
    assert "1.3.6.1.5.5.7.48.1.99" in refusal.detail


def test_a_response_may_be_as_large_as_the_rules_say(
    ca: CertificateAuthority, leaf: Leaf, judge: Judge, refuse: Refuse
) -> None:
    """The limit itself still passes; a byte more is not even parsed."""
    response_der = ca.respond(leaf)
    size = len(response_der)
    assert judge(response_der, rules=Rules(max_response=size)).status == "good"
    assert refuse(response_der, rules=Rules(max_response=size - 1)).reason is RejectReason.TOO_LARGE
    assert refuse(bytes(MAX_RESPONSE + 1)).reason is RejectReason.TOO_LARGE
    assert refuse(bytes(MAX_RESPONSE)).reason is RejectReason.MALFORMED


def test_a_refusal_is_the_responders_fault(refuse: Refuse) -> None:
    """It stands in the error tree, and prints as its reason and what was found."""
    refusal = refuse(make_error("try-later"))
    assert isinstance(refusal, ResponderError)
    assert isinstance(refusal, StaplesrvError)
    assert str(refusal) == f"try-later: {refusal.detail}"


def test_the_rules_hold_what_makes_sense() -> None:
    """A response that is good for no time is none."""
    with pytest.raises(ValueError, match="above zero"):
        Rules(missing_next_update=timedelta(0))


def test_a_verified_response_can_not_be_changed(ca: CertificateAuthority, leaf: Leaf, judge: Judge) -> None:
    """What was verified stays what was verified."""
    staple = judge(ca.respond(leaf))
    with pytest.raises(AttributeError):
        staple.response_der = b""  # type: ignore[misc]
