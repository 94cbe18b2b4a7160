"""What a client's certificate says, whatever is in it."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.server.client_certificate import read_certificate
from staplesrv.testing import CertificateAuthority

CLIENTS = CertificateAuthority("clients, and\r\nothers")


def test_a_usual_one() -> None:
    """Names as RFC 4514 has them, numbers in whole bytes."""
    leaf = CLIENTS.issue(client=True, common_name="alice", serial_number=0xABC)
    der = leaf.certificate.public_bytes(Encoding.DER)
    read = read_certificate(der)
    assert (read.common_name, read.subject, read.serial) == ("alice", "CN=alice", "0ABC")
    assert read.issuer == r"CN=clients\, and\0D\0Aothers"
    assert read.fingerprint == hashlib.sha256(der).hexdigest()
    assert x509.load_pem_x509_certificate(read.pem) == leaf.certificate


@pytest.mark.filterwarnings("ignore:Attribute's length")
@given(st.text(min_size=1, max_size=80).filter(lambda text: "\0" not in text and _encodes(text)))
def test_any_name(name: str) -> None:
    """Nothing in it ends a line or is no ASCII, and it can be read back."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False)])
    leaf = CLIENTS.issue(client=True, common_name="x")
    der = leaf.certificate.public_bytes(Encoding.DER)
    old = leaf.certificate.subject.public_bytes()
    read = read_certificate(_with_subject(der, old, subject.public_bytes()))
    assert read.subject.isascii()
    assert read.subject.isprintable() or not read.subject
    assert not read.subject or read.common_name == name[:64]


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _with_subject(der: bytes, old: bytes, new: bytes) -> bytes:
    """Put another subject into a certificate; its signature is of no interest here."""
    first = _content(der)
    tbs_length = _whole(first)
    tbs, rest = first[:tbs_length], first[tbs_length:]
    content = _content(tbs)
    at = content.rindex(old)
    return _sequence(_sequence(content[:at] + new + content[at + len(old) :]) + rest)


def _head(der: bytes) -> tuple[int, int]:
    length = der[1]
    if length < 0x80:
        return 2, length
    count = length & 0x7F
    return 2 + count, int.from_bytes(der[2 : 2 + count])


def _whole(der: bytes) -> int:
    start, length = _head(der)
    return start + length


def _content(der: bytes) -> bytes:
    start, length = _head(der)
    return der[start : start + length]


def _sequence(content: bytes) -> bytes:
    size = len(content)
    digits = size.to_bytes((size.bit_length() + 7) // 8 or 1)
    return b"\x30" + (bytes([size]) if size < 0x80 else bytes([0x80 | len(digits)]) + digits) + content


def test_what_can_not_be_read() -> None:
    """Only its fingerprint and its bytes are told; no name, that nobody is taken for somebody."""
    read = read_certificate(b"no certificate")
    assert (read.common_name, read.subject, read.issuer, read.serial) == ("", "", "", "")
    assert read.fingerprint == hashlib.sha256(b"no certificate").hexdigest()
