"""Requests: what cryptography makes and reads, and the URL of a GET."""

from __future__ import annotations

from base64 import b64decode
from urllib.parse import unquote, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.ocsp.certid import CertID, Target
from staplesrv.ocsp.hashing import HASHES
from staplesrv.ocsp.request import MAX_GET_URL, encode_request, get_url

cert_ids = st.sampled_from(sorted(HASHES)).flatmap(
    lambda name: st.builds(
        CertID,
        st.just(name),
        st.binary(min_size=HASHES[name].digest_size, max_size=HASHES[name].digest_size),
        st.binary(min_size=HASHES[name].digest_size, max_size=HASHES[name].digest_size),
        st.integers(min_value=1, max_value=2**160),
    )
)


@given(cert_ids, st.none() | st.binary(min_size=1, max_size=32))
def test_a_request_is_what_cryptography_builds(cert_id: CertID, nonce: bytes | None) -> None:
    """Byte for byte, with and without a nonce."""
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        cert_id.issuer_name_hash, cert_id.issuer_key_hash, cert_id.serial_number, HASHES[cert_id.hash_name]
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    assert encode_request(cert_id, nonce) == builder.build().public_bytes(Encoding.DER)


@given(cert_ids, st.integers())
def test_a_request_is_read_back_as_the_same_question(cert_id: CertID, serial_number: int) -> None:
    """Whatever the serial number: zero and negative ones are out there, and cryptography's builder refuses them."""
    asked = CertID(cert_id.hash_name, cert_id.issuer_name_hash, cert_id.issuer_key_hash, serial_number)
    request = ocsp.load_der_ocsp_request(encode_request(asked))
    assert request.hash_algorithm.name == asked.hash_name
    assert request.issuer_name_hash == asked.issuer_name_hash
    assert request.issuer_key_hash == asked.issuer_key_hash
    assert request.serial_number == serial_number
    assert len(request.extensions) == 0


def test_a_nonce_is_not_critical(target: Target) -> None:
    """A responder that knows none must be able to answer."""
    request = ocsp.load_der_ocsp_request(encode_request(target.cert_id("sha1"), b"n" * 32))
    nonce = request.extensions.get_extension_for_class(x509.OCSPNonce)
    assert nonce.value.nonce == b"n" * 32
    assert not nonce.critical


@given(st.binary(max_size=150), st.sampled_from(["http://ocsp.example", "http://ocsp.example/", "http://o/path//"]))
def test_the_url_of_a_get_gives_the_request_back(request_der: bytes, responder: str) -> None:
    """One slash joins the two, and nothing in the last part of the path needs escaping or splits it."""
    url = get_url(responder, request_der)
    if url is None:
        return
    path = urlsplit(url).path
    last = path.rsplit("/", 1)[1]
    assert b64decode(unquote(last), validate=True) == request_der
    assert url == f"{responder.rstrip('/')}/{last}"
    assert not set(last) & set("+=/ ?#")
    assert len(url) <= MAX_GET_URL


def test_a_url_of_255_bytes_is_a_get_and_a_longer_one_is_not() -> None:
    """The edge of RFC 5019 §5 is the last one that is still short enough."""
    request_der = bytes(90)
    room = MAX_GET_URL - len("http:///") - 120
    exact = get_url(f"http://{'h' * room}", request_der)
    assert exact is not None
    assert len(exact) == MAX_GET_URL
    assert get_url(f"http://{'h' * (room + 1)}", request_der) is None


def test_an_ordinary_request_fits_into_a_get(target: Target) -> None:
    """SHA-1 without a nonce fits beside an ordinary host name; SHA-512 does not."""
    responder = "http://r10.ocsp.ca.example/status"
    assert get_url(responder, encode_request(target.cert_id("sha1"))) is not None
    assert get_url(responder, encode_request(target.cert_id("sha512"))) is None


def test_what_counts_is_bytes() -> None:
    """A path that is not ASCII is measured as it is sent."""
    assert get_url("http://o/" + "ü" * 120, b"x" * 9) is None


@pytest.mark.parametrize("responder", ["http://o.example/?ca=1", "http://o.example/#part"])
def test_a_responder_with_a_query_is_posted_to(responder: str) -> None:
    """A path can't be put behind a query or a fragment."""
    assert get_url(responder, b"x") is None
