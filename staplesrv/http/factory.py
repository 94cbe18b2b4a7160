"""What listens for HTTP: picks the version that ALPN has chosen, and holds what its connections share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IReactorTime,
    ISSLTransport,
)
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from staplesrv.deadlines import Deadlines
from staplesrv.http.exchange import Application, Connection, Exchange
from staplesrv.http.http1 import HTTP1Connection
from staplesrv.http.http1.heads import Heads
from staplesrv.http.limits import Limits
from staplesrv.http.refused_request import RefusedRequest
from staplesrv.http.server_fields import ServerFields
from staplesrv.sources import WallClock

H2 = b"h2"

STOP_SECONDS = 1.0
"""How long a connection without a request is kept when the server stops. Who uses it meanwhile is told to go with the
answer; to close it at once would lose the request that is on its way."""

LOOKS = 4
"""How often a connection is looked at within the shortest of the times that it may take."""


class Version(Protocol):
    """A connection of either HTTP version, as its factory sees it."""

    def check(self, now: float) -> None:
        """End what takes too long. Called a few times within the shortest limit."""

    def stop(self) -> None:
        """Have the client begin no more requests, and end when those under way are answered."""

    def end_idle(self) -> None:
        """End if no request is under way."""


@implementer(IProtocolNegotiationFactory)
class HTTPFactory(Factory):
    """Makes the protocols of one listener.

    Args:
        application: Answers the requests.
        describe: Tells the facts of a connection from its transport.
        clock: For time-outs.
        wall_clock: For the Date field.
        limits: What clients may take.
        protocols: ALPN names, the preferred one first.
        log: Told of every exchange when it is over.
        log_refused: Told of requests for which there was none.
        raw: Asked once the handshake is done: what speaks on this connection where that is not HTTP; else None.

    Attributes:
        requests: How many there were.
        refused: How many clients sent something else, or too slowly.
    """

    noisy = False

    def __init__(
        self,
        application: Application,
        *,
        describe: Callable[[Any], Connection],
        clock: IReactorTime,
        wall_clock: WallClock,
        limits: Limits | None = None,
        protocols: Sequence[str] = ("http/1.1",),
        log: Callable[[Exchange], None] | None = None,
        log_refused: Callable[[RefusedRequest], None] | None = None,
        raw: Callable[[Connection], IProtocolFactory | None] | None = None,
    ) -> None:
        self.application = application
        self.describe = describe
        self.clock = clock
        self.limits = limits or Limits()
        self.log = log
        self._log_refused = log_refused
        self.raw = raw
        self.heads = Heads(self.limits)
        self.server_fields = ServerFields(wall_clock)
        self.requests = 0
        self.refused = 0
        self._protocols = [protocol.encode() for protocol in protocols]
        self._open: set[Version] = set()
        self._checks: Deadlines[Any] = Deadlines(clock, self.limits.shortest / LOOKS, self._check)
        self._stopped: Deadlines[Any] = Deadlines(clock, STOP_SECONDS, self._end_idle)
        self._stopped.let_go()
        self._stopping = False

    def buildProtocol(self, addr: object) -> Any:
        """Make what one connection begins with."""
        return Entrance(self, addr)

    def acceptableProtocols(self) -> list[bytes]:
        """Return the ALPN names."""
        return self._protocols

    @property
    def connections(self) -> int:
        """How many are open and speak HTTP."""
        return len(self._open)

    def exchange_begins(self, exchange: Exchange) -> None:
        """Take note of a request."""
        self.requests += 1
        exchange.done = self.log

    def refuse(self, request: RefusedRequest) -> None:
        """Take note of a request that no application is asked."""
        self.refused += 1
        if self._log_refused is not None:
            self._log_refused(request)

    def opened(self, connection: Version) -> None:
        """A connection begins."""
        self._open.add(connection)
        self._checks.begin(connection)
        if self._stopping:
            self._stop(connection)

    def closed(self, connection: Version) -> None:
        """A connection is over; also one that is none of these."""
        self._open.discard(connection)
        self._checks.end(connection)
        self._stopped.end(connection)

    def stop(self) -> None:
        """End connections as soon as what is under way on them is answered; idle ones, and later ones, in a moment."""
        self._stopping = True
        self._checks.let_go()
        for connection in list(self._open):
            self._stop(connection)

    def version(self, transport: Any, connection: Connection) -> Any:
        """Make what speaks the version that ALPN has chosen; HTTP/1.1 where it has not."""
        if getattr(transport, "negotiatedProtocol", None) == H2:
            from staplesrv.http.http2.connection import HTTP2Connection  # noqa: PLC0415 - its library is an extra

            return HTTP2Connection(self, connection)
        return HTTP1Connection(self, connection)

    def _stop(self, connection: Version) -> None:
        self._stopped.begin(connection)
        connection.stop()

    def _end_idle(self, connection: Version) -> None:
        # Begun anew before it may end: what is under way may leave it idle.
        self._stopped.begin(connection)
        connection.end_idle()

    def _check(self, connection: Version) -> None:
        # Begun anew before it may end by what it finds.
        self._checks.begin(connection)
        connection.check(self.clock.seconds())


@implementer(IHandshakeListener, IHalfCloseableProtocol)
class Entrance(TwistedProtocol):
    """The protocol of a connection until its handshake says what it will speak; then it leads there.

    Args:
        factory: Makes what speaks.
        addr: The client's address.
    """

    transport: Any

    def __init__(self, factory: HTTPFactory, addr: object) -> None:
        self._factory = factory
        self._addr = addr
        self._speaker: Any = None

    def connectionMade(self) -> None:
        """Without TLS there is nothing to wait for."""
        if not ISSLTransport.providedBy(self.transport):
            self._enter()

    def handshakeCompleted(self) -> None:
        """Have the right protocol speak."""
        if self._speaker is None:
            self._enter()

    def dataReceived(self, data: bytes) -> None:
        """Take the first data of a transport that told of no handshake."""
        self.handshakeCompleted()
        if self._speaker is not None:
            self._speaker.dataReceived(data)

    def readConnectionLost(self) -> None:
        """The client sends no more."""
        half_closeable = IHalfCloseableProtocol(self._speaker, None)
        if half_closeable is not None:
            half_closeable.readConnectionLost()
        else:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our direction is closed."""
        half_closeable = IHalfCloseableProtocol(self._speaker, None)
        if half_closeable is not None:
            half_closeable.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell who speaks."""
        speaker, self._speaker = self._speaker, None
        if speaker is not None:
            # Else the speaker would be kept, by its own method.
            del self.dataReceived
            self._factory.closed(speaker)
            speaker.connectionLost(reason)

    def _enter(self) -> None:
        factory = self._factory
        connection = factory.describe(self.transport)
        raw = None if factory.raw is None else factory.raw(connection)
        if raw is None:
            self._lead_to(factory.version(self.transport, connection))
            if self._speaker is not None:
                factory.opened(self._speaker)
        elif (speaker := raw.buildProtocol(self._addr)) is not None:  # type: ignore[arg-type]
            self._lead_to(speaker)
        else:
            self.transport.loseConnection()

    def _lead_to(self, speaker: Any) -> None:
        self._speaker = speaker
        # The transport's calls go straight there: 0.1 us less for each read.
        self.dataReceived = speaker.dataReceived  # type: ignore[method-assign]
        speaker.makeConnection(self.transport)
