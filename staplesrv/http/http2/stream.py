"""One HTTP/2 stream: a request and its response."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.logger import Logger

from staplesrv.http.exchange import Exchange, Handler
from staplesrv.http.fields import Fields, allowed_trailers
from staplesrv.http.http2 import frames
from staplesrv.http.http2.blocks import encoded
from staplesrv.http.http2.bodies import HIGH_WATER, Incoming, Outgoing
from staplesrv.http.http2.frames import DATA, END_STREAM, FRAME_SIZE, Code, StreamFault
from staplesrv.http.http2.patience import SERVED
from staplesrv.http.http2.response_head import OK, block, final_block, kept_block
from staplesrv.http.pages import page
from staplesrv.http.request import Request
from staplesrv.http.response import Response, checked, declared_length, is_silent
from staplesrv.http.server_fields import SERVER_NAMES

if TYPE_CHECKING:
    from staplesrv.http.http2.connection import HTTP2Connection

REQUEST_TIMEOUT = 408
CONTENT_TOO_LARGE = 413
INTERNAL_SERVER_ERROR = 500

_log = Logger()


class Stream(Exchange):
    """An exchange over HTTP/2.

    Args:
        carrier: The connection.
        number: The stream's.
        request: The head.
        window: Bytes of DATA that may be sent.
        ended: The client sends no body.

    Attributes:
        outgoing: What waits to be sent; None while nothing ever did.
        incoming: The request's body; None once it is with the handler.
        queued: Whether it is among the connection's streams that are ready to send.
        over: Nothing goes out any more, and nobody is told anything.
    """

    __slots__ = (
        "_carrier",
        "_handler",
        "_left",
        "_silent",
        "_tunnels",
        "incoming",
        "number",
        "outgoing",
        "over",
        "queued",
        "window",
    )

    def __init__(self, carrier: HTTP2Connection, number: int, request: Request, window: int, *, ended: bool) -> None:
        super().__init__(request, carrier.facts)
        self._carrier = carrier
        self.number = number
        self.window = window
        self.incoming = None if ended else Incoming(None if request.upgrade else request.length, carrier.now())
        self.outgoing: Outgoing | None = None
        self.queued = False
        self.over = False
        self._handler: Handler | None = None
        self._silent = False
        self._tunnels = False
        self._left: int | None = None  # of the response, by its Content-Length

    # What the connection calls.

    @property
    def client_ended(self) -> bool:
        """Whether the client sends no more on this stream."""
        return self.incoming is None or self.incoming.ended

    def begin(self) -> None:
        """Have the application answer."""
        try:
            handler = self._carrier.application.handle(self)
        except Exception:  # noqa: BLE001 - an application's fault; it costs its own exchange
            self._failed("handle")
            return
        if handler is None:
            if not (self.status or self.over):
                _log.error("An application took a request and did not answer it")
                self.fail()
            return
        if self.over:
            return
        self._handler = handler
        if self._too_long(self.request.length or 0):
            return
        if self.request.expects_continue and not (self.holds_continue or self.status):
            self.inform(100)
        if self.outgoing is not None and self.outgoing.paused:
            self._tell(handler.pause)
        if self.incoming is None and not self.over:
            self._tell(handler.body_end, ())

    def receive(self, data: bytes, size: int) -> None:
        """Take a DATA frame's content.

        Args:
            data: It; may be empty.
            size: Bytes that it takes off the windows, with the padding.

        Raises:
            StreamFault: the client sent more than it may, or than it said.
        """
        incoming = self.incoming
        fault = Code.STREAM_CLOSED if incoming is None else incoming.receive(data, size, self._carrier.now())
        if incoming is None or fault:
            self._carrier.taken(size)
            raise StreamFault(fault)
        self._taken(size - len(data))
        if self._handler is None:
            self._taken(len(data))  # nobody wants it
            return
        if data:
            incoming.hold(data)
        if self._tunnels or not self._too_long(incoming.received):
            self._deliver()

    def receive_end(self, trailers: Fields) -> None:
        """Take note that the client sends no more on this stream.

        Raises:
            StreamFault: it sent less than it said.
        """
        incoming = self.incoming
        if incoming is None or incoming.ended:
            raise StreamFault(Code.STREAM_CLOSED)
        incoming.ended = True
        incoming.trailers = trailers
        if incoming.misfits:
            raise StreamFault(Code.PROTOCOL_ERROR)
        self._deliver()

    def drained(self, *, room: bool) -> None:
        """Take note that bytes went out; have the handler go on where there is room."""
        outgoing = self.outgoing
        if outgoing is None:
            return
        outgoing.moved = self._carrier.now()
        if room and outgoing.paused:
            outgoing.paused = False
            if self._handler is not None:
                self._tell(self._handler.resume)

    def sent_all(self) -> None:
        """Take note that the response is out to its end."""
        if self._tunnels and self.incoming is not None:
            return  # the client may go on
        if not self.client_ended:
            # RFC 9113 §8.1: what is left of the request is of no interest.
            self._carrier.give_up(self.number)
        self._carrier.patience.earn(SERVED)
        self.end()

    def lose(self) -> None:
        """End it: the client is gone, or gave it up."""
        if self.over:
            return
        handler = self._handler
        self.end()
        if handler is not None:
            self._tell(handler.lost)

    def fail(self) -> None:
        """End it with a 500, or where the response has begun, with a reset."""
        if self.status:
            self.abort()
        else:
            self.send(page(INTERNAL_SERVER_ERROR))

    def check(self, now: float) -> None:
        """End it if it stands still for too long: the client takes no response, or sends no body."""
        limits, incoming, outgoing = self._carrier.limits, self.incoming, self.outgoing
        if outgoing is not None and outgoing.size and now - outgoing.moved > limits.write_seconds:
            self._carrier.reset(self.number, Code.CANCEL)
            self.lose()
        elif incoming is not None and not self._tunnels and incoming.awaited_for(now) > limits.body_seconds:
            self._refuse(REQUEST_TIMEOUT)

    def end(self) -> None:
        """Let go of everything."""
        self.over = True
        self._handler = None
        if self.incoming is not None:
            self._carrier.taken(self.incoming.drop())
        self._carrier.forget(self)
        if self.done is not None:
            self.done(self)

    # What the application calls.

    def inform(self, status: int, fields: Fields = ()) -> None:
        """Send an interim response."""
        if not (self.over or self.status):
            self._carrier.sender.put(self._head(block(status, fields)))

    def send(self, response: Response) -> None:
        """Send a whole response.

        One that the windows take goes out in one piece: 4 us, measured with `timeit`.
        """
        if self.over:
            return
        self._check_not_begun()
        status = self.status = response.status
        head = self._block_of(response)
        body = response.body
        size = len(body)
        sender = self._carrier.sender
        if not size or is_silent(self.request.method, status):
            sender.put(self._head(head, ended=True))
            self.sent_all()
        elif size <= FRAME_SIZE and sender.take_window(self, size):
            self.sent = size
            sender.put(self._head(head), frames.head(size, DATA, END_STREAM, self.number), body)
            self.sent_all()
        else:
            sender.put(self._head(head))
            self._add(body)
            self.finish()

    def start(self, status: int, fields: Fields) -> None:
        """Begin a final response."""
        if self.over:
            return
        self._check_not_begun()
        head = self._final_block(status, fields)
        self._silent = is_silent(self.request.method, status)
        self._left = None if self._silent else declared_length(fields)
        self.status = status
        self._carrier.sender.put(self._head(head))

    def write(self, data: bytes) -> None:
        """Send more of the body."""
        if self.over or self._silent or not data or not self.status or self._ended:
            return
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self._misfit()
                return
        self._add(data)

    def finish(self, trailers: Fields = ()) -> None:
        """End the response, or our direction of the tunnel."""
        if self.over or not self.status or self._ended:
            return
        if self._left:
            self._misfit()
            return
        outgoing = self.outgoing = self.outgoing or Outgoing(self._carrier.now())
        outgoing.trailers = allowed_trailers(tuple([(name.lower(), value) for name, value in checked(trailers)]))
        outgoing.ended = True
        self._carrier.sender.ready(self)

    def abort(self) -> None:
        """Break the exchange off."""
        if not self.over:
            self._carrier.reset(self.number, Code.INTERNAL_ERROR)
            self.end()

    def tunnel(self, fields: Fields) -> None:
        """Accept an extended CONNECT: RFC 8441 §5."""
        if self.over:
            return
        if not self.request.upgrade:
            raise RuntimeError("Nobody asked for a tunnel")
        self.start(OK, fields)
        self._tunnels = True
        self._left = None

    def pause_body(self) -> None:
        """Hold back the request's body."""
        if self.incoming is not None:
            self.incoming.paused = True

    def resume_body(self) -> None:
        """Let the request's body come."""
        if self.incoming is not None and self.incoming.paused:
            self.incoming.paused = False
            self.incoming.moved = self._carrier.now()
            self._deliver()

    # The body that goes out.

    @property
    def _ended(self) -> bool:
        return self.outgoing is not None and self.outgoing.ended

    @property
    def _all_out(self) -> bool:
        outgoing = self.outgoing
        return outgoing is not None and outgoing.ended and not outgoing.size and not self.queued

    def _add(self, data: bytes) -> None:
        outgoing = self.outgoing = self.outgoing or Outgoing(self._carrier.now())
        if not outgoing.size:
            outgoing.moved = self._carrier.now()
        outgoing.add(data)
        self._carrier.sender.ready(self)
        if outgoing.size >= HIGH_WATER and not outgoing.paused and not self.over:
            outgoing.paused = True
            if self._handler is not None:
                self._tell(self._handler.pause)

    def _misfit(self) -> None:
        _log.error("An application's response has another length than its Content-Length says")
        handler = self._handler
        self.abort()
        if handler is not None:
            self._tell(handler.lost)

    # The body that comes in.

    def _deliver(self) -> None:
        """Hand on what is held, as long as the application wants it."""
        incoming = self.incoming
        while incoming is not None and self._handler is not None and (data := incoming.next()) is not None:
            self._tell(self._handler.body, data)
            self._taken(len(data))
        if incoming is None or self.over or not incoming.ended or incoming.paused:
            return
        self.incoming = None
        if self._handler is not None:
            self._tell(self._handler.body_end, incoming.trailers)
        if self._tunnels and self._all_out and not self.over:
            self.sent_all()

    def _taken(self, size: int) -> None:
        """Give the client back what it may send, half a window at a time."""
        self._carrier.taken(size)
        if self.incoming is not None and not self.over and (more := self.incoming.taken(size)):
            self._carrier.sender.put(frames.window_update(self.number, more))

    def _too_long(self, size: int) -> bool:
        if self.body_limit is None or size <= self.body_limit:
            return False
        self._refuse(CONTENT_TOO_LARGE)
        return True

    def _refuse(self, status: int) -> None:
        """End it for what the client does, and tell the client, where that can still be done."""
        handler, self._handler = self._handler, None
        if self.status:
            self.abort()
        else:
            self.send(page(status))
        if handler is not None:
            self._tell(handler.lost)

    # The head of the response.

    def _head(self, block: bytes, *, ended: bool = False) -> bytes:
        return frames.headers(self.number, self._carrier.sender.start_block() + block, ended=ended)

    def _block_of(self, response: Response) -> bytes:
        """Return the block of a whole response; but for odd ones that is put together of three that are kept."""
        carrier, added, names = self._carrier, self.added, response.names
        if SERVER_NAMES.isdisjoint(names) and added.names.isdisjoint(names) and SERVER_NAMES.isdisjoint(added.names):
            return kept_block(response) + encoded(added.lower) + carrier.server_block()
        return self._final_block(response.status, response.lower_fields)

    def _final_block(self, status: int, fields: Fields) -> bytes:
        return final_block(status, fields, self.added, self._carrier.server_fields())

    # The application.

    def _check_not_begun(self) -> None:
        if self.status:
            raise RuntimeError("There is one final response to a request")

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        """Call a handler; what it raises costs its own exchange."""
        try:
            call(*arguments)
        except Exception:  # noqa: BLE001 - an application's fault
            self._failed(call.__name__)

    def _failed(self, what: str) -> None:
        _log.failure("{application} failed in {what}", application=self._carrier.application, what=what)
        if not self.over:
            self._handler = None
            self.fail()
