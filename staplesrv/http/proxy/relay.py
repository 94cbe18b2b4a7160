"""One exchange on its way through the proxy: the client's side and the backend's, joined.

Theory of operation: a `Relay` is the exchange's `Handler` and the connection's `Taker`. It asks a backend, and the next
one where that failed before anything was lost by it; from the moment the request's content began to be sent, or an
answer came, there is no way back. Neither side is read faster than the other one takes it, and nothing else is kept:
what waits is in the two transports' buffers.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from staplesrv.deadlines import Deadlines
from staplesrv.http.exchange import Exchange
from staplesrv.http.fields import Fields
from staplesrv.http.pages import page
from staplesrv.http.proxy.answer import Answer
from staplesrv.http.proxy.attempts import Attempts
from staplesrv.http.proxy.backends import Backends, Timed
from staplesrv.http.proxy.connection import BackendConnection
from staplesrv.http.proxy.outgoing import Outgoing
from staplesrv.http.proxy.response_head import BadAnswer, ResponseHead
from staplesrv.http.proxy.taker import Broken
from staplesrv.http.websocket import accepts, without_accept

_CONTINUE = 100


class Relay:
    """One exchange on its way through the proxy.

    Args:
        backends: Who may be asked.
        exchange: The client's side.
        head: Of the request, as backends get it.
        upgrade: What it asks to change to.
        key: Of WebSocket, where it is the proxy's own.
    """

    # What is the same for most of them is not set for each.
    _connection: BackendConnection | None = None
    _connecting: Deferred[None] | None = None
    _deadlines: Deadlines[Timed] | None = None
    _waiting = b""
    """Content that came before there was a connection."""
    _sent = False
    """Content was sent, and is not here any more."""
    _blocked = False
    """The backend does not keep up."""
    _held = False
    """The client does not keep up; it may still have to read earlier answers."""
    _tunnel = False
    _client_ended = False
    _backend_ended = False
    _over = False

    def __init__(
        self, backends: Backends, exchange: Exchange, head: bytes, *, upgrade: bytes = b"", key: bytes = b""
    ) -> None:
        self._backends = backends
        self._exchange = exchange
        self._head = head
        self._upgrade = upgrade
        self._key = key
        self._attempts = Attempts(backends, exchange.request.method, upgrades=bool(upgrade))
        # What follows an upgrade is no content, and comes when the backend has agreed.
        self._outgoing = Outgoing(0 if upgrade else exchange.request.length)

    def begin(self) -> bool:
        """Ask a backend; tell whether the exchange goes on."""
        self._exchange.holds_continue = True
        self._ask()
        return not self._over

    # The client's side: `Handler`.

    def body(self, data: bytes) -> None:
        """Pass on content, or a tunnel's bytes."""
        if self._over:
            return
        if self._tunnel:
            self._pass(data)
            self._wait(self._backends.tunnelling)
            return
        framed = self._outgoing.data(data)
        if framed is None:
            self._fail(400)
        else:
            self._pass(framed)

    def body_end(self, trailers: Fields) -> None:
        """The request is complete; of a tunnel: the client sends no more."""
        if self._over:
            return
        if self._tunnel:
            self._client_ended = True
            self._end_tunnel_or(BackendConnection.half_close)
        elif not self._outgoing.complete:
            tail = self._outgoing.end(trailers)
            if tail is None:
                self._fail(400)
                return
            self._pass(tail)
            self._request_complete()

    def pause(self) -> None:
        """Read no more from the backend: the client does not keep up, and the backend is not to blame."""
        self._held = True
        if self._connection is not None:
            self._connection.pause()
            self._wait(None)

    def resume(self) -> None:
        """Read on."""
        self._held = False
        if self._connection is not None:
            self._connection.resume()
            self._wait(self._backends.tunnelling if self._tunnel else self._backends.idling)

    def lost(self) -> None:
        """The client is gone."""
        self._leave()

    # The backend's side: `Taker`.

    def informed(self, head: ResponseHead) -> None:
        """Pass on an interim answer. A 100 that nobody waits for says nothing."""
        if head.status != _CONTINUE or self._exchange.request.expects_continue:
            self._exchange.inform(head.status, head.fields)

    def whole(self, head: ResponseHead, data: bytes) -> None:
        """Pass on an answer that came at once."""
        self._answered()
        exchange = self._exchange
        if head.length < 0 and exchange.request.method == b"HEAD":
            # No Content-Length, and so none to be told.
            exchange.start(head.status, head.fields)
            exchange.finish()
        else:
            exchange.send(Answer(head, data))

    def begun(self, head: ResponseHead) -> None:
        """Pass on the head of an answer."""
        self._attempts.answered()
        self._wait(self._backends.idling)
        self._exchange.start(head.status, head.whole_fields)

    def switched(self, head: ResponseHead) -> None:
        """Make a tunnel of the exchange.

        Raises:
            BadAnswer: the backend did not understand what it was asked.
        """
        if self._key and not accepts(head.fields, self._key):
            raise BadAnswer("no WebSocket server")
        self._attempts.answered()
        self._tunnel = True
        self._wait(self._backends.tunnelling)
        self._exchange.tunnel(without_accept(head.fields) if self._key else head.fields)

    def data(self, data: bytes) -> None:
        """Pass on content, or a tunnel's bytes."""
        # Before the writing: that may pause, and then the time does not run.
        self._wait(self._backends.tunnelling if self._tunnel else self._backends.idling)
        self._exchange.write(data)

    def ended(self, trailers: Fields) -> None:
        """The answer is complete; of a tunnel: the backend sends no more."""
        if self._tunnel:
            self._backend_ended = True
            self._exchange.finish()
            # A client that has nothing more to hear is not waited for as long.
            self._end_tunnel_or(lambda _: self._wait(self._backends.idling))
        else:
            self._answered()
            self._exchange.finish(trailers)

    def broken(self, why: Broken) -> None:
        """There will be no answer, or not all of it: ask another backend where that can be done."""
        connection = self._connection
        if self._over or connection is None:
            return
        unanswered = why is Broken.CLOSED and not self._exchange.status
        if unanswered and connection.used:
            self._attempts.went_stale()
        else:
            self._attempts.broke_off(blamed=not self._tunnel)
        self._release()
        if unanswered and not self._sent and self._attempts.repeatable:
            self._ask()
        else:
            self._fail(502)

    def blocked(self) -> None:
        """Hold the request's content back."""
        self._blocked = True
        self._exchange.pause_body()
        if self._uploading:
            self._wait(self._backends.idling)

    def drained(self) -> None:
        """Let the request's content come."""
        self._blocked = False
        if self._uploading:
            self._wait(None)
        self._exchange.resume_body()

    # The deadlines: `Timed`.

    def overdue(self) -> None:
        """The backend took too long."""
        self._deadlines = None
        self._drop()
        self._fail(504)

    # Asking.

    @property
    def _uploading(self) -> bool:
        """It is the request that the backend has to go on with."""
        return not (self._exchange.status or self._outgoing.complete)

    def _ask(self) -> None:
        found = self._attempts.next()
        if found is None:
            self._fail(self._attempts.status)
        elif isinstance(found, BackendConnection):
            self._use(found)
        else:
            if not self._outgoing.complete:
                self._exchange.pause_body()
            self._connecting = found.addCallbacks(self._connected, self._not_connected)

    def _connected(self, connection: BackendConnection) -> None:
        self._connecting = None
        if self._over:
            connection.drop()
            return
        self._use(connection)
        if not self._outgoing.complete:
            self._exchange.resume_body()

    def _not_connected(self, failure: Failure) -> None:
        self._connecting = None
        if not self._over:
            self._attempts.missed(failure)
            self._ask()

    def _use(self, connection: BackendConnection) -> None:
        self._connection = connection
        # Whether more is to come; content that waits goes out with the head.
        complete = self._outgoing.complete and not self._waiting
        method = b"GET" if self._key else self._exchange.request.method
        if complete:
            self._wait(self._backends.answering)
        connection.begin(self, self._head, method=method, complete=complete, upgrade=self._upgrade)
        if self._held and self._connection is connection:
            self.pause()
        if self._waiting:
            waiting, self._waiting = self._waiting, b""
            self._pass(waiting)
            if self._outgoing.complete:
                self._request_complete()

    def _pass(self, data: bytes) -> None:
        """Send content or a tunnel's bytes, when there is a connection."""
        if not data:
            return
        if self._connection is None:
            self._waiting += data
        else:
            self._sent = True
            self._connection.send(data)

    def _request_complete(self) -> None:
        if self._connection is None:
            return
        self._connection.complete()
        if not self._exchange.status:
            self._wait(self._backends.answering)

    # Ending.

    def _wait(self, deadlines: Deadlines[Timed] | None) -> None:
        """Give the next step its time, from now on; None: as long as it takes."""
        if self._deadlines is not None:
            self._deadlines.end(self)
        self._deadlines = deadlines
        if deadlines is not None:
            deadlines.begin(self)

    def _answered(self) -> None:
        """The answer is complete, and the connection not ours any more."""
        self._attempts.answered()
        self._over = True
        self._release()

    def _end_tunnel_or(self, otherwise: Callable[[BackendConnection], object]) -> None:
        connection = self._connection
        if connection is None:
            return
        if self._client_ended and self._backend_ended:
            self._leave()
        else:
            otherwise(connection)

    def _fail(self, status: int) -> None:
        """Say what went wrong; where the answer has begun, break it off so that the client notices."""
        if self._over:
            return
        self._drop()
        self._over = True
        if self._exchange.status:
            self._exchange.abort()
        else:
            self._exchange.send(page(status))

    def _leave(self) -> None:
        """Nobody is left on the client's side."""
        self._over = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._tunnel and self._connection is not None and not self._blocked:
            # What the client sent last is still on its way.
            self._connection.close()
            self._connection = None
        self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.drop()
        self._release()

    def _release(self) -> None:
        """Have nothing to do with a backend."""
        self._wait(None)
        self._connection = None
        self._attempts.end()
