"""Critical extensions of a response and of its single responses, and the nonce."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.response import RejectReason, ResponseRejected, VerifiedResponse, verify_response
from staplesrv.testing import CRITICAL_UNKNOWN, CertificateAuthority, Leaf

Judge = Callable[..., VerifiedResponse]
Refuse = Callable[..., ResponseRejected]

NONCE = "1.3.6.1.5.5.7.48.1.2"
TIMESTAMPS = "1.3.6.1.4.1.11129.2.4.5"


def extension(oid: str, value: bytes = b"\x05\x00", *, critical: bool = True) -> x509.Extension[x509.ExtensionType]:
    """An extension with any content."""
    identifier = x509.ObjectIdentifier(oid)
    return x509.Extension(identifier, critical, x509.UnrecognizedExtension(identifier, value))


def test_an_unknown_critical_extension_of_the_response_is_refused(
    ca: CertificateAuthority, leaf: Leaf, refuse: Refuse
) -> None:
    """The detail has the extension and the signer."""
    refusal = refuse(ca.respond(leaf, extensions=[CRITICAL_UNKNOWN]))
    assert refusal.reason is RejectReason.CRITICAL_EXTENSION
    assert "1.3.6.1.4.1.99999.1" in refusal.detail
    assert "Test CA" in refusal.detail


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_unknown_critical_extension_of_any_single_response_is_refused(
    place: int, ca: CertificateAuthority, leaf: Leaf, refuse: Refuse
) -> None:
    """Not of the first alone, which is all that cryptography shows."""
    singles = [ca.single(leaf, extensions=[CRITICAL_UNKNOWN] if place == number else []) for number in range(3)]
    assert refuse(ca.respond(leaf, singles=singles)).reason is RejectReason.CRITICAL_EXTENSION


def test_also_a_revoked_response_is_not_half_understood(ca: CertificateAuthority, leaf: Leaf, refuse: Refuse) -> None:
    """What the extension changes about it is not known."""
    response_der = ca.respond(leaf, "revoked", single_extensions=[CRITICAL_UNKNOWN])
    assert refuse(response_der).reason is RejectReason.CRITICAL_EXTENSION


def test_unknown_extensions_that_are_not_critical_are_passed_over(
    ca: CertificateAuthority, leaf: Leaf, judge: Judge
) -> None:
    """In both places, and twice the same."""
    harmless = extension("1.3.6.1.4.1.99999.2", critical=False)
    assert (
        judge(ca.respond(leaf, extensions=[harmless, harmless], single_extensions=[harmless, harmless])).status
        == "good"
    )


@pytest.mark.parametrize(
    "oid",
    [
        pytest.param(TIMESTAMPS, id="certificate timestamps"),
        pytest.param("1.3.6.1.5.5.7.48.1.3", id="CRL references"),
        pytest.param("1.3.6.1.5.5.7.48.1.6", id="archive cutoff"),
        pytest.param("2.5.29.21", id="CRL reason"),
        pytest.param("2.5.29.24", id="invalidity date"),
    ],
)
def test_well_known_extensions_of_a_single_response_may_be_critical(
    oid: str, ca: CertificateAuthority, leaf: Leaf, judge: Judge, refuse: Refuse
) -> None:
    """They change nothing about the status; of the whole response they are not known."""
    assert judge(ca.respond(leaf, single_extensions=[extension(oid)])).status == "good"
    assert refuse(ca.respond(leaf, extensions=[extension(oid)])).reason is RejectReason.CRITICAL_EXTENSION


def test_a_nonce_may_be_critical_in_the_response_alone(
    ca: CertificateAuthority, leaf: Leaf, judge: Judge, refuse: Refuse
) -> None:
    """RFC 6960 §4.4.1 has it nowhere else."""
    assert judge(ca.respond(leaf, extensions=[extension(NONCE)])).status == "good"
    assert refuse(ca.respond(leaf, single_extensions=[extension(NONCE)])).reason is RejectReason.CRITICAL_EXTENSION


def test_a_nonce_that_comes_back_passes(ca: CertificateAuthority, leaf: Leaf, judge: Judge) -> None:
    """As it should be wrapped, and bare as RFC 2560 had it."""
    nonce = b"n" * 32
    assert judge(ca.respond(leaf, nonce=nonce), nonce=nonce).status == "good"
    assert judge(ca.respond(leaf, extensions=[extension(NONCE, nonce)]), nonce=nonce).status == "good"


def test_a_response_without_a_nonce_passes(ca: CertificateAuthority, leaf: Leaf, judge: Judge) -> None:
    """Responders that sign beforehand can send none."""
    assert judge(ca.respond(leaf), nonce=b"n" * 32).status == "good"


@pytest.mark.parametrize("other", [b"m" * 32, b"n" * 31, b"n" * 33, b""])
def test_another_nonce_is_refused(other: bytes, ca: CertificateAuthority, leaf: Leaf, refuse: Refuse) -> None:
    """It is the answer to somebody else's question."""
    refusal = refuse(ca.respond(leaf, nonce=other), nonce=b"n" * 32)
    assert refusal.reason is RejectReason.NONCE_MISMATCH
    assert "Test CA" in refusal.detail


def test_of_two_nonces_both_must_be_ours(ca: CertificateAuthority, leaf: Leaf, refuse: Refuse) -> None:
    """A second one is no way around the check."""
    response_der = ca.respond(leaf, nonce=b"n" * 32, extensions=[extension(NONCE, b"\x04\x01m", critical=False)])
    assert refuse(response_der, nonce=b"n" * 32).reason is RejectReason.NONCE_MISMATCH


@given(value=st.binary(max_size=40))
def test_a_nonce_that_was_not_asked_for_is_ignored(
    value: bytes, ca: CertificateAuthority, leaf: Leaf, target: Target
) -> None:
    """Whatever is in it."""
    response_der = ca.respond(leaf, extensions=[extension(NONCE, value)])
    assert verify_response(response_der, target, now=ca.now()).status == "good"
