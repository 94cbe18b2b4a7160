"""One request and its response over HTTP/1.1: how responses are framed. RFC 9112 §6 and §9."""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger

from staplesrv.http.exchange import NO_FIELDS, Connection, Exchange
from staplesrv.http.fields import Fields, members
from staplesrv.http.http1.chunks import allowed_trailers
from staplesrv.http.http1.head import Head
from staplesrv.http.response import BadResponse, Response, checked, field_lines, status_line
from staplesrv.http.server_fields import SERVER_NAMES, ServerFields

SWITCHING_PROTOCOLS = 101
WITHOUT_CONTENT = frozenset({204, 304})

_CLOSE = b"Connection: close\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_END = b"\r\n"

# They are the connection's, and not for an application to say.
_CONNECTIONS_OWN = frozenset({b"connection", b"keep-alive", b"transfer-encoding"})

_log = Logger()


class Wire(Protocol):
    """The connection under an exchange, as the exchange sees it."""

    server_fields: ServerFields

    def put(self, data: bytes) -> None:
        """Send bytes."""

    def keeps(self) -> bool:
        """Tell whether another request can follow, as far as the connection can know."""

    def answered(self, data: bytes, *, keep: bool) -> None:
        """Send the last bytes of the response; it is complete."""

    def continued(self) -> None:
        """The client was told to send the body."""

    def open_tunnel(self) -> None:
        """From now on the client's bytes are the tunnel's."""

    def end_tunnel(self) -> None:
        """No more bytes go into the tunnel."""

    def broken(self) -> None:
        """Nothing that follows would make sense to the client."""

    def hold(self, *, hold: bool) -> None:
        """Hold back the request's body, or no longer."""


