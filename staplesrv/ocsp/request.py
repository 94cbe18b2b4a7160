"""An OCSP request, as DER and as the path of a GET."""

from __future__ import annotations

from base64 import b64encode
from typing import Final
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from staplesrv.ocsp.certid import HASHES, CertID

MAX_GET_URL: Final = 255
"""Bytes of an encoded URL up to which a request goes by GET (RFC 9919 §5, which replaces RFC 5019)."""


def encode_request(cert_id: CertID, nonce: bytes | None = None) -> bytes:
    """Make the DER of an unsigned request about one certificate.

    Args:
        cert_id: The certificate.
        nonce: Bytes that the response should repeat (RFC 9654); None for none.
    """
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        cert_id.issuer_name_hash, cert_id.issuer_key_hash, cert_id.serial_number, HASHES[cert_id.hash_name]
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def get_url(responder_url: str, request_der: bytes) -> str | None:
    """Make the URL of a GET, RFC 6960 appendix A.1.

    Args:
        responder_url: The responder's URL.
        request_der: The request, DER.

    Returns:
        The URL; None where the request has to be a POST.
    """
    # A path can't be put behind a query.
    if "?" in responder_url or "#" in responder_url:
        return None
    # "/" in base64 would split the path, "+" and "=" are mangled by some servers: all three are percent-encoded.
    url = f"{responder_url.rstrip('/')}/{quote(b64encode(request_der), safe='')}"
    return url if len(url.encode()) <= MAX_GET_URL else None
