"""Issuer certificates: what CAs publish, and in which form."""

from __future__ import annotations

import warnings

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import example, given
from hypothesis import strategies as st

from staplesrv.staples.issuer import MAX_PUBLISHED, find_target, read_certificates, shared
from staplesrv.testing import CertificateAuthority

CA = CertificateAuthority()
BELOW = CA.intermediate()
BOTH = [BELOW.certificate, CA.certificate]
DER = CA.certificate.public_bytes(Encoding.DER)
VERSION_3 = bytes.fromhex("a003020102")
VERSION_8 = bytes.fromhex("a003020107")


@pytest.mark.parametrize(
    "content",
    [
        DER,
        CA.pem,
        b"a word before\n" + CA.pem + b"and after\n",
        pkcs7.serialize_certificates([CA.certificate], Encoding.DER),
        pkcs7.serialize_certificates([CA.certificate], Encoding.PEM),
    ],
)
def test_every_form(content: bytes) -> None:
    """DER, PEM and PKCS#7 in both are read."""
    assert read_certificates(content) == [CA.certificate]


def test_several() -> None:
    """PEM and PKCS#7 may hold several."""
    assert read_certificates(BELOW.pem + CA.pem) == BOTH
    assert set(read_certificates(pkcs7.serialize_certificates(BOTH, Encoding.DER))) == set(BOTH)


def test_not_too_many() -> None:
    """Of a flood of certificates the first ones are taken."""
    assert len(read_certificates(CA.pem * 40)) == MAX_PUBLISHED


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        DER[:-1],
        DER + b"\x00",
        DER.replace(VERSION_3, VERSION_8),
        b"-----BEGIN CERTIFICATE-----\n",
        bytes(99),
    ],
)
def test_what_is_none(content: bytes) -> None:
    """What is no certificate gives none, and does not raise."""
    assert read_certificates(content) == []


@given(st.binary(max_size=200), st.integers(0, len(DER) - 1))
@example(b"\x01", 20)
def test_no_bytes_raise(junk: bytes, position: int) -> None:
    """Whatever the bytes, there is a list, and not a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for content in (
            junk,
            DER[:position] + junk + DER[position + len(junk) :],
            b"-----BEGIN PKCS7-----\n" + junk + b"\n-----END PKCS7-----\n",
            b"-----BEGIN CERTIFICATE-----\n" + junk + b"\n-----END CERTIFICATE-----\n",
        ):
            assert isinstance(read_certificates(content), list)


def test_the_issuer_is_the_one_that_signed() -> None:
    """Of several candidates the one that verifies the leaf is taken; none is none."""
    leaf = BELOW.issue().certificate
    target = find_target(leaf, [CA.certificate, BELOW.certificate])
    assert target is not None
    assert target.issuer == BELOW.certificate
    assert find_target(leaf, [CA.certificate]) is None
    assert find_target(leaf, []) is None


def test_equal_certificates_are_shared() -> None:
    """Two copies of one certificate become one object."""
    assert shared(read_certificates(DER)[0]) is shared(read_certificates(DER)[0])
