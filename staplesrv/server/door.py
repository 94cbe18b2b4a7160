"""One listener at work: sockets that are bound first, and TLS and HTTP on them later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.listener import Listener
from staplesrv.server.configuration.place import Place
from staplesrv.server.web.hosts import Hosts
from staplesrv.server.web.web_site import WebSite
from staplesrv.tls.bound_ports import BoundPorts
from staplesrv.tls.connections import Connections
from staplesrv.tls.stapler import Stapler


@dataclass(frozen=True, slots=True)
class Door:
    """The sockets of one listener. `bind` makes it.

    Args:
        listener: What the configuration says.
        ports: The sockets.
        reactor: The reactor.
        place: For errors.
    """

    listener: Listener
    ports: BoundPorts
    reactor: Any
    place: Place

    @classmethod
    def bind(cls, listener: Listener, reactor: Any, place: Place) -> Door:
        """Bind the sockets; nobody can connect yet.

        Raises:
            OperatorError: they can't be bound.
        """
        try:
            return cls(listener, BoundPorts.bind(reactor, listener.endpoint), reactor, place)
        except OperatorError as error:
            raise _explained(error, place) from error

    @property
    def addresses(self) -> Sequence[Any]:
        """What is bound, as the sockets say."""
        return self.ports.addresses

    def open(self, hosts: Hosts, stapler: Stapler, connections: Connections) -> None:
        """Listen, and serve.

        Args:
            hosts: Which site answers a request.
            stapler: Has the certificates.
            connections: Holds clients to the limits.

        Raises:
            OperatorError: another process was faster.
        """
        protocols = self.listener.protocols
        context_factory = stapler.context_factory([name.encode() for name in protocols], preset=self.listener.tls)
        site = WebSite(hosts, protocols, self.reactor)
        try:
            self.ports.listen_tls(site, context_factory, connections)
        except OperatorError as error:
            raise _explained(error, self.place) from error

    def close(self) -> Deferred[Any]:
        """Close the sockets; the Deferred fires when they are closed."""
        return self.ports.stopListening()


def _explained(error: OperatorError, place: Place) -> OperatorError:
    return place.error("listen", f"{error.where}: {error.problem}", error.advice)
