"""TLS to backends: their certificates are verified, and must be for the name that the operator wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from zope.interface import implementer

from staplesrv.server.commands import input_file, system_store
from staplesrv.staples import armour


class BackendTLS:
    """Makes the client's side of TLS connections, which speak HTTP/1.1.

    Args:
        ca_file: PEM file with the certificates to trust; None for the system's.
    """

    def __init__(self, ca_file: Path | None = None) -> None:
        self._ca_file = ca_file
        self._anchors: Sequence[x509.Certificate] | None = None
        self._made: dict[str, IOpenSSLClientConnectionCreator] = {}

    def load(self) -> None:
        """Read the certificates, now or again.

        Raises:
            OperatorError: the file can't be used; what was read before stays.
        """
        if self._ca_file is None:
            anchors: Sequence[x509.Certificate] = system_store.anchors()
        else:
            anchors = input_file.read(str(self._ca_file), armour.certificates)
        if anchors != self._anchors:
            self._anchors = anchors
            self._made = {}

    def __call__(self, host: str) -> IOpenSSLClientConnectionCreator:
        """Return what makes connections to a host: a name, or an IP address."""
        return _Creator(lambda: self._creator(host))

    def _creator(self, host: str) -> IOpenSSLClientConnectionCreator:
        # Kept, as a context with all of a system's certificates takes a while to make.
        made = self._made.get(host)
        if made is None:
            trusted = [Certificate.loadPEM(one.public_bytes(Encoding.PEM)) for one in self._anchors or ()]
            root = trustRootFromCertificates(trusted)  # type: ignore[no-untyped-call]  # Twisted's has no annotations
            made = self._made[host] = optionsForClientTLS(host, root, acceptableProtocols=[b"http/1.1"])
        return made


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    """Makes connections with what is trusted at that time.

    Args:
        current: Returns what makes them now.
    """

    def __init__(self, current: Callable[[], IOpenSSLClientConnectionCreator]) -> None:
        self._current = current

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Any:
        """As Twisted's interface says."""
        return self._current().clientConnectionForTLS(tlsProtocol)
