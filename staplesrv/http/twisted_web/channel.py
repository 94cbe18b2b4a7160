"""What is between Twisted's Request and an exchange."""

# Twisted Web has no annotations, and each call would need a waiver of its own.
# mypy: allow-untyped-calls

from __future__ import annotations

from functools import cached_property
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

from twisted.internet.error import ConnectionLost
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from staplesrv.http.exchange import Exchange
from staplesrv.http.fields import OF_CONNECTIONS, Fields
from staplesrv.http.pages import page
from staplesrv.http.response import BadResponse, Response
from staplesrv.http.twisted_web.pulled import Pulled
from staplesrv.http.twisted_web.quiet_site import QuietSite
from staplesrv.http.twisted_web.web_request import BadForm, WebRequest
from staplesrv.http.twisted_web.web_transport import WebTransport

if TYPE_CHECKING:
    from twisted.internet.interfaces import IPushProducer

_HELD_BACK = frozenset(name.title() for name in OF_CONNECTIONS | {b"content-length"})
"""Fields that are the HTTP version's, or made anew; as Twisted writes their names."""

_REDIRECTS = 300

_LOST = Failure(ConnectionLost("The request is over before its response was"))

_log = Logger()


class Channel:
    """The side of an exchange that Twisted's Request sees, and the exchange's handler.

    What a resource writes while it is called is gathered: most have said all by the end of the call, and a whole
    response is cheaper.

    Args:
        exchange: The exchange.
        site: Where resources are found.

    Attributes:
        exchange: The same.
        site: The same.
    """

    def __init__(self, exchange: Exchange, site: QuietSite) -> None:
        self.exchange = exchange
        self.site = site
        self.factory = site
        self._request: WebRequest | None = None
        self._head: tuple[int, Headers] | None = None
        self._gathered: list[bytes] | None = None
        self._producer: IPushProducer | Pulled | None = None
        self._paused = False
        self._over = False
        self._transport: WebTransport | None = None

    def process(self, content: IO[bytes] | None = None) -> bool:
        """Have a resource answer.

        Args:
            content: The request's body; None where there is none.

        Returns:
            Whether it has answered.
        """
        self._request = request = WebRequest(self, content or BytesIO())
        if content is not None:
            try:
                request.read_form(content)
            except BadForm:
                self._request = None
                self.exchange.send(page(400))
                return True
        self._gathered = []
        request.process()
        self._release()
        return self._request is None

    @cached_property
    def transport(self) -> WebTransport:
        """What resources may know of a connection. Some take it away for themselves."""
        self._transport = WebTransport(self)
        return self._transport

    # What Twisted's Request calls.

    def begin(self, status: int, headers: Headers) -> None:
        """Begin the response."""
        self._head = (status, headers)
        if self._gathered is None:
            self._start(*self._head)

    def write(self, data: bytes) -> None:
        """Send some of the body."""
        if self._gathered is not None:
            self._gathered.append(data)
        elif not self._over:
            self.exchange.write(data)

    def replace(self, response: Response) -> None:
        """Send another response than was gathered; where it began already, break off."""
        self._head = self._gathered = None
        self._over = True
        if self.exchange.status:
            self.exchange.abort()
        else:
            self.exchange.send(response)

    def requestDone(self, request: WebRequest) -> None:  # noqa: ARG002 - Twisted's interface
        """Take note that a request has finished."""
        self._request = None
        if self._gathered is None and not self._over:
            self.exchange.finish()

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: FBT001 - Twisted's interface
        """Have a producer write at the client's pace."""
        if self._producer is not None:
            raise RuntimeError("There is a producer already")
        self._release()
        taken: IPushProducer | Pulled = producer if streaming else Pulled(producer, self, self.site.reactor)
        self._producer = taken
        if self._paused:
            taken.pauseProducing()

    def unregisterProducer(self) -> None:
        """Ask the producer no more."""
        producer, self._producer = self._producer, None
        if isinstance(producer, Pulled):
            producer.stop()

    def loseConnection(self) -> None:
        """Break off."""
        self.exchange.abort()
        self.lost()

    def isSecure(self) -> bool:
        """Tell whether it is TLS."""
        return self.exchange.connection.secure

    def getPeer(self) -> Any:
        """Return the client's address."""
        return self.transport.getPeer()

    def getHost(self) -> Any:
        """Return the address that it connected to."""
        return self.transport.getHost()

    def _protocolUpgradeForWebsockets(self, protocol: Any) -> None:
        # What Twisted's own WebSocketResource calls.
        self.transport.protocol = protocol
        protocol.makeConnection(self.transport)

    # What the exchange calls.

    def body(self, data: bytes) -> None:
        """Hand on what comes for who has taken the connection over; there is no other body here."""
        if self._transport is not None and self._transport.protocol is not None:
            self._transport.protocol.dataReceived(data)

    def body_end(self, trailers: Fields) -> None:  # noqa: ARG002 - there are none
        """Tell who has taken the connection over."""
        if self._transport is not None and self._transport.protocol is not None:
            self._transport.client_ended()

    def pause(self) -> None:
        """Pause the producer."""
        self._paused = True
        if self._producer is not None:
            self._producer.pauseProducing()

    def resume(self) -> None:
        """Have the producer go on."""
        self._paused = False
        if self._producer is not None:
            self._producer.resumeProducing()

    def lost(self) -> None:
        """The client is gone."""
        request, self._request = self._request, None
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        if self._transport is not None:
            self._transport.lost(_LOST)
        if request is not None:
            request.connectionLost(_LOST)

    # What was gathered.

    def _release(self) -> None:
        """Send what was gathered."""
        pieces, self._gathered = self._gathered, None
        if pieces is None or self._head is None:
            return
        if self._request is None:
            self._send(*self._head, b"".join(pieces))
        elif self._start(*self._head):
            for piece in pieces:
                self.exchange.write(piece)

    def _send(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a response of which nothing is missing."""
        if self._is_no_tunnel(status):
            return
        length = headers.getRawHeaders(b"content-length")
        head = self.exchange.request.method == b"HEAD"
        if head or not (length is None or length == [b"%d" % len(body)]):
            # Where the length is wrong the HTTP version sees to it that the client notices.
            if self._start(status, headers):
                self.exchange.write(body)
                self.exchange.finish()
            return
        try:
            self.exchange.send(Response(_final(status), _fields(headers), body))
        except BadResponse as error:
            self._refused(error)

    def _start(self, status: int, headers: Headers) -> bool:
        """Begin a response; tell whether that can be sent."""
        if self._is_no_tunnel(status):
            return False
        length = headers.getRawHeaders(b"content-length", [])
        fields = _fields(headers) + tuple((b"Content-Length", value) for value in length)
        try:
            self.exchange.start(_final(status), fields)
        except BadResponse as error:
            self._refused(error)
            return False
        return True

    def _is_no_tunnel(self, status: int) -> bool:
        """Refuse a tunnel, if it was one that was asked for: RFC 9110 §9.3.6 would take 2xx for one that is open."""
        refused = self.exchange.request.method == b"CONNECT" and status < _REDIRECTS
        if refused:
            self._over = True
            self.exchange.send(page(501))
        return refused

    def _refused(self, error: BadResponse) -> None:
        _log.error("{resource} made a response that can't be sent: {error}", resource=self.site.resource, error=error)
        self._over = True
        self.exchange.send(page(500))


def _final(status: int) -> int:
    if not 200 <= status <= 599:  # noqa: PLR2004 - RFC 9110 §15
        raise BadResponse(f"{status} is no status of a final response")
    return status


def _fields(headers: Headers) -> Fields:
    return tuple(
        (name, value) for name, values in headers.getAllRawHeaders() if name not in _HELD_BACK for value in values
    )
