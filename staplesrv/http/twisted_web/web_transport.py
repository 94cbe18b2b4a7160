"""What resources may know of a connection, and how they take one over.

Theory of operation: resources that speak WebSocket take the transport away from Twisted's channel, and have a protocol
of theirs write the answer to the handshake, head and all, and then frames. Here that is an exchange that becomes a
tunnel: the head that is written is read, and what follows it are the tunnel's bytes. So they work over HTTP/2 as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from staplesrv.http.fields import Fields
from staplesrv.http.request import Request
from staplesrv.http.websocket import without_accept

if TYPE_CHECKING:
    from staplesrv.http.twisted_web.channel import Channel

_DONE = Failure(ConnectionDone())  # type: ignore[no-untyped-call]
_SWITCHING_PROTOCOLS = 101
_KEY = b"MTExMTExMTExMTExMTExMQ=="
"""A Sec-WebSocket-Key for those who need none: over HTTP/2 nobody looks at what is made of it."""


class WebTransport:
    """`request.transport`: the addresses, the way to break off, and for who takes it over, the bytes.

    Args:
        channel: Of the request.

    Attributes:
        protocol: Who has taken it over. Set by resources themselves, as on a transport of Twisted's.
    """

    protocol: Any = None

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._exchange = channel.exchange
        self._head: bytes | None = b""
        self._ended = False

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """What ALPN chose."""
        return self._exchange.connection.alpn or None

    def getPeer(self) -> Any:
        """Return the client's address."""
        return address(*self._exchange.connection.client)

    def getHost(self) -> Any:
        """Return the address that it connected to."""
        return address(*self._exchange.connection.server)

    def getPeerCertificate(self) -> Any:
        """Return the client's certificate, which is verified; None where it showed none."""
        return self._exchange.connection.peer_certificate

    def setTcpNoDelay(self, on: bool) -> None:  # noqa: FBT001 - Twisted's interface
        """Do nothing: it is on."""

    # For who takes it over.

    def write(self, data: bytes) -> None:
        """Send data, the head of an answer first; after `loseConnection` nothing more."""
        if self._ended:
            return
        if self._head is None:
            self._exchange.write(data)
            return
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if end:
            self._head = None
            self._begin(head)
            if rest:
                self._exchange.write(rest)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send data; see `write`."""
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """Break off; who has taken it over says that this was all."""
        if self.protocol is None or self._head is not None:
            self._channel.loseConnection()
        else:
            self._end()

    def abortConnection(self) -> None:
        """Break off."""
        self._channel.loseConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: FBT001 - Twisted's interface
        """Have a producer write at the client's pace."""
        self._channel.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Ask the producer no more."""
        self._channel.unregisterProducer()

    def pauseProducing(self) -> None:
        """Hold back the client."""
        self._exchange.pause_body()

    def resumeProducing(self) -> None:
        """Let the client go on."""
        self._exchange.resume_body()

    # What the channel calls.

    def client_ended(self) -> None:
        """The client sends no more. Those who take connections over know of no half-closed ones."""
        self._end()
        self.lost(_DONE)

    def lost(self, reason: Failure) -> None:
        """It is over."""
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connectionLost(reason)

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._exchange.finish()

    def _begin(self, head: bytes) -> None:
        status, fields = _read_head(head)
        if status != _SWITCHING_PROTOCOLS:
            self._exchange.start(status, fields)
            return
        if self._exchange.request.version == "2":
            fields = without_accept(fields)
        self._exchange.tunnel(fields)


def as_handshake(request: Request) -> Request:
    """Return an extended CONNECT (RFC 8441 §5) as the handshake of WebSocket over HTTP/1.1; others as they are."""
    if request.method != b"CONNECT" or request.upgrade != b"websocket":
        return request
    added = ((b"connection", b"Upgrade"), (b"upgrade", b"websocket"), (b"sec-websocket-key", _KEY))
    return replace(request, method=b"GET", fields=(*request.fields, *added))


def address(host: str, port: int) -> IPv4Address | IPv6Address | UNIXAddress:
    """Return a connection's address as Twisted has it.

    Args:
        host: Empty for a UNIX socket.
        port: A number up to 65535.
    """
    if not host:
        return UNIXAddress(None)
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)


def _read_head(head: bytes) -> tuple[int, Fields]:
    """Read the head of an answer that a program has written.

    Raises:
        ValueError: it is none.
    """
    first, *lines = head.split(b"\r\n")
    fields = [line.partition(b":") for line in lines]
    own = {b"upgrade", b"connection"}
    return int(first.split(b" ")[1]), tuple(
        (name.strip(), value.strip()) for name, _, value in fields if name.strip().lower() not in own
    )
