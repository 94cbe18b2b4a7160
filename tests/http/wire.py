"""A short wire: a transport without a socket, and an HTTP server at the end of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from fake_exchange import FakeConnection
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, ISSLTransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from staplesrv.http.exchange import Application, Exchange, Handler
from staplesrv.http.factory import HTTPFactory
from staplesrv.http.fields import Fields
from staplesrv.http.limits import Limits
from staplesrv.http.refused_request import RefusedRequest
from staplesrv.http.response import Response

NOON = 784_111_777.0
"""Seconds since the epoch: RFC 9110's own example of a date."""
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
FULL = 65_536
_OURS = re.compile(rb"Server: staplesrv\r\nDate: [^\r]+\r\n")


@implementer(ISSLTransport)
class WholeTransport:
    """What a protocol writes is kept in `written`, as if it were sent at once; or in `waiting`, once `slow`.

    Attributes:
        written: What the client got.
        waiting: What a slow client has not taken yet.
        reading: Whether the protocol wants to read.
        ended: How the connection ended: `lost`, `broken` or `aborted`.
        half_closed: Our direction is closed.
    """

    def __init__(self, alpn: bytes | None = b"http/1.1") -> None:
        self.negotiatedProtocol = alpn
        self.protocol: Any = None
        self.written = b""
        self.writes = 0
        self.waiting = b""
        self.slow = False
        self.reading = True
        self.ended = ""
        self.half_closed = False
        self.producer: Any = None
        self.told_to_pause = False
        self._disconnecting = False
        self._orderly = "lost"

    def write(self, data: bytes) -> None:
        """Send."""
        assert isinstance(data, bytes)
        if self.ended or self.half_closed or (self._disconnecting and self.producer is None):
            return
        self.writes += 1
        if not self.slow:
            self.written += data
            return
        self.waiting += data
        if self.producer is not None and len(self.waiting) > FULL and not self.told_to_pause:
            self.told_to_pause = True
            self.producer.pauseProducing()

    def writeSequence(self, pieces: Sequence[bytes]) -> None:
        """Send."""
        self.write(b"".join(pieces))

    def drain(self) -> None:
        """The client takes all that waits."""
        self.written += self.waiting
        self.waiting = b""
        if self.told_to_pause and self.producer is not None:
            self.told_to_pause = False
            self.producer.resumeProducing()
        elif self._disconnecting and self.producer is None:
            self._end(self._orderly, ConnectionDone())

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: FBT001 - Twisted's interface
        """Have a push producer."""
        assert self.producer is None, "there is one already"
        assert streaming
        self.producer = producer
        self.told_to_pause = False

    def unregisterProducer(self) -> None:
        """Have none."""
        self.producer = None
        if self._disconnecting and not self.waiting:
            self._end(self._orderly, ConnectionDone())

    def pauseProducing(self) -> None:
        """Read no more."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Read on."""
        self.reading = True

    def loseConnection(self) -> None:
        """Close when all is sent."""
        if self.ended:
            return
        self._disconnecting = True
        if not self.waiting and self.producer is None:
            self._end(self._orderly, ConnectionDone())

    def abortConnection(self) -> None:
        """Reset."""
        self._end("aborted", ConnectionAborted())

    def getPeer(self) -> str:
        """Name the client."""
        return "the client"

    def getHost(self) -> str:
        """Name the server."""
        return "the server"

    def getPeerCertificate(self) -> None:
        """There is none."""

    def _end(self, how: str, why: Exception) -> None:
        if self.ended:
            return
        self.ended = how
        if self.producer is not None:
            self.producer.stopProducing()
        self.protocol.connectionLost(Failure(why))  # type: ignore[no-untyped-call]


class WireTransport(WholeTransport):
    """One whose direction can be closed alone, and which can end without a close_notify."""

    def breakConnection(self) -> None:
        """Close when all is sent, without a proper end."""
        self._orderly = "broken"
        self.loseConnection()

    def loseWriteConnection(self) -> None:
        """Close our direction."""
        assert not self.waiting, "this fake has no half-close with something waiting"
        self.half_closed = True
        IHalfCloseableProtocol(self.protocol).writeConnectionLost()


class PromptTransport(WireTransport):
    """One that is written to in another connection's turn: what is not sent at once waits."""

    def __init__(self, alpn: bytes | None = b"http/1.1") -> None:
        super().__init__(alpn)
        self.slow = True

    def write_now(self, data: bytes) -> None:
        """Send at once."""
        self.write(data)
        self.drain()


