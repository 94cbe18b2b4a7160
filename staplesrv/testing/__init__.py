"""A CA, an OCSP responder and a TLS handshake for tests: ours, and those of whoever embeds staplesrv."""

from __future__ import annotations

from staplesrv.testing.authority import CertificateAuthority, Leaf, LeafFiles
from staplesrv.testing.response import CRITICAL_UNKNOWN, CertID, Signer, Single, make_error, make_response

__all__ = [
    "CRITICAL_UNKNOWN",
    "CertID",
    "CertificateAuthority",
    "Leaf",
    "LeafFiles",
    "Signer",
    "Single",
    "make_error",
    "make_response",
]
