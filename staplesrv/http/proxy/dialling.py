"""How backends are connected to: endpoints, for names, addresses, sockets and TLS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet import tcp, unix
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IStreamClientEndpoint,
)
from zope.interface import directlyProvides, providedBy

from staplesrv.http.proxy.address import BackendAddress
from staplesrv.http.proxy.eager import Eager, Watches

ClientTLS = Callable[[str], IOpenSSLClientConnectionCreator]
"""Makes a verified TLS client for a name or an address. http/ knows of no OpenSSL, so it is handed in."""


class Dial(Protocol):
    """Knows how to get to backends."""

    def __call__(self, address: BackendAddress) -> IStreamClientEndpoint:
        """Return what connects to a backend."""


class _TCPClient(Eager, tcp.Client):
    """To an IP address."""


class _UNIXClient(Eager, unix.Client):
    """To a socket in the file system."""


class _TCPConnector(tcp.Connector):
    poller: Watches

    def _makeTransport(self) -> tcp.Client:
        made = _TCPClient(self.host, self.port, self.bindAddress, self, self.reactor)  # type: ignore[no-untyped-call]
        made.poller = self.poller
        return made


class _UNIXConnector(unix.Connector):
    poller: Watches

    def _makeTransport(self) -> Any:
        made = _UNIXClient(self.address, self, self.reactor, self.checkPID)  # type: ignore[no-untyped-call]
        made.poller = self.poller
        return made


class EagerReactor:
    """A reactor whose clients have `write_now`. Everything else is the reactor's.

    Args:
        reactor: With file descriptors.
        poller: Watches the clients' sockets; the one that watches those of TLS makes fewer turns of the reactor.
    """

    def __init__(self, reactor: Any, poller: Watches) -> None:
        self._reactor = reactor
        self._poller = poller
        directlyProvides(self, providedBy(reactor))

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None) -> Any:
        """As `IReactorTCP` says."""
        return self._connect(_TCPConnector(host, port, factory, timeout, bindAddress, self._reactor))

    def connectUNIX(self, address: str, factory: Any, timeout: float = 30, checkPID: bool = False) -> Any:  # noqa: FBT001, FBT002 - Twisted's interface
        """As `IReactorUNIX` says."""
        return self._connect(_UNIXConnector(address, factory, timeout, self._reactor, checkPID))  # type: ignore[no-untyped-call]

    def _connect(self, connector: Any) -> Any:
        connector.poller = self._poller
        connector.connect()
        return connector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


class Dialler:
    """Connects to backends.

    Args:
        reactor: With file descriptors.
        seconds: How long one address of a name may take.
        tls: For `https`.
        poller: Watches the connections' sockets.
    """

    def __init__(self, reactor: Any, *, poller: Watches, seconds: float = 5.0, tls: ClientTLS | None = None) -> None:
        self._reactor = EagerReactor(reactor, poller)
        self._seconds = seconds
        self._tls = tls

    def __call__(self, address: BackendAddress) -> IStreamClientEndpoint:
        """Return what connects to a backend.

        Raises:
            ValueError: it is to be reached over TLS, and there is none.
        """
        if address.scheme == "unix":
            return UNIXClientEndpoint(self._reactor, address.path, timeout=self._seconds)  # type: ignore[no-untyped-call]
        plain = HostnameEndpoint(self._reactor, address.host, address.port, timeout=self._seconds)
        if address.scheme == "http":
            return plain
        if self._tls is None:
            raise ValueError("a backend over https without a TLS client")
        return wrapClientTLS(self._tls(address.host), plain)
