"""Raw bytes between a client and a backend, for any protocol.

Theory of operation: a tunnel has two `End`s, one protocol per connection, and what comes in at one is written at the
other. Each connection is the other's producer, so that a slow reader on one side holds back the writer on the other.
When one side sends no more, its peer is told so, and the other direction goes on. The client's end is there first; it
is read once the backend's is, whoever is to speak first.

It costs four system calls a message: what comes in on one socket is sent on the other in the same turn, where the
transports can do that (`write_now`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from staplesrv.http.exchange import Connection
from staplesrv.http.proxy_protocol import ALPN, AUTHORITY, SSL, ProxyHeader, build, ssl_value
from staplesrv.http.write_now import has_own, write_now
from staplesrv.no_connection import in_words

CONNECT_SECONDS = 5.0
"""How long a backend has to take a connection."""

_log = Logger()


class Tunnel:
    """A backend that gets the bytes of clients.

    Args:
        endpoint: Connects to the backend.
        clock: For the time that connecting may take.
        where: What the log calls the backend.
        says_who: The backend is told who the client is, by a header of the PROXY protocol, version 2.
        connect_seconds: How long connecting may take.

    Attributes:
        open: Tunnels that are open now.
        failed: Clients for whom the backend could not be reached.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        *,
        where: str,
        says_who: bool = False,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._where = where
        self._says_who = says_who
        self._connect_seconds = connect_seconds
        self._reachable = True
        self.open = 0
        self.failed = 0

    def factory(self, connection: Connection) -> TunnelFactory:
        """Return what makes the protocol of one client's connection.

        Args:
            connection: Its facts.
        """
        return TunnelFactory(self, connection)

    def connect(self, connection: Connection, backend: End) -> Deferred[End]:
        """Connect one client's tunnel to the backend; what the backend is told first is written then.

        Args:
            connection: The client's.
            backend: The end to connect.

        Returns:
            The same end; to be cancelled where the client goes away before.
        """
        connecting = cast("Deferred[End]", self._endpoint.connect(_Once(backend)))
        connecting.addTimeout(self._connect_seconds, self._clock)
        return connecting.addCallbacks(self._reached, self._missed, callbackArgs=(connection,))

    def _reached(self, backend: End, connection: Connection) -> End:
        if not self._reachable:
            self._reachable = True
            _log.info("The backend {where} of a tunnel can be reached again", where=self._where)
        if self._says_who:
            backend.send(client_header(connection))
        return backend

    def _missed(self, failure: Failure) -> Failure:
        if failure.check(CancelledError) is None:  # type: ignore[no-untyped-call]
            self.failed += 1
            if self._reachable:
                self._reachable = False
                _log.error(
                    "The backend {where} can't be reached: {why}", where=self._where, why=in_words(failure.value)
                )
        return failure


class TunnelFactory:
    """Makes the protocol of one client's connection, whose handshake is done.

    Args:
        tunnel: Where it leads.
        connection: Its facts.
    """

    def __init__(self, tunnel: Tunnel, connection: Connection) -> None:
        self._tunnel = tunnel
        self._connection = connection

    def buildProtocol(self, addr: object) -> Client:  # noqa: ARG002 - Twisted's interface
        """Make it."""
        return Client(self._tunnel, self._connection)


