"""An HTTP/2 connection, the server's side: RFC 9113.

Theory of operation: what comes in one read is a *turn*. Its frames are handled one after the other (`receiving`); what
that makes us say is collected and written once, at the end (`sending`). What an application says outside of a turn goes
the same way at once. A `Stream` is an exchange; it knows what waits of its bodies.

Whatever a client does wrong ends its stream or its connection and is not logged. What is allowed, and a nuisance,
costs its `Patience`. As over HTTP/1.1, the factory has the connection looked at every few seconds: a wait that begins
costs one assignment.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from staplesrv.http.exchange import Connection
from staplesrv.http.fields import Fields
from staplesrv.http.http2 import bodies, frames, sending, settings, stream_frames
from staplesrv.http.http2.blocks import encoded, status_block
from staplesrv.http.http2.frames import LARGEST_WINDOW, Code, ConnectionFault, FrameReader
from staplesrv.http.http2.heads import Refused
from staplesrv.http.http2.patience import Patience
from staplesrv.http.http2.receiving import Receiver
from staplesrv.http.http2.sending import Sender
from staplesrv.http.http2.stream import Stream
from staplesrv.http.refused_request import RefusedRequest, UnreadRequest
from staplesrv.http.request import Request

if TYPE_CHECKING:
    from staplesrv.http.factory import HTTPFactory

_MOST_RESET = 1000

_AFTERWARDS = 0.1
"""Seconds between a response and the reset that ends what is left of its request. Clients that read both at once take
the response for lost: Debian 12's curl does."""

_EMPTY: Fields = ((b"content-length", b"0"),)

_PIECES = sending.AT_ONCE // 65_536  # of those that `Limits.write_seconds` is for

_FAREWELL = b"farewell"


