"""What the HTTP room is told of a connection, asked of its transport only when somebody wants to know."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress

from staplesrv.http.client_certificate import ClientCertificate
from staplesrv.server.client_certificate import read_certificate
from staplesrv.tls.connection import ServerConnection
from staplesrv.tls.live_site import LiveSite


class ConnectionFacts:
    """The facts of one connection: an `http.exchange.Connection`.

    Args:
        transport: Whatever transports it: TLS straight on the socket, Twisted's own, or none.

    Attributes:
        route: Where the last request of this connection was led to, for the next one; the router's own.
    """

    __slots__ = ("_certificate", "_handle", "_transport", "route")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        handle = getattr(transport, "getHandle", _nothing)()
        # Kept: the transport lets go of it when the connection ends, and who writes logs asks after that.
        self._handle: ServerConnection | None = handle if isinstance(handle, ServerConnection) else None
        self._certificate: ClientCertificate | None = None
        self.route: Any = None

    @property
    def site(self) -> LiveSite | None:
        """The site that the handshake led to; None without TLS of ours."""
        return None if self._handle is None else self._handle.site

    @property
    def secure(self) -> bool:
        """Whether it is TLS."""
        return self._handle is not None

    @property
    def client(self) -> tuple[str, int]:
        """The client's address and port; ("", 0) on a UNIX socket."""
        return _pair(self._transport.getPeer())

    @property
    def server(self) -> tuple[str, int]:
        """The address and port that the client connected to; ("", 0) on a UNIX socket, and when it is over."""
        try:
            return _pair(self._transport.getHost())
        except (OSError, AttributeError):
            # The socket is closed already.
            return "", 0

    @property
    def server_name(self) -> bytes | None:
        """The SNI name as sent."""
        return None if self._handle is None else self._handle.get_servername()

    @property
    def tls_version(self) -> str:
        """Like `TLSv1.3`."""
        return "" if self._handle is None else self._handle.get_protocol_version_name()

    @property
    def cipher(self) -> str:
        """OpenSSL's name of the cipher suite."""
        return "" if self._handle is None else self._handle.get_cipher_name() or ""

    @property
    def group(self) -> str:
        """The key exchange group; empty where it is not known."""
        if self._handle is None:
            return ""
        try:
            return self._handle.get_group_name() or ""
        except NotImplementedError:
            # An OpenSSL older than 3.2.
            return ""

    @property
    def alpn(self) -> bytes:
        """The protocol that ALPN chose."""
        return b"" if self._handle is None else self._handle.get_alpn_proto_negotiated()

    @property
    def staple(self) -> str:
        """What became of the staple."""
        return "" if self._handle is None else self._handle.outcome or ""

    @property
    def asked_for_certificate(self) -> bool:
        """Whether the handshake asked the client for a certificate."""
        return self._handle is not None and self._handle.asks

    @property
    def shows_certificate(self) -> bool:
        """Whether it showed one."""
        return self.peer_certificate is not None

    @property
    def client_certificate(self) -> ClientCertificate | None:
        """The one that it showed; read once."""
        if self._certificate is None and self._handle is not None and self._handle.asks:
            der = self._handle.peer_der
            self._certificate = None if der is None else read_certificate(der)
        return self._certificate

    @property
    def peer_certificate(self) -> Any:
        """The same as Twisted's transports return it."""
        return self._handle.get_peer_certificate() if self._handle is not None and self._handle.asks else None


def _nothing() -> None:
    return None


def _pair(address: IAddress) -> tuple[str, int]:
    return (address.host, address.port) if isinstance(address, IPv4Address | IPv6Address) else ("", 0)
