"""A CA, an OCSP responder and a TLS handshake for tests: ours, and those of whoever embeds staplesrv."""

from __future__ import annotations

from staplesrv.ocsp.certid import CertID
from staplesrv.testing.asked import Asked
from staplesrv.testing.authority import CertificateAuthority
from staplesrv.testing.behaviour import Behaviour
from staplesrv.testing.handshake import handshake
from staplesrv.testing.leaf import Leaf, LeafFiles
from staplesrv.testing.listening import RunningResponder, listen
from staplesrv.testing.responder import OCSPResponder
from staplesrv.testing.response import CRITICAL_UNKNOWN, Signer, Single, make_error, make_response
from staplesrv.tls.client import HandshakeFailed, Seen, StapleClient

__all__ = [
    "CRITICAL_UNKNOWN",
    "Asked",
    "Behaviour",
    "CertID",
    "CertificateAuthority",
    "HandshakeFailed",
    "Leaf",
    "LeafFiles",
    "OCSPResponder",
    "RunningResponder",
    "Seen",
    "Signer",
    "Single",
    "StapleClient",
    "handshake",
    "listen",
    "make_error",
    "make_response",
]
