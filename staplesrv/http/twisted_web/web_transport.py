"""What resources may know of a connection, which they have to share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

if TYPE_CHECKING:
    from staplesrv.http.twisted_web.channel import Channel


def address(host: str, port: int) -> IPv4Address | IPv6Address | UNIXAddress:
    """Return a connection's address as Twisted has it.

    Args:
        host: Empty for a UNIX socket.
        port: A number up to 65535.
    """
    if not host:
        return UNIXAddress(None)
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)


class WebTransport:
    """`request.transport`: the addresses, and the way to break off. Bytes go through the request.

    Args:
        channel: Of the request.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._facts = channel.exchange.connection

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """What ALPN chose."""
        return self._facts.alpn or None

    def getPeer(self) -> Any:
        """Return the client's address."""
        return address(*self._facts.client)

    def getHost(self) -> Any:
        """Return the address that it connected to."""
        return address(*self._facts.server)

    def loseConnection(self) -> None:
        """Break off."""
        self._channel.loseConnection()

    def abortConnection(self) -> None:
        """Break off."""
        self._channel.loseConnection()
