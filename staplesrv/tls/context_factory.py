"""The context factory for Twisted's TLS: `listenSSL`, `SSL4ServerEndpoint`, `startTLS`, `TLSMemoryBIOFactory`."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLContextFactory,
    IOpenSSLServerConnectionCreator,
    IProtocolNegotiationFactory,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from staplesrv.tls.connection import ServerConnection
from staplesrv.tls.front import Front
from staplesrv.tls.openssl_calls import Calls
from staplesrv.tls.preset import PresetName


@implementer(IOpenSSLServerConnectionCreator, IOpenSSLContextFactory)
class ContextFactory:
    """Makes the server side of TLS connections that staple. `Stapler.context_factory` returns one.

    Args:
        front: Where connections start.
        preset: Mozilla's name for protocol versions and ciphers.
        protocols: ALPN names, the preferred one first; empty leaves them to the wrapped factory.
    """

    def __init__(self, front: Front, preset: PresetName, protocols: Sequence[bytes] = ()) -> None:
        self._front = front
        self._preset = preset
        self._protocols = tuple(protocols)

    def connection(self, protocols: Sequence[bytes] = ()) -> ServerConnection:
        """Make a connection in memory, to be set to accept.

        Args:
            protocols: ALPN names where the factory has none of its own.
        """
        base = self._front.base(self._preset)
        connection = ServerConnection(base.context)
        connection.acceptable = self._protocols or protocols
        connection.site = base.site
        connection.resumed = self._front.resumed
        return connection

    def accept(self, connected: socket.SocketType, protocols: Sequence[bytes], openssl: Calls) -> ServerConnection:
        """Make a connection on a socket.

        Args:
            connected: What it reads and writes.
            protocols: ALPN names where the factory has none of its own.
            openssl: What is going to be called for it.
        """
        base = self._front.base(self._preset)
        connection = openssl.accept(base.context, connected)
        # As in `connection`, and not in a method of both: a call is what costs here.
        connection.acceptable = self._protocols or protocols
        connection.site = base.site
        return connection

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Make a connection for Twisted's TLS; ALPN names may come from the factory behind it."""
        return self.connection(() if self._protocols else _acceptable(tlsProtocol))

    def getContext(self) -> SSL.Context:
        """Return the base context, for callers older than `serverConnectionForTLS`.

        Connections made of it by hand staple, but have no ALPN and are not counted. The context is another one after
        each renewal of ticket keys, so it is asked for per connection.
        """
        return self._front.base(self._preset).context


def _acceptable(protocol: TLSMemoryBIOProtocol) -> Sequence[bytes]:
    # After startTLS there is no wrapped factory.
    factory = getattr(protocol.factory, "wrappedFactory", None)
    negotiation = IProtocolNegotiationFactory(factory, None)
    return () if negotiation is None else tuple(negotiation.acceptableProtocols())
