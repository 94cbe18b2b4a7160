"""A CA, an OCSP responder and a TLS handshake for tests: ours, and those of whoever embeds staplesrv."""

from __future__ import annotations

from staplesrv.testing.asked import Asked
from staplesrv.testing.authority import CertificateAuthority, Leaf, LeafFiles
from staplesrv.testing.behaviour import Behaviour
from staplesrv.testing.listening import RunningResponder, listen
from staplesrv.testing.responder import OCSPResponder
from staplesrv.testing.response import CRITICAL_UNKNOWN, CertID, Signer, Single, make_error, make_response

__all__ = [
    "CRITICAL_UNKNOWN",
    "Asked",
    "Behaviour",
    "CertID",
    "CertificateAuthority",
    "Leaf",
    "LeafFiles",
    "OCSPResponder",
    "RunningResponder",
    "Signer",
    "Single",
    "listen",
    "make_error",
    "make_response",
]
