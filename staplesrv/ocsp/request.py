"""An OCSP request, as DER and as the URL of a GET."""

from __future__ import annotations

from base64 import b64encode
from typing import Final
from urllib.parse import quote

from cryptography.hazmat import asn1

from staplesrv.ocsp import asn1 as shapes
from staplesrv.ocsp.certid import CertID
from staplesrv.ocsp.hashing import HASH_OIDS

MAX_GET_URL: Final = 255
"""Bytes of an encoded URL up to which a request goes by GET (RFC 5019 §5, and RFC 9919 after it)."""


def encode_request(cert_id: CertID, nonce: bytes | None = None) -> bytes:
    """Make the DER of an unsigned request about one certificate (RFC 6960 §4.1.1).

    The builder of `cryptography.x509.ocsp` makes the same bytes, but for serial numbers below zero: it refuses those,
    and certificates that have them are out there.

    Args:
        cert_id: The certificate.
        nonce: Bytes that the response should repeat (RFC 9654); None for none.
    """
    requests = [shapes.SingleRequest(cert_id=_cert_id(cert_id))]
    extensions = None
    if nonce is not None:
        # RFC 9654 §2.1: the nonce is an OCTET STRING, inside the one that every extension's value is.
        extensions = [shapes.Extension(oid=shapes.NONCE, critical=False, value=asn1.encode_der(nonce))]
    return asn1.encode_der(shapes.Request(data=shapes.RequestData(requests=requests, extensions=extensions)))


def get_url(responder_url: str, request_der: bytes) -> str | None:
    """Make the URL of a GET (RFC 6960 appendix A.1).

    Args:
        responder_url: The responder's URL.
        request_der: The request, DER.

    Returns:
        The URL; None where the request has to be a POST: the URL is too long, or has a query that it can't go behind.
    """
    if "?" in responder_url or "#" in responder_url:
        return None
    # "/" in base64 would split the path, and "+" and "=" are mangled by some servers: all three are percent-encoded.
    url = f"{responder_url.rstrip('/')}/{quote(b64encode(request_der), safe='')}"
    return url if len(url.encode()) <= MAX_GET_URL else None


def _cert_id(cert_id: CertID) -> shapes.CertID:
    return shapes.CertID(
        hash_algorithm=shapes.HashAlgorithm(oid=HASH_OIDS[cert_id.hash_name], parameters=asn1.Null()),
        issuer_name_hash=cert_id.issuer_name_hash,
        issuer_key_hash=cert_id.issuer_key_hash,
        serial_number=cert_id.serial_number,
    )
