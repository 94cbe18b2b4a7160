"""HTTP without TLS, held to the same limits: TLS ports see to these by themselves, Twisted's plain ones do not."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from staplesrv.http.exchange import Application
from staplesrv.http.factory import Entrance, HTTPFactory
from staplesrv.tls.addresses import Address, network_of
from staplesrv.tls.connections import Connections


class PlainFactory(HTTPFactory):
    """Makes the protocols of one listener without TLS.

    Args:
        application: Answers the requests.
        connections: Holds clients to the limits.
        others: Those of `HTTPFactory`.
    """

    def __init__(self, application: Application, connections: Connections, **others: Any) -> None:
        super().__init__(application, **others)
        self._connections = connections

    def buildProtocol(self, addr: object) -> Any:
        """Make what one connection begins with; None closes it."""
        network = network_of(addr) if isinstance(addr, Address) else ""
        if not self._connections.admit(network, handshake=False):
            return None
        return _Entrance(self, addr, self._connections, partial(self._connections.release, network))


class _Entrance(Entrance):
    """A connection that is one of the others, and tells of its end."""

    def __init__(self, factory: HTTPFactory, addr: object, connections: Connections, gone: Any) -> None:
        super().__init__(factory, addr)
        self._connections = connections
        self._gone = gone

    def connectionMade(self) -> None:
        """Begin."""
        self._connections.members.add(self)
        super().connectionMade()

    def abortConnection(self) -> None:
        """End it at once."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End."""
        try:
            super().connectionLost(reason)
        finally:
            self._connections.members.discard(self)
            self._gone()
