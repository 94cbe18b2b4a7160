"""What a client asked of a responder, as read from its HTTP request."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import ExtensionNotFound, OCSPNonce, ocsp

from staplesrv.ocsp.certid import CertID
from staplesrv.testing.behaviour import Behaviour
from staplesrv.testing.signature import HASHES

Request: TypeAlias = Any
"""A `twisted.web.server.Request`, whose methods have no types."""

_SEQUENCE: Final = b"\x30"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that a responder got.

    Args:
        method: `GET` or `POST`.
        uri: Path and query, as they came.
        headers: By name in lower case; of several with one name the last.
        cert_id: The certificate asked about; None where the request could not be read.
        nonce: The nonce, if there was one.
        behaviour: How the responder behaved.
        at: When, by the clock of the CA.
    """

    method: str
    uri: bytes
    headers: Mapping[str, str]
    cert_id: CertID | None
    nonce: bytes | None
    behaviour: Behaviour
    at: datetime


def request_der(request: Request) -> bytes | None:
    """Take the OCSP request out of an HTTP request (RFC 6960 appendix A).

    Args:
        request: A POST with the DER as its body, or a GET with it in base64, percent-encoded, as its path.

    Returns:
        The DER, unchecked; None where there is nothing like it.
    """
    if request.method == b"POST":
        return request.content.read() if request.content else b""
    # A "/" of base64 may come as it is or as %2F; Twisted has split at the one and decoded the other. And the
    # responder's own URL may have a path: of all the ends of the path, the longest that starts like a request counts.
    ends = (b"/".join(request.postpath[start:]) for start in range(len(request.postpath)))
    return next((der for der in map(_decode, ends) if der.startswith(_SEQUENCE)), None)


def _decode(path: bytes) -> bytes:
    try:
        return base64.b64decode(path, validate=True)
    except binascii.Error:
        return b""


def read_request(der: bytes | None) -> tuple[CertID, bytes | None] | None:
    """Read an OCSP request.

    Args:
        der: The request, or None.

    Returns:
        The CertID and the nonce, if there is one; None where it can't be read.
    """
    if der is None:
        return None
    try:
        request = ocsp.load_der_ocsp_request(der)
        hash_name = request.hash_algorithm.name
        nonce = _nonce(request)
    except (ValueError, NotImplementedError, UnsupportedAlgorithm):
        return None
    if hash_name not in HASHES:
        return None
    return CertID(hash_name, request.issuer_name_hash, request.issuer_key_hash, request.serial_number), nonce


def _nonce(request: ocsp.OCSPRequest) -> bytes | None:
    try:
        return request.extensions.get_extension_for_class(OCSPNonce).value.nonce
    except ExtensionNotFound:
        return None


def headers_of(request: Request) -> dict[str, str]:
    """The headers of a request by name in lower case; of several with one name the last."""
    return {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in request.requestHeaders.getAllRawHeaders()
    }
