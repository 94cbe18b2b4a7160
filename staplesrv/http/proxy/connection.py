"""One connection to a backend: a request goes out, an answer comes in, then the next.

Theory of operation: a `BackendConnection` serves one `Taker` at a time, the side of an exchange that is turned to the
backend. `begin` writes a request's head; its content follows by `content` and `content_end`. What comes in goes to the
method in `_take`: at first the one that collects a head, then content or a tunnel's bytes. When answer and request are
both complete and the backend keeps the connection, it goes back to its `Backend` before the taker hears of the end:
what the taker does then may be the next request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from staplesrv.http.http1.bodies import Body, Endless
from staplesrv.http.http1.outlet import Outlet
from staplesrv.http.proxy.answer import content
from staplesrv.http.proxy.response_head import FINAL, BadAnswer, ResponseHead
from staplesrv.http.proxy.response_heads import ResponseHeads
from staplesrv.http.proxy.taker import Broken, Taker

_SWITCHING = 101

_DONE = Failure(ConnectionDone())  # type: ignore[no-untyped-call]


class Keeper(Protocol):
    """Whose connection it is."""

    def free(self, connection: BackendConnection) -> None:
        """Take back a connection that can serve another request."""

    def gone(self, connection: BackendConnection) -> None:
        """Forget a connection: it is closed."""


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class BackendConnection(TwistedProtocol):
    """One connection to a backend.

    Args:
        keeper: Whose it is.
        secure: It is over TLS, and not ready before the handshake is over.

    Attributes:
        ready: Fires with the connection when it can be used; with why not where that never comes. None when it has.
        used: It has served a request before.
    """

    def __init__(self, keeper: Keeper, *, secure: bool = False) -> None:
        self._keeper = keeper
        self._secure = secure
        self.ready: Deferred[BackendConnection] | None = Deferred(self._given_up)
        self._taker: Taker | None = None
        self._take: Callable[[bytes], None] = self._unasked
        self._heads = ResponseHeads()
        self._content: Body | None = None
        self._keeps = False
        self._sending = False
        self._method = b""
        self._asks_upgrade = b""
        self._tunnel = False
        self._paused = False
        self.used = False

    # The request.

    def begin(self, taker: Taker, head: bytes, *, method: bytes, complete: bool, upgrade: bytes = b"") -> None:
        """Send the head of a request.

        Args:
            taker: Gets the answer.
            head: To the empty line.
            method: Of the request.
            complete: No content follows.
            upgrade: What the request asks to change to.
        """
        self._taker = taker
        self._method = method
        self._asks_upgrade = upgrade
        self._sending = not complete
        self._heads.begin()
        self._take = self._take_head
        if complete:
            self._outlet.put_last(head)
        else:
            # Content that is there already goes out with it.
            self._outlet.put(head)

    def send(self, data: bytes) -> None:
        """Send content of the request, framed, or a tunnel's bytes."""
        if self._tunnel:
            self._outlet.put_last(data)
        else:
            self._outlet.put(data)

    def complete(self) -> None:
        """The request's content is all sent."""
        self._sending = False

    def half_close(self) -> None:
        """Send no more in a tunnel. TLS of Twisted's has no half-close: there nothing is said."""
        self._outlet.close_direction()

    def is_open(self) -> bool:
        """Tell whether the backend has not closed the connection yet, as far as that can be known."""
        # Over TLS it is that of the TCP connection below, which is as good.
        look = getattr(self._transport, "is_open", None)
        return look is None or bool(look())

    def pause(self) -> None:
        """Read no more until `resume`."""
        if not self._paused:
            self._paused = True
            self._transport.pauseProducing()

    def resume(self) -> None:
        """Read on."""
        if self._paused:
            self._paused = False
            self._transport.resumeProducing()

    def drop(self) -> None:
        """Close the connection at once; its taker hears nothing more."""
        self._let_go()
        self._outlet.abort()

    def close(self) -> None:
        """Close the connection when what was written is sent; its taker hears nothing more."""
        self._let_go()
        self._outlet.close()

    # What Twisted calls.

    @property
    def _transport(self) -> Any:
        return self.transport

    def connectionMade(self) -> None:
        """Get to know the transport."""
        transport = self._transport
        self._outlet = Outlet(transport, self._full, self._empty)
        if hasattr(transport, "setTcpNoDelay"):
            transport.setTcpNoDelay(True)
        if not self._secure:
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        """The connection can be used: the backend is who it is to be."""
        ready, self.ready = self.ready, None
        if ready is not None:
            ready.callback(self)

    def dataReceived(self, data: bytes) -> None:
        """Take what the backend sends."""
        try:
            self._take(data)
        except BadAnswer:
            self._break(Broken.BAD)

    def readConnectionLost(self) -> None:
        """The backend sends no more."""
        if self._tunnel and self._taker is not None:
            self._take = self._ignore
            self._taker.ended(())
        else:
            self._input_over(orderly=True)
            self.close()

    def writeConnectionLost(self) -> None:
        """We send no more, as was wished."""

    def connectionLost(self, reason: Failure = _DONE) -> None:
        """The connection is closed."""
        ready, self.ready = self.ready, None
        if ready is not None:
            ready.errback(reason)
        self._input_over(orderly=isinstance(reason.value, ConnectionDone))
        self._let_go()
        self._outlet.over()

    def _full(self) -> None:
        """Have no more content come."""
        if self._taker is not None:
            self._taker.blocked()

    def _empty(self) -> None:
        """Have content come on."""
        if self._taker is not None:
            self._taker.drained()

    def _given_up(self, _ready: Deferred[BackendConnection]) -> None:
        self.ready = None
        self.drop()

    # The answer.

    def _let_go(self) -> None:
        self._taker = None
        self._take = self._ignore
        self._keeper.gone(self)

    def _input_over(self, *, orderly: bool) -> None:
        taker = self._taker
        if taker is None:
            return
        if orderly and (self._tunnel or isinstance(self._content, Endless)):
            self._let_go()
            taker.ended(())
        else:
            self._break(Broken.CLOSED)

    def _break(self, why: Broken) -> None:
        taker = self._taker
        self.drop()
        if taker is not None:
            taker.broken(why)

    def _ignore(self, data: bytes) -> None:
        """Drop what comes after the end."""

    def _unasked(self, data: bytes) -> None:  # noqa: ARG002 - nothing of it is looked at
        """Close a connection on which a backend speaks unasked: it would be taken for the next request's answer."""
        self.drop()

    def _take_head(self, data: bytes) -> None:
        head, rest = self._heads.take(data)
        taker = self._taker
        if head is None or taker is None:
            return
        if head.status == _SWITCHING:
            self._switch(taker, head, rest)
        elif head.status >= FINAL:
            self._answer(taker, head, rest)
        else:
            taker.informed(head)
            if rest:
                self._take(rest)

    def _answer(self, taker: Taker, head: ResponseHead, rest: bytes) -> None:
        self._keeps = head.keeps
        length = head.length if head.has_content(self._method) else 0
        if 0 <= length <= len(rest):
            self._end(surplus=length != len(rest))
            taker.whole(head, rest[:length])
            return
        self._content = content(length)
        self._take = self._take_content
        taker.begun(head)
        if rest and self._taker is taker:
            self._take_content(rest)

    def _take_content(self, data: bytes) -> None:
        source, taker = self._content, self._taker
        if source is None or taker is None:
            return
        piece = source.feed(data)
        if piece:
            taker.data(piece)
        if self._taker is not taker:
            return  # it has let go of the connection
        if source.refusal is not None:
            raise BadAnswer("content of another form")
        if source.over:
            self._end(surplus=bool(source.rest))
            taker.ended(source.trailers)

    def _end(self, *, surplus: bool) -> None:
        """The answer is complete: the connection is free, or not worth keeping."""
        self._content = None
        # An answer before the end of the request: what is missing will never come, or never be read. What comes beyond
        # an answer's end nobody has asked for. And llhttp, for one, reads no more requests after one for an upgrade.
        if self._sending or self._outlet.blocked or surplus or self._asks_upgrade or not self._keeps:
            self.drop()
            return
        self._taker = None
        self._take = self._unasked
        self.resume()
        self.used = True
        self._keeper.free(self)

    def _switch(self, taker: Taker, head: ResponseHead, rest: bytes) -> None:
        if not self._asks_upgrade or head.upgrade != self._asks_upgrade:
            raise BadAnswer("a change of protocols that nobody asked for")
        self._tunnel = True
        self._take = taker.data
        taker.switched(head)
        if rest and self._taker is taker:
            taker.data(rest)