@implementer(IHalfCloseableProtocol, IPushProducer)
class HTTP2Connection(Protocol):
    """Serves one client.

    Args:
        factory: What all connections share.
        connection: The facts that exchanges are given.

    Attributes:
        facts: They.
        streams: Those that are open, by number.
        reset_streams: Numbers of those that we ended before the client did.
        said_goodbye: The client knows that no more streams are served.
    """

    transport: Any
    sender: Sender

    def __init__(self, factory: HTTPFactory, connection: Connection) -> None:
        self._factory = factory
        self.facts = connection
        self.application = factory.application
        self.limits = factory.limits
        self.now = factory.clock.seconds
        self.patience = Patience(factory.clock)
        self.streams: dict[int, Stream] = {}
        self.reset_streams: dict[int, None] = {}
        self.said_goodbye = False
        self._frames = FrameReader()
        self._own_fields: Fields = ()
        self._own_block = b""
        self._leaving = False
        self._stopping = False
        self._closed = False
        self._waits_since = self.now()

    # What the transport calls.

    def connectionMade(self) -> None:
        """Say hello."""
        self.sender = Sender(self.transport, self.patience)
        self._receiver = Receiver(self)
        self.transport.registerProducer(self, True)
        self.sender.put(_hello(self.limits.streams))

    def dataReceived(self, data: bytes) -> None:
        """Take a turn."""
        if self._closed:
            return
        receive = self._receiver.receive
        self.sender.begin_turn()
        try:
            for frame in self._frames.feed(data):
                receive(frame)
                if self._closed:
                    break
        except ConnectionFault as fault:
            self._fail(fault.code)
        finally:
            self.sender.end_turn()

    def readConnectionLost(self) -> None:
        """The client sends no more; what it has asked for it gets."""
        for stream in list(self.streams.values()):
            if not stream.client_ended:
                self.reset(stream.number, Code.CANCEL)
                stream.lose()
        self.leave()

    def writeConnectionLost(self) -> None:
        """Our direction alone is never closed."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted's interface
        """End every exchange."""
        self._closed = True
        self._lose_streams()

    def pauseProducing(self) -> None:
        """The transport is full."""
        self.wait()
        self.sender.pause()

    def resumeProducing(self) -> None:
        """The transport is empty again."""
        self.wait()
        self.sender.resume()

    def stopProducing(self) -> None:
        """The connection ends; `connectionLost` follows."""

    # What the factory calls.

    def stop(self) -> None:
        """Take no new requests, and close when those under way are answered: RFC 9113 §6.8."""
        if not (self._closed or self._stopping):
            self._stopping = True
            # Requests that are on their way are still served: the client knows when it answers the PING.
            self.sender.put(frames.goaway(LARGEST_WINDOW, Code.NO_ERROR), frames.frame(frames.PING, 0, 0, _FAREWELL))

    def end_idle(self) -> None:
        """Close if there are no requests; the client is told which one was the last."""
        if not self.streams:
            self._fail(Code.NO_ERROR)

    def check(self, now: float) -> None:
        """End what the client has been waited for long enough."""
        waited = now - self._waits_since
        limits, receiver = self.limits, self._receiver
        if self._closed or self.sender.blocked:
            if waited > limits.write_seconds * _PIECES:
                self.transport.abortConnection()
        elif receiver.of_streams.in_block or not receiver.settled:
            if waited > limits.header_seconds:
                self._factory.refused += 1
                self._fail(Code.NO_ERROR)
        elif not self.streams and waited > (limits.header_seconds if self._stopping else limits.idle_seconds):
            self._fail(Code.NO_ERROR)
        else:
            for stream in list(self.streams.values()):
                stream.check(now)

    # What the receiver calls.

    def wait(self) -> None:
        """Wait for the client from now on: for a request or the rest of one, or until it has taken what is written."""
        self._waits_since = self.now()

    def open_stream(self, number: int, request: Request, *, ended: bool) -> None:
        """Have a request answered."""
        stream = self.streams[number] = Stream(self, number, request, self.sender.stream_window, ended=ended)
        self._factory.exchange_begins(stream)
        stream.begin()

    def refuse(self, number: int, refused: Refused, *, ended: bool) -> None:
        """Answer a request that no application is to see."""
        self._factory.refuse(RefusedRequest(self.facts, UnreadRequest(refused.line), refused.status))
        # Without a page: DATA would have to wait for the client's windows.
        block = self.sender.start_block() + status_block(refused.status) + encoded(_EMPTY) + self.server_block()
        self.sender.put(frames.headers(number, block, ended=True))
        if not ended:
            self.give_up(number)

    def ping_answered(self, payload: bytes) -> None:
        """Say which streams were the last, once the client knows that it is to begin no more."""
        if self._stopping and payload == _FAREWELL and not self.said_goodbye:
            self.said_goodbye = True
            self.sender.put(frames.goaway(self._receiver.of_streams.last, Code.NO_ERROR))
            self.leave()

    def leave(self) -> None:
        """Close once there are no more streams."""
        self._leaving = True
        if not self.streams:
            self._fail(Code.NO_ERROR)

    # What streams call.

    def taken(self, size: int) -> None:
        """So many bytes of a body, or of what is around it, are out of the way."""
        self._receiver.of_streams.taken(size)

    def reset(self, number: int, code: Code) -> None:
        """End a stream; what the client sent before it knew of that is ignored."""
        self._ignore(number)
        self.sender.put(frames.reset(number, code))

    def give_up(self, number: int) -> None:
        """Have no more of a request whose response is out: RFC 9113 §8.1."""
        self._ignore(number)
        self._factory.clock.callLater(_AFTERWARDS, self.sender.put, frames.reset(number, Code.NO_ERROR))

    def _ignore(self, number: int) -> None:
        if len(self.reset_streams) >= _MOST_RESET:
            del self.reset_streams[next(iter(self.reset_streams))]
        self.reset_streams[number] = None

    def forget(self, stream: Stream) -> None:
        """A stream is over."""
        del self.streams[stream.number]
        self.sender.forget(stream)
        if not self.streams:
            self.wait()
            if self._leaving:
                self._fail(Code.NO_ERROR)

    def server_fields(self) -> Fields:
        """Return the fields that the server adds to responses."""
        return self._factory.server_fields.fields()

    def server_block(self) -> bytes:
        """Return them encoded; made once a second."""
        fields = self._factory.server_fields.fields()
        if fields is not self._own_fields:
            self._own_fields = fields
            self._own_block = encoded(fields)
        return self._own_block

    # The end.

    def _fail(self, code: Code) -> None:
        """Close, and say why."""
        if self._closed:
            return
        self._closed = True
        self.wait()
        self.sender.put(frames.goaway(self._receiver.of_streams.last, code))
        self.sender.close()
        self._lose_streams()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _lose_streams(self) -> None:
        for stream in list(self.streams.values()):
            stream.lose()


@cache
def _hello(streams: int) -> bytes:
    """Return what a server says first: its settings, and the connection's window."""
    said = {
        settings.MAX_CONCURRENT_STREAMS: streams,
        settings.INITIAL_WINDOW_SIZE: bodies.WINDOW,
        settings.ENABLE_CONNECT_PROTOCOL: 1,
    }
    more = stream_frames.WINDOW - settings.DEFAULT_WINDOW
    return frames.frame(frames.SETTINGS, 0, 0, settings.encoded(said)) + frames.window_update(0, more)
