"""Connections to backends: Twisted's own, which can also send at once.

Twisted's TCP transport sends in the reactor's next turn, which takes two changes of its epoll and a turn for a few
hundred bytes that the socket has room for: `write_now` sends them there and then, and leaves the rest to Twisted.
"""

from __future__ import annotations

import socket
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

ClientTLS = Callable[[str], IOpenSSLClientConnectionCreator]
"""Makes a verified TLS client for a name or an address. http/ knows of no OpenSSL, so it is handed in."""


class Dial(Protocol):
    """Knows how to get to backends."""

    def __call__(self, address: BackendAddress) -> IStreamClientEndpoint:
        """Return what connects to a backend."""


class EagerTransport:
    """Mixed into a client's transport of Twisted's: can send at once, and reads on when it can't send any more."""

    def write_now(self: Any, data: bytes) -> None:
        """Send data: now as far as the socket takes it, the rest when it takes more."""
        if not (self._tempDataBuffer or self.dataBuffer or self.disconnecting or self._aborting) and self.connected:
            try:
                sent = self.socket.send(data)
            except OSError:
                sent = 0  # full or broken: Twisted finds out
            if sent == len(data):
                return
            data = data[sent:]
        self.write(data)

    def writeSomeData(self: Any, data: bytes) -> Any:
        """Send some data; what a closed connection doesn't take is thrown away.

        A backend that answers and closes before it has read all of the request makes sending fail. Its answer has
        come by then, and is still to be read; the end of the connection shows in reading, too.
        """
        result = super().writeSomeData(data)  # type: ignore[misc]
        return len(data) if isinstance(result, Exception) and not self.disconnecting else result

    def is_open(self: Any) -> bool:
        """Tell whether the other end, as far as is known here, has not closed the connection; 1 us."""
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False


class _TCPClient(EagerTransport, tcp.Client):
    """To an IP address."""


class _UNIXClient(EagerTransport, unix.Client):
    """To a socket in the file system."""


class _TCPConnector(tcp.Connector):
    def _makeTransport(self) -> tcp.Client:
        return _TCPClient(self.host, self.port, self.bindAddress, self, self.reactor)  # type: ignore[no-untyped-call]


class _UNIXConnector(unix.Connector):
    def _makeTransport(self) -> Any:
        return _UNIXClient(self.address, self, self.reactor, self.checkPID)  # type: ignore[no-untyped-call]


class EagerReactor:
    """A reactor whose clients have `write_now`. Everything else is the reactor's.

    Args:
        reactor: With file descriptors.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        directlyProvides(self, providedBy(reactor))

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None) -> Any:
        """As `IReactorTCP` says."""
        connector = _TCPConnector(host, port, factory, timeout, bindAddress, self._reactor)
        connector.connect()
        return connector

    def connectUNIX(self, address: str, factory: Any, timeout: float = 30, checkPID: bool = False) -> Any:  # noqa: FBT001, FBT002 - Twisted's interface
        """As `IReactorUNIX` says."""
        connector = _UNIXConnector(address, factory, timeout, self._reactor, checkPID)  # type: ignore[no-untyped-call]
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
    """

    def __init__(self, reactor: Any, *, seconds: float = 5.0, tls: ClientTLS | None = None) -> None:
        self._reactor = EagerReactor(reactor)
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
