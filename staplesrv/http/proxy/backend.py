"""A backend: the connections to it, those that are kept for the next request among them, and how it does."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from staplesrv.deadlines import Deadlines
from staplesrv.http.proxy.address import BackendAddress
from staplesrv.http.proxy.connection import BackendConnection
from staplesrv.http.proxy.health import Health
from staplesrv.http.proxy.settings import ProxySettings

_log = Logger()


class Backend:
    """A backend. It keeps the connections that are free; those that are not are its takers'.

    Args:
        address: Where it is.
        endpoint: Connects to it.
        settings: How to treat it.
        clock: The reactor.

    Attributes:
        busy: Requests under way.
    """

    def __init__(
        self, address: BackendAddress, endpoint: IStreamClientEndpoint, settings: ProxySettings, clock: IReactorTime
    ) -> None:
        self.address = address
        self.busy = 0
        self._endpoint = endpoint
        self._settings = settings
        self._clock = clock
        self._health = Health()
        self._connections: set[BackendConnection] = set()
        self._connecting = 0
        # In the order in which they became free. The last one is taken, so that those at the front get too old.
        self._free: dict[BackendConnection, None] = {}
        self._kept = Deadlines(clock, settings.kept_seconds, BackendConnection.close)
        self._closed = False

    # Connections.

    def kept(self) -> BackendConnection | None:
        """Take a connection that was kept; None where there is none."""
        if not self._free:
            return None
        connection, _ = self._free.popitem()
        self._kept.end(connection)
        return connection

    def full(self) -> bool:
        """Tell whether there are as many connections as there may be, and none of them free."""
        return not self._free and len(self._connections) + self._connecting >= self._settings.connections

    def connect(self) -> Deferred[BackendConnection]:
        """Make a connection. It fails with whatever is in the way, `TimeoutError` among it."""
        self._connecting += 1
        made: Deferred[Any] = self._endpoint.connect(_Connections(self))
        made.addCallback(lambda connection: connection.ready or connection)
        made.addTimeout(self._settings.connect_seconds, self._clock)
        return made.addBoth(self._connected)

    def free(self, connection: BackendConnection) -> None:
        """Take back a connection that can serve another request."""
        if self._closed or len(self._free) >= self._settings.kept:
            connection.close()
            return
        self._free[connection] = None
        self._kept.begin(connection)

    def made(self, connection: BackendConnection) -> None:
        """Count a connection."""
        self._connections.add(connection)

    def gone(self, connection: BackendConnection) -> None:
        """Forget a connection: it is closed, or about to be."""
        self._connections.discard(connection)
        if connection in self._free:
            del self._free[connection]
            self._kept.end(connection)

    def close(self) -> None:
        """Keep no connection any more; those that serve a request are closed after it."""
        self._closed = True
        for connection in tuple(self._free):
            connection.close()
        self._kept.let_go()

    def _connected(self, result: Any) -> Any:
        self._connecting -= 1
        return result

    # Health.

    def well(self) -> bool:
        """Tell whether it is worth asking."""
        return self._health.well(self._clock.seconds())

    def answered(self) -> None:
        """Take note that it gave an answer."""
        if self._health.answered():
            _log.info("Backend {backend} answers again", backend=str(self.address))

    def broke(self) -> None:
        """Take note that it gave none, or not all of one."""
        if self._health.broke(self._clock.seconds()):
            _log.warn("Backend {backend} breaks off its answers; left alone for a while", backend=str(self.address))

    def unreachable(self, why: str) -> None:
        """Take note that there was no connection to be had."""
        if self._health.unreachable(self._clock.seconds()):
            _log.warn(
                "Backend {backend} can't be reached: {why}; left alone for a while", backend=str(self.address), why=why
            )


class _Connections(Factory):
    """Makes the protocol of one connection."""

    noisy = False

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def buildProtocol(self, addr: IAddress | None) -> BackendConnection:  # noqa: ARG002 - Twisted's interface
        """Make it, and have it counted."""
        connection = BackendConnection(self._backend, secure=self._backend.address.scheme == "https")
        self._backend.made(connection)
        return connection
