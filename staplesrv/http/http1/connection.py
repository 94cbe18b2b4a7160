"""The server's side of one HTTP/1.1 connection: requests in, one after the other; RFC 9112.

Theory of operation: what comes is kept in the `Inlet` until it is somebody's turn: the next head's, while no exchange
is under way; the current request's body's, for a handler or, after the answer, for nobody. While an exchange waits for
its answer and more requests wait behind it, or the handler holds the body back, nothing is read from the client, so
that a connection never keeps more than one read. `_advance` goes on for as long as something can be done; what the
application does meanwhile changes the state and leaves it to the loop.

The parts: `Heads` knows where heads end, a `Body` where bodies do, `HTTP1Exchange` frames the answers, `Outlet` knows
whether the client takes them, and `Waiting` how long it has been waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from staplesrv.http.exchange import Connection
from staplesrv.http.http1.bodies import Body, Endless, Sized
from staplesrv.http.http1.chunks import Chunks
from staplesrv.http.http1.exchange import CONTINUE, HTTP1Exchange
from staplesrv.http.http1.framing import CLOSE, END
from staplesrv.http.http1.head import BAD_REQUEST, Head
from staplesrv.http.http1.inlet import Inlet
from staplesrv.http.http1.outlet import Outlet
from staplesrv.http.http1.refusal import Refusal
from staplesrv.http.http1.waiting import Waiting
from staplesrv.http.pages import page
from staplesrv.http.refused_request import RefusedRequest, UnreadRequest
from staplesrv.http.response import status_line

if TYPE_CHECKING:
    from staplesrv.http.factory import HTTPFactory

REQUEST_TIMEOUT = 408
CONTENT_TOO_LARGE = 413

LINGER_SECONDS = 5.0
"""How long a client whose request was not read to its end may go on sending after the answer: closing at once would
send a reset, which can overtake the answer (RFC 9112 §9.6)."""

_CONTINUE = status_line(CONTINUE) + END


@implementer(IHalfCloseableProtocol)
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
        self._connection = connection
        self.server_fields = factory.server_fields
        self._head: Head | None = None
        self._exchange: HTTP1Exchange | None = None
        self._waiting = Waiting(factory.clock.seconds, factory.limits.idle_seconds)
        # Of what the client sends:
        self._advancing = False
        self._body: Body | None = None
        self._taken = 0  # bytes of it
        self._held = False
        self._awaits_continue = False
        # Of the end:
        self._stopping = False
        self._closing = False
        self._lingering = False
        self._output_over = False

    # What the transport calls.

    def connectionMade(self) -> None:
        """Get hold of both directions."""
        self._inlet = Inlet(self.transport)
        self._outlet = Outlet(self.transport, self._full, self._empty)

    def dataReceived(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._exchange is None and not self._inlet.waiting:
            # What most clients send most of the time: one known head, and nothing else. With an application that
            # answers at once, 2.2 us from here to the transport's write; 6 to 11 more for a head that is new (timeit).
            head = self._known.get(data)
            if head is not None and self._body is None and not (self._outlet.blocked or self._closing):
                self._handle(head)
                return
        if not self._closing:
            self._inlet.put(data)
            self._advance()

    def readConnectionLost(self) -> None:
        """The client sends no more; it still gets what it asked for."""
        self._inlet.over = True
        if self._lingering:
            self._lose()
        elif not self._closing:
            self._advance()

    def writeConnectionLost(self) -> None:
        """Our direction is closed, as was asked for."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted's interface
        """End what is under way."""
        self._closing = True
        self._inlet.drop()
        self._outlet.over()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.gone()

    # What the factory calls.

    def stop(self) -> None:
        """Take no more requests after the current one, or the next one: the server is going to stop."""
        self._stopping = True

    def end_idle(self) -> None:
        """End if no request is under way."""
        if self._exchange is None and self._body is None and not self._inlet.waiting:
            self._close()

    def check(self, now: float) -> None:
        """End what has taken too long."""
        if not self._waiting.is_over(now):
            return
        if self._lingering:
            self._lose()
        elif self._outlet.blocked or self._closing:
            self._outlet.abort()
        elif self._body is not None or self._inlet.waiting:
            self._refuse(REQUEST_TIMEOUT)
        else:
            self._close()

    # What exchanges call.

    def put(self, data: bytes) -> None:
        """Send bytes."""
        self._outlet.put(data)

    def keeps(self) -> bool:
        """Tell whether another request can follow."""
        head, body = self._head, self._body
        return (
            head is not None
            and head.keep
            and not self._stopping
            and (body is None or (body.small and not self._awaits_continue))
        )

    def answered(self, data: bytes, *, keep: bool) -> None:
        """Send the end of a response; go on to the next request, or end."""
        self._exchange = None
        self._held = False
        if not keep or self._stopping:
            self._outlet.put(data)
            self._close()
            return
        self._waiting.begin(self._limits.idle_seconds)
        self._outlet.put_last(data)
        inlet = self._inlet
        if inlet.waiting or self._body is not None or inlet.over or not inlet.reading:
            self._advance()

    def continued(self) -> None:
        """The client was told to go on."""
        self._awaits_continue = False

    def open_tunnel(self) -> None:
        """What the client sends from now on is the tunnel's."""
        self._body = Endless()
        self._advance()

    def end_tunnel(self) -> None:
        """Close our direction; with the client's closed already, or where that can't be done, the connection."""
        exchange = self._exchange
        if exchange is None or self._output_over:
            return
        self._output_over = True
        if self._body is None:
            exchange.end()
            self._close_tunnel()
        elif not self._outlet.close_direction():
            exchange.gone()
            self._close_tunnel()

    def broken(self, *, unframed: bool) -> None:
        """End the connection in the middle of a response."""
        self._exchange = None
        self._closing = True
        self._inlet.drop()
        if unframed:
            self._outlet.abort()
        else:
            self._waiting.begin(self._outlet.patience(self._limits.write_seconds))
            self._outlet.break_off()

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
        if self._exchange is not None or self._outlet.blocked:
            return False
        inlet = self._inlet
        if inlet.waiting:
            head = inlet.take_head(self._factory.heads)
            if head is not None:
                self._handle(head)
                return True
        if inlet.over:
            self._close()
        return False

    def _settle(self) -> None:
        """Read on or not, and wait for what there is to wait for."""
        if self._closing:
            return
        waits = bool(self._inlet.waiting) and (self._exchange is not None or self._outlet.blocked)
        self._inlet.read(reading=not waits and not (self._held and self._body is not None))
        if not self._outlet.blocked:
            self._wait()

    def _wait(self) -> None:
        limits, waiting = self._limits, self._waiting
        if self._body is not None:
            endless = self._held or isinstance(self._body, Endless)
            waiting.begin(None if endless else limits.body_seconds)
        elif self._exchange is not None:
            waiting.begin(None)
        elif self._inlet.waiting:
            waiting.begin_head(limits.header_seconds)
        else:
            waiting.begin(limits.idle_seconds)

    def _full(self) -> None:
        """The client does not take what is sent."""
        self._waiting.begin(self._outlet.patience(self._limits.write_seconds))
        if self._exchange is not None:
            self._exchange.tell("pause")

    def _empty(self) -> None:
        """It has taken it all."""
        if self._exchange is not None:
            self._exchange.tell("resume")
        self._advance()

    def _handle(self, head: Head) -> None:
        """Have the application answer a request."""
        request = head.request
        self._head = head
        if request.length != 0:
            self._body = Chunks(self._limits) if request.length is None else Sized(request.length)
            self._taken = 0
            self._awaits_continue = request.expects_continue
        exchange = self._exchange = HTTP1Exchange(request, self._connection, self)
        self._factory.exchange_begins(exchange)
        exchange.begin(self._application)
        if self._exchange is exchange:
            self._go_on(exchange)

    def _go_on(self, exchange: HTTP1Exchange) -> None:
        """The answer comes later; see to the body."""
        if self._outlet.blocked:
            exchange.tell("pause")
        length = exchange.request.length
        if length and exchange.body_limit is not None and length > exchange.body_limit:
            exchange.break_off(CONTENT_TOO_LARGE)
        elif self._body is None:
            exchange.tell("body_end", ())
        elif self._awaits_continue and not (exchange.holds_continue or exchange.status or self._inlet.waiting):
            self._awaits_continue = False
            self._outlet.put(_CONTINUE)
        if not self._advancing:
            self._settle()

    def _take_body(self, body: Body) -> bool:
        """Read on in a body, for its handler or for nobody."""
        inlet = self._inlet
        if not inlet.waiting:
            return inlet.over and self._end_of_input(body)
        content = inlet.take_content(body)
        self._awaits_continue = False
        self._taken += len(content)
        exchange = self._exchange
        if exchange is not None and self._is_too_large(exchange):
            exchange.break_off(CONTENT_TOO_LARGE)
            return True
        if body.over:
            self._body = None
        if exchange is not None and content:
            exchange.tell("body", content)
        if body.refusal is not None:
            raise body.refusal
        if exchange is not None and body.over:
            exchange.tell("body_end", body.trailers)
        return True

    def _is_too_large(self, exchange: HTTP1Exchange) -> bool:
        limit = exchange.body_limit
        return limit is not None and self._taken > limit and not isinstance(self._body, Endless)

    def _end_of_input(self, body: Body) -> bool:
        """The client sends no more, in the middle of a body."""
        if not isinstance(body, Endless):
            raise Refusal(BAD_REQUEST)
        self._body = None
        exchange = self._exchange
        if exchange is not None:
            exchange.tell("body_end", ())
        if exchange is not None and self._exchange is exchange and self._output_over:
            exchange.end()
            self._close_tunnel()
        return False

    # Ending.

    def _refuse(self, status: int) -> None:
        """Answer what is no request, or no body of one, and end."""
        if self._exchange is None and self._body is None:
            self._answer_unread(status)
            return
        self._factory.refused += 1
        if self._exchange is not None:
            self._exchange.break_off(status)
        # Else the request was answered before the rest of its body came, and nobody waits for another answer.
        self._close()

    def _answer_unread(self, status: int) -> None:
        """Answer where there was no request, and end."""
        response = page(status)
        request = UnreadRequest(self._inlet.first_line(self._limits.request_line))
        seconds = self._waiting.seconds_in_head()
        self._factory.refuse(RefusedRequest(self._connection, request, status, len(response.body), seconds))
        self._outlet.put(b"".join((response.lines, self.server_fields.lines(), CLOSE, END, response.body)))
        self._close(linger=True)

    def _close_tunnel(self) -> None:
        self._exchange = self._body = None
        self._close()

    def _close(self, *, linger: bool = False) -> None:
        """End the connection when all is sent.

        Args:
            linger: The client may still be sending, as it is in the middle of a body.
        """
        if self._closing:
            return
        self._closing = True
        self._inlet.drop()
        if (not linger and self._body is None) or self._inlet.over:
            self._lose()
            return
        self._lingering = True
        self._waiting.begin(LINGER_SECONDS)
        self._outlet.close_direction()
        self._inlet.read(reading=True)

    def _lose(self) -> None:
        self._lingering = False
        self._waiting.begin(self._outlet.patience(self._limits.write_seconds))
        self._outlet.close()