class HTTP1Exchange(Exchange):
    """An exchange over HTTP/1.1 or HTTP/1.0.

    Args:
        head: What the client sent.
        connection: The facts.
        wire: The connection.
    """

    __slots__ = ("_chunked", "_head", "_keep", "_left", "_silent", "_tunnel", "_wire")

    _wire: Wire | None

    def __init__(self, head: Head, connection: Connection, wire: Wire) -> None:
        # The constructor of `Exchange` once more: 0.2 us less in every request.
        self.request = head.request
        self.connection = connection
        self.body_limit = None
        self.added = NO_FIELDS
        self.holds_continue = False
        self.status = 0
        self.sent = 0
        self.done = None
        self._head = head
        self._wire = wire
        self._tunnel = False

    @property
    def over(self) -> bool:
        """Whether there is nothing more to do."""
        return self._wire is None

    def inform(self, status: int, fields: Fields = ()) -> None:
        """Send an interim response."""
        wire = self._wire
        if wire is None or self.status:
            return
        lines = status_line(status) + field_lines(checked(fields))
        # RFC 9110 §15.2: an HTTP/1.0 client does not know of them.
        if self.request.version != "1.0":
            wire.put(lines + _END)
            if status == 100:  # noqa: PLR2004 - Continue
                wire.continued()

    def send(self, response: Response) -> None:
        """Send a whole response: one write, of parts that were made before."""
        wire = self._wire
        if wire is None:
            return
        if self.status:
            raise _begun_already()
        self.status = status = response.status
        request, added, names = self.request, self.added, response.names
        if SERVER_NAMES.isdisjoint(names) and added.names.isdisjoint(names) and SERVER_NAMES.isdisjoint(added.names):
            lines, more = response.lines, added.lines + wire.server_fields.lines()
        else:
            lines, more = self._lines(wire, status, response.whole_fields), b""
        keep = wire.keeps()
        end = _END if keep and request.version == "1.1" else self._connection_lines(keep=keep) + _END
        body = b"" if request.method == b"HEAD" or status in WITHOUT_CONTENT else response.body
        self.sent = len(body)
        self._end(b"".join((lines, more, end, body)), keep=keep)

    def start(self, status: int, fields: Fields) -> None:
        """Begin a response whose body follows."""
        wire = self._wire
        if wire is None:
            return
        if self.status:
            raise _begun_already()
        fields = tuple(field for field in checked(fields) if field[0].lower() not in _CONNECTIONS_OWN)
        length = _length(fields)
        self._silent = self.request.method == b"HEAD" or status in WITHOUT_CONTENT
        unknown = length is None and not self._silent
        self._chunked = unknown and self.request.version == "1.1"
        # RFC 9112 §6.3: to an HTTP/1.0 client the end of the connection is the end of such a body.
        self._keep = wire.keeps() and (self._chunked or not unknown)
        self._left = None if self._silent else length
        self.status = status
        lines = self._lines(wire, status, fields) + self._connection_lines(keep=self._keep)
        wire.put(lines + _CHUNKED + _END if self._chunked else lines + _END)

    def write(self, data: bytes) -> None:
        """Send more of the body."""
        wire = self._wire
        if wire is None:
            return
        if not self.status:
            raise RuntimeError("there is no body before a response's start")
        if self._silent or not data:
            return
        if self._left is not None:
            data = self._within_length(data, self._left)
            self._left -= len(data)
        self.sent += len(data)
        wire.put(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def finish(self, trailers: Fields = ()) -> None:
        """End the response, or our direction of the tunnel."""
        wire = self._wire
        if wire is None:
            return
        if not self.status:
            raise RuntimeError("there is no end before a response's start")
        if self._tunnel:
            wire.end_tunnel()
        elif self._left:
            _log.error("an application ended a response {left} bytes too early", left=self._left)
            self.abort()
        else:
            last = b"0\r\n" + self._trailer_lines(checked(trailers)) + _END if self._chunked else b""
            self._end(last, keep=self._keep)

    def abort(self) -> None:
        """Break the connection off."""
        wire = self._wire
        if wire is not None:
            self.lost()
            wire.broken()

    def tunnel(self, fields: Fields) -> None:
        """Accept the upgrade: RFC 9110 §7.8."""
        wire = self._wire
        if wire is None:
            return
        if self.status or not self.request.upgrade:
            raise RuntimeError("nobody asked for a tunnel, or it is too late for one")
        upgrade = b"Upgrade: %b\r\nConnection: Upgrade\r\n" % self.request.upgrade
        own = tuple(field for field in checked(fields) if field[0].lower() not in _CONNECTIONS_OWN | {b"upgrade"})
        self.status = SWITCHING_PROTOCOLS
        self._tunnel = True
        self._silent = self._chunked = self._keep = False
        self._left = None
        wire.put(status_line(self.status) + upgrade + field_lines(own) + wire.server_fields.lines() + _END)
        wire.open_tunnel()

    def pause_body(self) -> None:
        """Hold the request's body back."""
        if self._wire is not None:
            self._wire.hold(hold=True)

    def resume_body(self) -> None:
        """Let the request's body come."""
        if self._wire is not None:
            self._wire.hold(hold=False)

    def lost(self) -> None:
        """It is over, finished or not; the connection calls this when it ends under it."""
        self._wire = None
        if self.done is not None:
            self.done(self)

    def _end(self, data: bytes, *, keep: bool) -> None:
        wire = self._wire
        self.lost()
        if wire is not None:
            wire.answered(data, keep=keep)

    def _lines(self, wire: Wire, status: int, fields: Fields) -> bytes:
        """Return the status line and the fields: the response's own, the site's, and the server's."""
        added = self.added
        own = tuple(field for field in fields if field[0].lower() not in added.names) if added.names else fields
        names = added.names.union([name.lower() for name, _ in own])
        servers = wire.server_fields.lines() if SERVER_NAMES.isdisjoint(names) else self._missing(wire, names)
        return status_line(status) + field_lines(own) + added.lines + servers

    def _missing(self, wire: Wire, names: frozenset[bytes]) -> bytes:
        return field_lines(tuple((name.title(), one) for name, one in wire.server_fields.fields() if name not in names))

    def _connection_lines(self, *, keep: bool) -> bytes:
        if not keep:
            return _CLOSE
        # RFC 9112 §9.3: an HTTP/1.0 client that asked for it is told that it gets it.
        return _KEEP_ALIVE if self.request.version == "1.0" else b""

    def _within_length(self, data: bytes, left: int) -> bytes:
        if len(data) <= left:
            return data
        if self._keep:
            _log.error("an application's response is longer than its Content-Length; the connection will end")
        self._keep = False
        return data[:left]

    def _trailer_lines(self, trailers: Fields) -> bytes:
        # RFC 9110 §6.5.1: only for those who said that they take them.
        takes = trailers and b"trailers" in members(self.request.fields, b"te")
        return field_lines(allowed_trailers(trailers)) if takes else b""


def _length(fields: Fields) -> int | None:
    """Return what Content-Length says.

    Raises:
        BadResponse: it says nothing that can be sent.
    """
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    if not lengths:
        return None
    if len(lengths) > 1 or not lengths[0].isdigit():
        raise BadResponse("Content-Length is no number, or there are several")
    return int(lengths[0])


def _begun_already() -> RuntimeError:
    return RuntimeError("there is one final response to a request")
