"""The server's side of one HTTP/1.1 connection: requests in, one after the other; RFC 9112.

Theory of operation: what comes is kept in `_input` until it is somebody's turn: the next head's, while no exchange is
under way; the current request's body's, for a handler or, after the answer, for nobody. While an exchange waits for its
answer and more requests wait behind it, or the handler holds the body back, nothing is read from the client, so that a
connection never keeps more than one read. `_advance` goes on for as long as something can be done; what the
application does meanwhile changes the state and leaves it to the loop.

The transport gets this object as its push producer once 64 KiB may wait there, and until they are gone: a response in
the usual size pays nothing for that. While the transport is full no further request is taken.

The connection is always waiting for one thing, since some moment, with some patience (`_since`, `_allowed`). Every few
seconds it is looked at (`check`); a change costs two assignments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from staplesrv.http.exchange import Connection, Handler
from staplesrv.http.http1.bodies import Body, Endless, Sized
from staplesrv.http.http1.chunks import Chunks
from staplesrv.http.http1.exchange import HTTP1Exchange
from staplesrv.http.http1.head import BAD_REQUEST, Head
from staplesrv.http.http1.refusal import Refusal
from staplesrv.http.pages import page
from staplesrv.http.response import status_line

if TYPE_CHECKING:
    from staplesrv.http.factory import HTTPFactory

REQUEST_TIMEOUT = 408
CONTENT_TOO_LARGE = 413
INTERNAL_SERVER_ERROR = 500

UNPROVEN = 65_536
"""Bytes that are written to the transport before it is asked, by registering as its producer, whether it keeps up."""

LINGER_SECONDS = 5.0
"""How long a client whose request was not read to its end may go on sending after the answer: closing at once would
send a reset, which can overtake the answer (RFC 9112 §9.6)."""

_CONTINUE = status_line(100) + b"\r\n"

_log = Logger()


@implementer(IHalfCloseableProtocol, IPushProducer)
class HTTP1Connection(Protocol):
    """Speaks HTTP/1.1 and HTTP/1.0 with one client.

    Args:
        factory: What all connections share.
        connection: The facts that exchanges are given.
    """

    transport: Any

    def __init__(self, factory: HTTPFactory, connection: Connection) -> None:
        self._factory = factory
        self._application = factory.application
        self._known = factory.heads.known
        self._limits = factory.limits
        self._seconds = factory.clock.seconds
        self._connection = connection
        self.server_fields = factory.server_fields
        self._input = b""
        self._input_over = False
        self._head: Head | None = None
        self._exchange: HTTP1Exchange | None = None
        self._handler: Handler | None = None
        self._body: Body | None = None
        self._taken = 0  # of the body
        self._awaits_continue = False
        self._held = False
        self._reading = True
        self._advancing = False
        self._stopping = False
        self._closing = False
        self._lingering = False
        self._unproven = 0
        self._producing = False
        self._blocked = False
        self._since = self._seconds()
        self._allowed: float | None = self._limits.idle_seconds

    # What the transport calls.

    def dataReceived(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._exchange is None and not self._input:
            # What most clients send most of the time: one known head, and nothing else.
            head = self._known.get(data)
            if head is not None and self._body is None and not (self._blocked or self._closing):
                self._handle(head)
                return
        if not self._closing:
            self._input = self._input + data if self._input else data
            self._advance()

    def readConnectionLost(self) -> None:
        """The client sends no more; it still gets what it asked for."""
        self._input_over = True
        if self._lingering:
            self._lose()
        elif not self._closing:
            self._advance()

    def writeConnectionLost(self) -> None:
        """Our direction is closed, as was asked for."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted's interface
        """End what is under way."""
        self._closing = True
        self._input = b""
        exchange, handler = self._let_go()
        if exchange is not None:
            exchange.lost()
            self._tell_lost(handler)

    def pauseProducing(self) -> None:
        """The transport is full."""
        self._blocked = True
        self._await(self._limits.write_seconds * (1 + self._unproven // UNPROVEN))
        if self._handler is not None:
            self._tell("pause")

    def resumeProducing(self) -> None:
        """The transport is empty again."""
        self._blocked = False
        self._ask_no_more()
        if self._handler is not None:
            self._tell("resume")
        self._advance()

    def stopProducing(self) -> None:
        """The connection ends; `connectionLost` follows."""

    # What the factory calls.

    def stop(self) -> None:
        """Take no more requests after the current one: the server is going to stop."""
        self._stopping = True
        if self._exchange is None and self._body is None and not self._input:
            self._close()

    def check(self, now: float) -> None:
        """End what has taken too long."""
        if self._allowed is not None and now - self._since >= self._allowed:
            self._give_up()

    # What exchanges call.

    def put(self, data: bytes) -> None:
        """Send bytes."""
        self._unproven += len(data)
        if self._unproven <= UNPROVEN or self._closing:
            self.transport.write(data)
            return
        if not self._producing:
            self._producing = True
            self.transport.registerProducer(self, True)
        self.transport.write(data)
        if not self._blocked and self._producing:
            self._ask_no_more()

    def keeps(self) -> bool:
        """Tell whether another request can follow."""
        head, body = self._head, self._body
        return (
            head is not None
            and head.keep
            and not self._stopping
            and (body is None or (body.small and not self._awaits_continue))
        )

    def answered(self, *, keep: bool) -> None:
        """Go on to the next request, or end."""
        self._let_go()
        if keep and not self._stopping:
            self._since = self._seconds()
            self._allowed = self._limits.idle_seconds
            if self._input or self._body is not None or self._input_over or not self._reading or self._blocked:
                self._advance()
        else:
            self._close()

    def continued(self) -> None:
        """The client was told to go on."""
        self._awaits_continue = False

    def open_tunnel(self) -> None:
        """What the client sends from now on is the tunnel's."""
        self._body = Endless()
        self._advance()

    def end_tunnel(self) -> None:
        """Close our direction."""
        if (self._input_over and self._body is None) or not self._half_close():
            self._end_exchange()
            self._close()

    def broken(self) -> None:
        """End the connection at once."""
        self._let_go()
        self._closing = True
        self.transport.abortConnection()

    def hold(self, *, hold: bool) -> None:
        """Hold back the body, or no longer."""
        self._held = hold
        self._advance()

    # Going on.

    def _advance(self) -> None:
        if self._advancing:
            return
        self._advancing = True
        try:
            while not self._closing and self._step():
                pass
        except Refusal as refusal:
            self._refuse(refusal.status)
        finally:
            self._advancing = False
        self._settle()

    def _step(self) -> bool:
        """Do the next thing; tell whether there may be another."""
        if self._body is not None:
            return not self._held and self._take_body(self._body)
        if self._exchange is not None or self._blocked:
            return False
        if self._input:
            head, self._input = self._factory.heads.take(self._input)
            if head is not None:
                self._handle(head)
                return True
        if self._input_over:
            self._close()
        return False

    def _settle(self) -> None:
        """Read on or not, and wait for what there is to wait for."""
        if self._closing:
            return
        waits = bool(self._input) and (self._exchange is not None or self._blocked)
        reading = not waits and not (self._held and self._body is not None)
        if reading != self._reading:
            self._reading = reading
            (self.transport.resumeProducing if reading else self.transport.pauseProducing)()
        if not self._blocked:
            self._await_next()

    def _await_next(self) -> None:
        limits = self._limits
        if self._body is not None:
            endless = self._held or isinstance(self._body, Endless)
            self._await(None if endless else limits.body_seconds)
        elif self._exchange is not None:
            self._await(None)
        elif not self._input:
            self._await(limits.idle_seconds)
        elif self._allowed is not limits.header_seconds:
            # Counted from its first byte: else one byte now and then would do.
            self._await(limits.header_seconds)

    def _await(self, seconds: float | None) -> None:
        self._since = self._seconds()
        self._allowed = seconds

    def _handle(self, head: Head) -> None:
        """Have the application answer a request."""
        request = head.request
        self._head = head
        if request.length != 0:
            self._body = Chunks(self._limits) if request.length is None else Sized(request.length)
            self._taken = 0
            self._held = False
            self._awaits_continue = request.expects_continue
        exchange = self._exchange = HTTP1Exchange(head, self._connection, self)
        self._factory.exchange_begins(exchange)
        try:
            handler = self._application.handle(exchange)
        except Exception:  # noqa: BLE001 - the application's own fault, whatever it is
            self._failed(exchange)
            return
        if self._exchange is exchange:
            self._go_on(exchange, handler)

    def _go_on(self, exchange: HTTP1Exchange, handler: Handler | None) -> None:
        """An application has not answered yet; see to it that it will."""
        if handler is None:
            _log.error("an application neither answered a request nor returned a handler for it")
            self._break_off(INTERNAL_SERVER_ERROR)
            return
        self._handler = handler
        if self._blocked:
            self._tell("pause")
        length = exchange.request.length
        if length and exchange.body_limit is not None and length > exchange.body_limit:
            self._break_off(CONTENT_TOO_LARGE)
        elif self._body is None:
            self._tell("body_end", ())
        elif self._awaits_continue and not (exchange.holds_continue or exchange.status or self._input):
            self._awaits_continue = False
            self.put(_CONTINUE)
        self._settle()

    def _take_body(self, body: Body) -> bool:
        """Read on in a body."""
        if not self._input:
            return self._input_over and self._end_of_input(body)
        data, self._input = self._input, b""
        content = body.feed(data)
        self._awaits_continue = False
        self._taken += len(content)
        exchange = self._exchange
        if exchange is not None and self._is_too_large(exchange):
            self._break_off(CONTENT_TOO_LARGE)
            return True
        if body.over:
            self._body = None
            self._input = body.rest
        if content and self._handler is not None:
            self._tell("body", content)
        if body.over and self._handler is not None and self._exchange is exchange:
            self._tell("body_end", body.trailers)
        return True

    def _is_too_large(self, exchange: HTTP1Exchange) -> bool:
        limit = exchange.body_limit
        return limit is not None and self._taken > limit and not isinstance(self._body, Endless)

    def _end_of_input(self, body: Body) -> bool:
        """The client sends no more, in the middle of a body."""
        if isinstance(body, Endless):
            self._body = None
            self._tell("body_end", ())
            return False
        raise Refusal(BAD_REQUEST)

    # Ending.

    def _refuse(self, status: int) -> None:
        """Answer what is no request, or no body of one, and end."""
        self._factory.refused += 1
        if self._exchange is not None:
            self._break_off(status)
        elif not self._closing:
            response = page(status)
            lines = (response.lines, self.server_fields.lines(), b"Connection: close\r\n\r\n", response.body)
            self.put(b"".join(lines))
            self._close(linger=True)

    def _break_off(self, status: int) -> None:
        """End the exchange without its application: with a page where that is possible."""
        exchange, handler = self._exchange, self._handler
        if exchange is None:
            return
        self._handler = None
        self._stopping = True
        if exchange.status:
            exchange.abort()
        else:
            exchange.send(page(status))
        self._tell_lost(handler)

    def _failed(self, exchange: HTTP1Exchange) -> None:
        """An application, or its handler, raised."""
        _log.failure(
            "an application failed at {method} {target}", method=exchange.request.method, target=exchange.request.target
        )
        if self._exchange is exchange:
            self._handler = None
            self._break_off(INTERNAL_SERVER_ERROR)

    def _tell(self, what: str, *of: Any) -> None:
        exchange = self._exchange
        try:
            getattr(self._handler, what)(*of)
        except Exception:  # noqa: BLE001 - the application's own fault, whatever it is
            if exchange is not None:
                self._failed(exchange)

    def _tell_lost(self, handler: Handler | None) -> None:
        if handler is None:
            return
        try:
            handler.lost()
        except Exception:  # noqa: BLE001 - the application's own fault, whatever it is
            _log.failure("an application failed when its client was lost")

    def _let_go(self) -> tuple[HTTP1Exchange | None, Handler | None]:
        exchange, handler = self._exchange, self._handler
        self._exchange = self._handler = None
        return exchange, handler

    def _end_exchange(self) -> None:
        exchange, _ = self._let_go()
        if exchange is not None:
            exchange.lost()

    def _give_up(self) -> None:
        """The client has taken too long."""
        if self._blocked or (self._closing and not self._lingering):
            self.transport.abortConnection()
        elif self._lingering:
            self._lose()
        elif self._body is not None or self._input:
            self._refuse(REQUEST_TIMEOUT)
        else:
            self._close()

    def _close(self, *, linger: bool = False) -> None:
        """End the connection when all is sent."""
        if self._closing:
            return
        unread = linger or self._body is not None
        self._closing = True
        self._input = b""
        self._blocked = False
        self._ask_no_more()
        if unread and not self._input_over:
            self._lingering = True
            self._await(LINGER_SECONDS)
            self._half_close()
            if not self._reading:
                self._reading = True
                self.transport.resumeProducing()
        else:
            self._lose()

    def _lose(self) -> None:
        self._lingering = False
        self._await(self._limits.write_seconds * (1 + self._unproven // UNPROVEN))
        self.transport.loseConnection()

    def _half_close(self) -> bool:
        """Close our direction where the transport can do so; tell whether it can."""
        # Asked of the class: Twisted's TLS over another transport hands what it does not know to the TCP below, where
        # it would cut the records that are still to be sent.
        if not hasattr(type(self.transport), "loseWriteConnection"):
            return False
        self._ask_no_more()
        self.transport.loseWriteConnection()
        return True

    def _ask_no_more(self) -> None:
        self._unproven = 0
        if self._producing:
            self._producing = False
            self.transport.unregisterProducer()
