"""TLS to backends: their certificates are verified, and must be for the name that the operator wrote."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

from staplesrv.server.commands import input_file, system_store
from staplesrv.staples import armour


class BackendTLS:
    """Makes the client's side of TLS connections, which speak HTTP/1.1.

    Args:
        ca_file: PEM file with the certificates to trust; None for the system's.
    """

    def __init__(self, ca_file: Path | None = None) -> None:
        self._ca_file = ca_file
        self._made: dict[str, IOpenSSLClientConnectionCreator] = {}

    def load(self) -> None:
        """Read the certificates.

        Raises:
            OperatorError: the file can't be used.
        """
        assert self._trusted is not None  # noqa: S101 - it is the reading that counts

    def __call__(self, host: str) -> IOpenSSLClientConnectionCreator:
        """Return what makes connections to a host: a name, or an IP address. It is made once, as it takes long."""
        made = self._made.get(host)
        if made is None:
            made = self._made[host] = optionsForClientTLS(host, self._trusted, acceptableProtocols=[b"http/1.1"])
        return made

    @cached_property
    def _trusted(self) -> Any:
        if self._ca_file is None:
            anchors = system_store.anchors()
        else:
            anchors = tuple(input_file.read(str(self._ca_file), armour.certificates))
        trusted = [Certificate.loadPEM(one.public_bytes(Encoding.PEM)) for one in anchors]
        return trustRootFromCertificates(trusted)  # type: ignore[no-untyped-call]  # Twisted's has no annotations
