"""Issuer certificates: shared between the leaves they issued, picked out of a chain, read from what a CA publishes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from staplesrv.errors import NotIssuedBy
from staplesrv.ocsp.certid import Target

SHARED_ISSUERS = 4096
"""Issuer certificates kept for sharing. The whole web PKI has fewer in use."""


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