@implementer(IHalfCloseableProtocol)
class End(Protocol):
    """One end of a tunnel.

    Attributes:
        other: The other end; None before there is one, and after.
        send: Sends what came in at the other end.
    """

    transport: Any
    other: End | None = None
    send: Callable[[bytes], None]
    _read_all = False
    _wrote_all = False

    def connectionMade(self) -> None:
        """Get to know the transport."""
        transport = self.transport
        self.send = write_now(transport)
        for option in ("setTcpNoDelay", "setTcpKeepAlive"):
            # A peer that vanished without a word is found out in the end. UNIX sockets have neither.
            if hasattr(transport, option):
                getattr(transport, option)(True)

    def join(self, other: End) -> None:
        """Be joined with the other end, whose input is the output of this one from now on."""
        self.other = other
        self.transport.registerProducer(other.transport, True)

    def dataReceived(self, data: bytes) -> None:
        """Pass on what comes in."""
        other = self.other
        if other is not None:
            other.send(data)

    def readConnectionLost(self) -> None:
        """Nothing more comes in; the other direction goes on."""
        self._read_all = True
        if self.other is not None:
            self.other.end_output()
        if self._wrote_all:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nothing more goes out, as was wished."""

    def end_output(self) -> None:
        """Send no more once all is sent."""
        self._wrote_all = True
        transport = self.transport
        transport.unregisterProducer()
        if self._read_all or not has_own(transport, "loseWriteConnection"):
            transport.loseConnection()
        else:
            transport.loseWriteConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End the other end, too."""
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            other.close(reason)

    def close(self, reason: Failure) -> None:
        """End, since the other end has: in order if that did."""
        self.transport.unregisterProducer()
        if reason.check(ConnectionDone) is not None:  # type: ignore[no-untyped-call]
            self.transport.loseConnection()
        else:
            self.transport.abortConnection()


class Client(End):
    """The client's end.

    Args:
        tunnel: Where it leads.
        connection: The facts.
    """

    def __init__(self, tunnel: Tunnel, connection: Connection) -> None:
        self._tunnel = tunnel
        self._connection = connection
        self._connecting: Deferred[Any] | None = None
        self._early: list[bytes] = []

    def connectionMade(self) -> None:
        """Connect to the backend; until that is done nothing is read."""
        super().connectionMade()
        self._tunnel.open += 1
        self.transport.pauseProducing()
        connecting = self._tunnel.connect(self._connection, Backend())
        self._connecting = connecting
        connecting.addCallbacks(self._connected, self._refused)

    def dataReceived(self, data: bytes) -> None:
        """Pass on what comes in; what came with the handshake waits for the backend."""
        if self.other is None:
            self._early.append(data)
        else:
            self.other.send(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End the other end, too, or the attempt to reach it."""
        self._tunnel.open -= 1
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        super().connectionLost(reason)

    def _connected(self, backend: End) -> None:
        self._connecting = None
        # Before the backend may pause it again.
        self.transport.resumeProducing()
        self.join(backend)
        backend.join(self)
        for data in self._early:
            backend.send(data)
        self._early.clear()
        if self._read_all:
            backend.end_output()

    def _refused(self, failure: Failure) -> None:  # noqa: ARG002 - counted and told already
        if self._connecting is not None:
            self._connecting = None
            self.transport.abortConnection()


class _Once(Factory):
    """Has one protocol for one connection. Twisted's own says two lines in the log for each.

    Args:
        end: The protocol.
    """

    noisy = False

    def __init__(self, end: End) -> None:
        self._end = end

    def buildProtocol(self, addr: object) -> End:  # noqa: ARG002 - Twisted's interface
        """Return it."""
        return self._end


class Backend(End):
    """The backend's end."""

    def close(self, reason: Failure) -> None:  # noqa: ARG002 - however the client went
        """End, since the client has. What it sent is passed on: many go without a word once they have said all."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()


def client_header(connection: Connection) -> bytes:
    """Return what tells a backend who the client is, and what of its TLS: SNI name, ALPN, version and cipher."""
    facts = []
    if connection.alpn:
        facts.append((ALPN, connection.alpn))
    if connection.server_name:
        facts.append((AUTHORITY, connection.server_name))
    if connection.secure:
        certificate = connection.client_certificate
        common_name = None if certificate is None else certificate.common_name
        facts.append((SSL, ssl_value(connection.tls_version, connection.cipher, common_name)))
    known = connection.client[0] and connection.server[0]
    client, server = (connection.client, connection.server) if known else (None, None)
    return build(ProxyHeader(client, server, tuple(facts)))
