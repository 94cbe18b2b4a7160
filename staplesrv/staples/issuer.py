"""Issuer certificates: shared between the leaves they issued, picked out of a chain, read from what a CA publishes."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from staplesrv.errors import NotIssuedBy
from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.text import UNREADABLE

SHARED_ISSUERS = 4096
"""Issuer certificates kept for sharing. The whole web PKI has fewer in use."""

MAX_PUBLISHED = 16
"""Certificates that are looked at in what a CA publishes: one, or a few cross-signed ones."""


def shared(certificate: x509.Certificate) -> x509.Certificate:
    """Return one object for equal certificates.

    Ten thousand leaves have a handful of issuers; each leaf's chain file brings its own copy, with its parsed names,
    extensions and key: about 7 KiB each.
    """
    return _shared(certificate.public_bytes(Encoding.DER))


@lru_cache(maxsize=SHARED_ISSUERS)
def _shared(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def find_target(leaf: x509.Certificate, candidates: Iterable[x509.Certificate]) -> Target | None:
    """Find the certificate that issued and signed `leaf`.

    Returns:
        What a responder is asked about, with that issuer; None where no candidate is it.
    """
    for candidate in candidates:
        try:
            return Target.for_leaf(leaf, candidate)
        except NotIssuedBy:
            continue
    return None


def issuer_key(fingerprint: bytes) -> bytes:
    """Where a store has the issuer's certificate of a leaf: a key that is the fingerprint of nothing.

    Args:
        fingerprint: SHA-256 of the leaf's DER.
    """
    return hashlib.sha256(b"issuer of " + fingerprint).digest()


def read_certificates(content: bytes) -> list[x509.Certificate]:
    """Read what a CA publishes under a caIssuers URL.

    RFC 5280 §4.2.2.1 allows one certificate in DER or a PKCS#7 bundle ("certs-only"); PEM of either is met in the
    wild too.

    Returns:
        At most `MAX_PUBLISHED`; none where the bytes are nothing of that.
    """
    for read in _READERS:
        try:
            # A stranger's odd serial number or country code is no reason for a warning on our terminal.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return list(read(content))[:MAX_PUBLISHED]
        except UNREADABLE:
            continue
    return []


def _read_one(content: bytes) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(content)]


_READERS: Final[tuple[Callable[[bytes], list[x509.Certificate]], ...]] = (
    _read_one,
    x509.load_pem_x509_certificates,
    pkcs7.load_der_pkcs7_certificates,
    pkcs7.load_pem_pkcs7_certificates,
)
