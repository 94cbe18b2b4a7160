"""One listener at work: sockets that are bound first, and TLS and HTTP on them later."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred

from staplesrv import sources
from staplesrv.errors import OperatorError
from staplesrv.http.factory import HTTPFactory
from staplesrv.http.limits import Limits
from staplesrv.http.redirect import HttpsRedirect
from staplesrv.server.configuration.listener import Listener
from staplesrv.server.configuration.place import Place
from staplesrv.server.connection_facts import ConnectionFacts
from staplesrv.server.hosts import Hosts
from staplesrv.server.plain_factory import PlainFactory
from staplesrv.server.proxy_preamble import proxy_preambles
from staplesrv.tls.bound_ports import BoundPorts
from staplesrv.tls.connections import Connections
from staplesrv.tls.context_factory import ContextFactory
from staplesrv.tls.front import Front
from staplesrv.tls.preset import PresetName


@dataclass(frozen=True, slots=True)
class House:
    """What all doors lead to.

    Args:
        hosts: Which site answers a request.
        front: Has the certificates.
        connections: Holds clients to the limits.
        limits: The same for HTTP.
        wall_clock: Seconds since the epoch.
    """

    hosts: Hosts
    front: Front
    connections: Connections
    limits: Limits
    wall_clock: sources.WallClock


@dataclass(slots=True, eq=False)
class Door:
    """The sockets of one listener. `bind` makes it.

    Args:
        listener: What the configuration says.
        ports: The sockets.
        reactor: The reactor.
        place: For errors.

    Attributes:
        factory: What serves on them, once they are open.
        is_open: Whether they are, or could not be.
    """

    listener: Listener
    ports: BoundPorts
    reactor: Any
    place: Place
    factory: HTTPFactory | None = field(default=None, init=False)
    is_open: bool = field(default=False, init=False)

    @classmethod
    def bind(cls, listener: Listener, reactor: Any, place: Place, given: Sequence[socket.socket] | None = None) -> Door:
        """Bind the sockets; nobody can connect yet.

        Args:
            listener: What the configuration says.
            reactor: The reactor.
            place: For errors.
            given: The sockets, where another process has bound them.

        Raises:
            OperatorError: they can't be bound.
        """
        try:
            return cls(listener, BoundPorts.bind(reactor, listener.endpoint, given), reactor, place)
        except OperatorError as error:
            raise _explained(error, place) from error

    @property
    def addresses(self) -> tuple[Any, ...]:
        """What is bound, as the sockets say."""
        return tuple(self.ports.addresses)

    @property
    def requests(self) -> int:
        """How many there were."""
        return 0 if self.factory is None else self.factory.requests

    def open(self, house: House) -> None:
        """Listen, and serve.

        Raises:
            OperatorError: another process was faster.
        """
        self.is_open = True
        try:
            if self.listener.tls is None:
                self._open_plain(house)
            else:
                self._open_tls(house, self.listener.tls)
        except OperatorError as error:
            raise _explained(error, self.place) from error

    def leave_to(self, heir: Door) -> None:
        """Have another one of its endpoint go on; with the open connections, too, where only the sockets differ."""
        self.ports.leave_paths_to(heir.ports)
        if heir.listener == self.listener:
            heir.factory, self.factory = self.factory, None

    def close(self) -> Deferred[Any]:
        """Close the sockets, and connections as they come to rest; the Deferred fires when the sockets are closed."""
        if self.factory is not None:
            self.factory.stop()
        return self.ports.stopListening()

    def _open_tls(self, house: House, preset: PresetName) -> None:
        # Who says HTTP/1.0 gets it from HTTP/1.1's side: curl does, and would be refused for having nothing in common.
        older = ("http/1.0",) if "http/1.1" in self.listener.protocols else ()
        protocols = [name.encode() for name in (*self.listener.protocols, *older)]
        context_factory = ContextFactory(house.front, preset, protocols)
        self.factory = self.factory or HTTPFactory(
            house.hosts, protocols=self.listener.protocols, raw=house.hosts.tunnel, **self._common(house)
        )
        trusted = self.listener.proxy_protocol_from
        preambles = proxy_preambles(trusted) if trusted else None
        self.ports.listen_tls(self.factory, context_factory, house.connections, make_preamble=preambles)

    def _open_plain(self, house: House) -> None:
        if self.factory is None:
            application = HttpsRedirect(self.listener.https_port, self.listener.acme_challenges)
            self.factory = PlainFactory(house.hosts.logged(application), house.connections, **self._common(house))
        self.ports.listen(self.factory)

    def _common(self, house: House) -> dict[str, Any]:
        """What a factory takes with TLS and without."""
        return {
            "describe": ConnectionFacts,
            "clock": self.reactor,
            "wall_clock": house.wall_clock,
            "limits": house.limits,
            "log_refused": house.hosts.log_refused,
        }


def _explained(error: OperatorError, place: Place) -> OperatorError:
    return place.error("listen", f"{error.where}: {error.problem}", error.advice)
