"""Whose certificates a site asks its clients for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from staplesrv.errors import OperatorError
from staplesrv.ocsp.text import UNREADABLE
from staplesrv.tls.pem import parse_certificates

# RFC 8446 §4.3.2: all extensions together have 65,535 bytes; the algorithms for signatures are another one.
_NAMES = 0xF000


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """What a site wants of its clients. Two sites with equal ones let in the same clients.

    A certificate that is shown is verified in the handshake, which fails where it leads to none of the authorities or
    is not for clients, whether or not one is required: no client comes through with a certificate that is not good.

    Args:
        required: Whether a handshake without a certificate fails, too.
        authorities: DER of the CAs' certificates, in the order of the files, each once.
    """

    required: bool
    authorities: tuple[bytes, ...]

    @property
    def mode(self) -> int:
        """How a connection verifies its client, as OpenSSL has it."""
        return SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if self.required else 0)

    def apply(self, context: SSL.Context) -> None:
        """Have a site's context trust these authorities and no others, and name them to clients.

        When to ask is no matter of a context: a connection asks once it is known that it is for this site.
        """
        store = context.get_cert_store()
        if store is None:
            raise AssertionError("a context without a store")
        # An intermediate that is named ends the chain: the operator trusts that one, not whatever its root has issued.
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        for der in self.authorities:
            certificate = x509.load_der_x509_certificate(der)
            store.add_cert(crypto.X509.from_cryptography(certificate))
            context.add_client_ca(certificate)


def parse_policy(files: Sequence[tuple[str, bytes]], *, required: bool) -> ClientPolicy:
    """Read the certificates of the authorities.

    Args:
        files: How errors call each, and its PEM text.
        required: Whether clients without a certificate are refused.

    Raises:
        OperatorError: a file has no certificate, or one that is not a CA's; or there are too many.
    """
    found: dict[bytes, x509.Certificate] = {}
    for where, data in files:
        for number, certificate in enumerate(parse_certificates(where, data), 1):
            if not _is_authority(certificate):
                problem = f"certificate {number} in it is not a CA's, so that no client's can lead to it"
                advice = "name the CA that issued the clients' certificates"
                # The site's own certificate may be in the same file.
                raise OperatorError(where, problem, advice, key="client_ca")
            found[certificate.public_bytes(Encoding.DER)] = certificate
    if sum(2 + len(certificate.subject.public_bytes()) for certificate in found.values()) > _NAMES:
        problem = f"{len(found)} CAs are more than a handshake can name to a client"
        raise OperatorError(", ".join(where for where, _ in files), problem, "leave those that issue for clients")
    return ClientPolicy(required, tuple(found))


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        # RFC 5280 §6.1.4 (k) leaves it to the one who trusts a root; those of version 1 can't say it.
        return certificate.version is x509.Version.v1 and certificate.subject == certificate.issuer
    except UNREADABLE:
        return False