class Wire:
    """A client's end of a connection to a factory's server.

    Attributes:
        clock: The server's.
        transport: The server's.
        done: Exchanges that are over.
        refused: Requests for which there was none.
    """

    def __init__(
        self,
        application: Application,
        *,
        limits: Limits | None = None,
        alpn: bytes | None = b"http/1.1",
        whole: bool = False,
        at_once: bool = False,
        **settings: Any,
    ) -> None:
        self.clock = Clock()
        self.done: list[Exchange] = []
        self.refused: list[RefusedRequest] = []
        self.factory = HTTPFactory(
            application,
            describe=lambda _transport: FakeConnection(),
            clock=self.clock,
            wall_clock=lambda: NOON + self.clock.seconds(),
            limits=limits,
            log=self.done.append,
            log_refused=self.refused.append,
            **settings,
        )
        kind = PromptTransport if at_once else WholeTransport if whole else WireTransport
        self.transport = kind(alpn)
        self.protocol: Any = self.factory.buildProtocol(None)
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)
        self.protocol.handshakeCompleted()

    def send(self, *pieces: bytes) -> bytes:
        """Send pieces, each as one read of the server's; return all that came back so far."""
        for piece in pieces:
            if not self.transport.ended and piece:
                assert self.transport.reading or self.transport._disconnecting, "the server does not read now"
                self.protocol.dataReceived(piece)
        return self.transport.written

    def send_slowly(self, data: bytes) -> bytes:
        """Send byte by byte."""
        return self.send(*[data[at : at + 1] for at in range(len(data))])

    def half_close(self) -> None:
        """Send no more."""
        IHalfCloseableProtocol(self.protocol).readConnectionLost()

    def vanish(self) -> None:
        """Be gone."""
        self.transport._end("vanished", ConnectionDone())

    @property
    def ended(self) -> str:
        """How the connection ended; empty while it is open."""
        return self.transport.ended

    @property
    def answer(self) -> bytes:
        """What came back, without the fields that are the same in every response."""
        return _OURS.sub(b"", self.transport.written)


def serve(application: Application, data: bytes, **settings: Any) -> bytes:
    """Return what a server answers to bytes that come in one read, with the client closing its direction after them."""
    wire = Wire(application, **settings)
    wire.send(data)
    if not wire.ended:
        wire.half_close()
    return wire.answer


class Says:
    """An application that answers every request with one response."""

    def __init__(self, response: Response | None = None) -> None:
        self.response = response or Response(200, ((b"Content-Type", b"text/plain"),), b"hello\n")

    def handle(self, exchange: Exchange) -> None:
        """Answer."""
        exchange.send(self.response)


class Calls:
    """An application that does what a test says, and keeps its exchanges; also their handler, which keeps its calls.

    Args:
        handle: Called with each exchange; it may return another handler.
    """

    def __init__(self, handle: Callable[[Exchange], Handler | None] | None = None) -> None:
        self._handle = handle
        self.exchanges: list[Exchange] = []
        self.calls: list[tuple[Any, ...]] = []
        self.content = b""

    @property
    def exchange(self) -> Exchange:
        """The last one."""
        return self.exchanges[-1]

    @property
    def names(self) -> list[str]:
        """The handler's calls, by name."""
        return [name for name, *_ in self.calls]

    def handle(self, exchange: Exchange) -> Handler:
        """Take a request on."""
        self.exchanges.append(exchange)
        return (self._handle(exchange) if self._handle is not None else None) or self

    def body(self, data: bytes) -> None:
        """As the interface says."""
        assert data
        self.content += data
        self.calls.append(("body", data))

    def body_end(self, trailers: Fields) -> None:
        """As the interface says."""
        self.calls.append(("body_end", trailers))

    def pause(self) -> None:
        """As the interface says."""
        self.calls.append(("pause",))

    def resume(self) -> None:
        """As the interface says."""
        self.calls.append(("resume",))

    def lost(self) -> None:
        """As the interface says."""
        self.calls.append(("lost",))


class Echo:
    """An application that sends back, when the body is complete, what the server made of a request."""

    def handle(self, exchange: Exchange) -> Handler:
        """Take a request on."""
        return _Echoing(exchange)


class _Echoing(Calls):
    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def body_end(self, trailers: Fields) -> None:
        request = self._exchange.request
        said = repr((request.method, request.target, request.authority, request.fields, self.content, trailers))
        self._exchange.send(Response(200, (), said.encode() + b"\n"))
