from __future__ import annotations

import base64
from io import BytesIO
from types import SimpleNamespace
from urllib.parse import quote, unquote_to_bytes

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import OCSPNonce, ocsp
from hypothesis import given
from hypothesis import strategies as st
from twisted.web.http_headers import Headers

from staplesrv.testing import CertificateAuthority, Leaf
from staplesrv.testing.asked import headers_of, read_request, request_der

SERIALS = st.integers(min_value=1, max_value=2**159)


def got(path: bytes) -> SimpleNamespace:
    """A GET request as Twisted hands it to a leaf resource: split at "/", then decoded."""
    return SimpleNamespace(method=b"GET", postpath=[unquote_to_bytes(part) for part in path[1:].split(b"/")])


def request_for(ca: CertificateAuthority, serial_number: int, nonce: bytes | None = None) -> bytes:
    """An OCSP request as cryptography makes it."""
    cert_id = ca.cert_id(serial_number)
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        cert_id.issuer_name_hash, cert_id.issuer_key_hash, serial_number, hashes.SHA1()
    )
    if nonce is not None:
        builder = builder.add_extension(OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


CA = CertificateAuthority()


@given(st.binary(max_size=200))
def test_a_get_path_is_read_however_it_was_encoded(content: bytes) -> None:
    """Base64 with its slashes as they are or as %2F, below any path, comes out as what went in."""
    der = b"\x30" + content
    encoded = base64.b64encode(der).decode()
    for path in ("/" + quote(encoded, safe=""), "/" + quote(encoded, safe="/"), "//" + encoded, "/M/" + encoded):
        assert request_der(got(path.encode())) == der


def test_a_post_body_is_taken_as_it_is() -> None:
    """What was posted is the request, whatever the path."""
    request = SimpleNamespace(method=b"POST", content=BytesIO(b"der"), postpath=[b"ocsp"])
    assert request_der(request) == b"der"
    assert request_der(SimpleNamespace(method=b"POST", content=None, postpath=[])) == b""


@pytest.mark.parametrize("path", [b"/favicon.ico", b"/MFE", b"/%FF%FE", b"/a b"])
def test_a_path_that_is_no_base64_is_none(path: bytes) -> None:
    """A path without a request in it is no error of ours."""
    assert request_der(got(path)) is None


@given(SERIALS, st.none() | st.binary(min_size=1, max_size=32))
def test_a_request_is_read_as_its_cert_id_and_nonce(serial_number: int, nonce: bytes | None) -> None:
    """Whatever certificate is asked about, the CertID comes out, and the nonce if there is one."""
    assert read_request(request_for(CA, serial_number, nonce)) == (CA.cert_id(serial_number), nonce)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_none(der: bytes) -> None:
    """Nothing that can be sent raises."""
    read_request(der)


@given(SERIALS, st.integers(min_value=0, max_value=80), st.integers(min_value=0, max_value=255))
def test_a_damaged_request_is_a_request_or_none(serial_number: int, place: int, value: int) -> None:
    """One byte changed anywhere in a good request raises nothing."""
    der = bytearray(request_for(CA, serial_number))
    der[place % len(der)] = value
    read_request(bytes(der))


def test_no_request_is_none() -> None:
    """What could not even be decoded can't be read."""
    assert read_request(None) is None


def test_a_hash_that_nobody_uses_is_none(ca: CertificateAuthority, leaf: Leaf) -> None:
    """A CertID under SHA-224 is one that the responder does not know."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf.certificate, ca.certificate, hashes.SHA224())
    assert read_request(builder.build().public_bytes(Encoding.DER)) is None


def test_of_several_headers_the_last_one_counts() -> None:
    """Headers go by their names in lower case."""
    headers = Headers({"If-None-Match": ["a", "b"], "ACCEPT": ["*/*"]})
    assert headers_of(SimpleNamespace(requestHeaders=headers)) == {"if-none-match": "b", "accept": "*/*"}
