"""Whom to believe about a server's certificate."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from staplesrv.ocsp.text import UNREADABLE
from staplesrv.tls.client import Seen
from staplesrv.tls.sni import is_address


@dataclass(frozen=True, slots=True)
class Trust:
    """The trusted certificates, and what it means if a chain does not lead to them.

    Args:
        anchors: The trusted certificates.
        required: Whether a chain that does not verify, or a name that does not match, is critical; else it is a note.
    """

    anchors: tuple[x509.Certificate, ...] = ()
    required: bool = False

    def issuers_of(self, leaf: x509.Certificate) -> list[x509.Certificate]:
        """Those of the anchors that bear the name of the leaf's issuer; whether one signed it is not looked at."""
        return [anchor for anchor in self.anchors if _named_as_issuer(anchor, leaf)]

    def problems(self, seen: Seen, host: str) -> list[str]:
        """What keeps a client from trusting a server's chain for a host.

        Args:
            seen: The handshake, its chain judged by the anchors.
            host: A DNS name with A-labels, or an IP address.
        """
        return [
            *(f"the chain does not verify: {problem}" for problem in seen.problems),
            *([] if name_matches(seen.leaf, host) else [f"the certificate is not for {host}"]),
        ]


def name_matches(leaf: x509.Certificate, host: str) -> bool:
    """Whether a certificate is for a host (RFC 9525); one whose names can't be read is for none."""
    try:
        if is_address(host):
            verify_certificate_ip_address(leaf, host)
        else:
            verify_certificate_hostname(leaf, host)
    # A ValueError is also what service-identity raises for a host that is no name.
    except (VerificationError, CertificateError, *UNREADABLE):
        return False
    return True


def _named_as_issuer(anchor: x509.Certificate, leaf: x509.Certificate) -> bool:
    try:
        return anchor.subject == leaf.issuer
    except ValueError:
        # cryptography reads names late, and a server may show a leaf with a damaged one.
        return False
