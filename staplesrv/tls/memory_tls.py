"""Twisted's own TLS, held to the same limits: where TLS can't be straight on the socket.

That is where the reactor has no file descriptors, and where something else stands between the socket and TLS.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress, IOpenSSLServerConnectionCreator, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure

from staplesrv.tls.addresses import Address, network_of
from staplesrv.tls.connection import ServerConnection
from staplesrv.tls.connections import Connections


class MemoryTLS(BufferingTLSTransport):
    """One connection."""

    factory: MemoryTLSFactory
    network = ""
    _opening = True
    _why: Failure | None = None

    def makeConnection(self, transport: Any) -> None:
        """Begin the handshake."""
        self.factory.connections.members.add(self)
        self.factory.connections.opening.begin(self)
        super().makeConnection(transport)  # type: ignore[no-untyped-call]

    def dataReceived(self, data: bytes) -> None:
        """Go on with the handshake, or with what follows."""
        super().dataReceived(data)  # type: ignore[no-untyped-call]
        if self._opening and _done(self.getHandle()):  # type: ignore[no-untyped-call]
            self._opening = False
            self.factory.connections.opening.end(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End."""
        connections = self.factory.connections
        connections.members.discard(self)
        connections.opening.end(self)
        try:
            super().connectionLost(reason)
        finally:
            if not self._aborted:
                connections.ended(self._why or reason, handshaking=self._opening)
            connections.release(self.network)

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        # The reason that the protocol is told: an end without a close_notify is found in `connectionLost` only, where
        # OpenSSL sees the end of the stream.
        super()._tlsShutdownFinished(reason)  # type: ignore[no-untyped-call]
        self._why = self._reason


class MemoryTLSFactory(TLSMemoryBIOFactory):
    """Puts TLS between a factory's protocols and whatever transports them.

    Args:
        context_factory: Makes the TLS connections.
        factory: Makes the protocols.
        connections: Holds them to the limits.
        reactor: The reactor.
    """

    protocol = MemoryTLS

    def __init__(
        self,
        context_factory: IOpenSSLServerConnectionCreator,
        factory: IProtocolFactory,
        connections: Connections,
        reactor: Any,
    ) -> None:
        super().__init__(context_factory, False, factory, reactor)
        self.connections = connections

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make a protocol; None closes the connection."""
        network = network_of(addr) if isinstance(addr, Address) else ""
        if not self.connections.admit(network):
            return None
        try:
            inner = self.wrappedFactory.buildProtocol(addr)
        except BaseException:
            self.connections.release(network)
            raise
        if inner is None:
            self.connections.release(network)
            return None
        made = self.protocol(self, inner)
        made.network = network
        return made

    def doStart(self) -> None:
        """A port listens."""
        super().doStart()  # type: ignore[no-untyped-call]
        self.connections.port_opened()

    def doStop(self) -> None:
        """A port listens no more."""
        super().doStop()  # type: ignore[no-untyped-call]
        self.connections.port_closed()


def _done(handle: object) -> bool:
    return handle is None or (isinstance(handle, ServerConnection) and handle.done)
