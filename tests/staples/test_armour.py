from __future__ import annotations

import base64
import contextlib
import textwrap

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.staples.armour import Block, BrokenArmour, blocks, certificates, response_der
from staplesrv.testing import CertificateAuthority

CA = CertificateAuthority()
LEAF = CA.issue("example.org")
LEAF_DER = LEAF.certificate.public_bytes(Encoding.DER)
RESPONSE = CA.respond(LEAF)
BASE64 = base64.b64encode(RESPONSE)


def pem(der: bytes, label: str = "OCSP RESPONSE", newline: str = "\n") -> bytes:
    """Armour around DER."""
    lines = [f"-----BEGIN {label}-----", *textwrap.wrap(base64.b64encode(der).decode(), 64), f"-----END {label}-----"]
    return (newline.join(lines) + newline).encode()


@pytest.mark.parametrize(
    "file",
    [
        RESPONSE,
        pem(RESPONSE),
        pem(RESPONSE, newline="\r\n"),
        pem(RESPONSE).rstrip(),
        pem(RESPONSE, "ANYTHING ELSE"),
        b"\xef\xbb\xbf" + pem(RESPONSE),
        b"OCSP Response Data:\n    0 of them\n" + pem(RESPONSE) + b"the end\n",
        b"0 is how DER begins too\n" + pem(RESPONSE),
        pem(LEAF_DER, "CERTIFICATE") + pem(RESPONSE) + pem(LEAF_DER, "CERTIFICATE"),
        b"  " + pem(RESPONSE).replace(b"\n", b"\n  "),
        BASE64,
        BASE64 + b"\n",
        b"\r\n".join(textwrap.wrap(BASE64.decode(), 64)[n].encode() for n in range(len(BASE64) // 64 + 1)),
    ],
)
def test_a_response_is_found_however_it_is_wrapped(file: bytes) -> None:
    """DER, PEM under any label and among text, base64 alone."""
    assert response_der(file) == RESPONSE


@pytest.mark.parametrize(
    "file", [b"", b"0", b"hello", b"MIIB", BASE64[:-1], BASE64 + b"!", b"A" * 400, RESPONSE + b"x"]
)
def test_what_is_not_wrapped_is_left_as_it_is(file: bytes) -> None:
    """Whether it is a response is not for the armour to say."""
    assert response_der(file) in {file, base64.b64decode(b"MIIB")}


def test_a_response_of_another_status_is_der() -> None:
    """Its length octet is that of no text."""
    assert response_der(b"\x30\x03\x0a\x01\x03") == b"\x30\x03\x0a\x01\x03"


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (b"-----BEGIN OCSP RESPONSE-----\nMIIB\n", "no end"),
        (b"-----BEGIN A-----\n-----BEGIN A-----\n", "begins before"),
        (b"-----BEGIN A-----\nMIIB\n-----END B-----\n", "no end"),
        (b"-----BEGIN A-----\nM*IB\n-----END A-----\n", "no base64"),
        (b"-----BEGIN A-----\nMIIBM\n-----END A-----\n", "no base64"),
    ],
)
def test_broken_armour_is_told_apart(file: bytes, problem: str) -> None:
    """There was a response to be read, and it can't be."""
    with pytest.raises(BrokenArmour, match=problem):
        response_der(file)


@pytest.mark.parametrize(
    "file",
    [
        LEAF_DER,
        pem(LEAF_DER, "CERTIFICATE"),
        pem(LEAF_DER, "X509 CERTIFICATE"),
        b"-----BEGIN PRIVATE KEY-----\nnot: looked at\n-----END PRIVATE KEY-----\n" + pem(LEAF_DER, "CERTIFICATE"),
        base64.b64encode(LEAF_DER),
    ],
)
def test_a_certificate_is_found_however_it_is_wrapped(file: bytes) -> None:
    """Other blocks are passed over undecoded, so that a file with a key in it does."""
    assert certificates(file) == [LEAF.certificate]


def test_certificates_come_in_the_order_of_the_file() -> None:
    """The first is the leaf."""
    assert certificates(LEAF.fullchain_pem) == [LEAF.certificate, CA.certificate]


def test_of_several_certificates_a_damaged_one_is_left_out() -> None:
    """A bundle of all roots may hold one that cryptography can't read."""
    damaged = pem(LEAF_DER[:-1], "CERTIFICATE")
    assert certificates(CA.pem + damaged + LEAF.fullchain_pem) == [CA.certificate, LEAF.certificate, CA.certificate]
    with pytest.raises(BrokenArmour, match="first"):
        certificates(damaged + CA.pem)


@pytest.mark.parametrize("file", [b"", b"text", RESPONSE, pem(RESPONSE), BASE64, LEAF_DER[:-1], LEAF_DER + b"\n"])
def test_what_holds_no_certificate_is_refused(file: bytes) -> None:
    """In one line, for the file's name to stand before."""
    with pytest.raises(BrokenArmour, match="certificate"):
        certificates(file)


def test_a_file_of_nothing_but_beginnings_takes_no_square_time() -> None:
    """4 MiB of them are refused at the second line."""
    with pytest.raises(BrokenArmour):
        blocks(b"-----BEGIN A-----\n" * 200_000)


def test_a_block_is_decoded_on_demand() -> None:
    """Its label is text whatever it holds."""
    (block,) = blocks("-----BEGIN ÜBER-----\nAAAA\n-----END ÜBER-----\n".encode("latin-1"))
    assert block == Block("ÜBER", b"AAAA")
    assert block.der == b"\0\0\0"


SHREDS = st.sampled_from(
    [
        b"-----BEGIN CERTIFICATE-----",
        b"-----END CERTIFICATE-----",
        b"\n",
        b"-----BEGIN A-----",
        b"-----END A-----",
        b"MIIB",
        *(LEAF_DER, RESPONSE, CA.pem, BASE64, b"\xef\xbb\xbf", b" "),
    ]
)


@given(st.binary() | st.lists(SHREDS | st.binary(max_size=8)).map(b"".join))
def test_any_file_is_read_or_refused(file: bytes) -> None:
    """Nothing but a value or BrokenArmour."""
    with contextlib.suppress(BrokenArmour):
        assert isinstance(response_der(file), bytes)
    with contextlib.suppress(BrokenArmour):
        assert all(isinstance(found, x509.Certificate) for found in certificates(file))
