"""The admin interface at its socket: bound with the others, and answered from the start of the service to its end."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from staplesrv.errors import OperatorError
from staplesrv.ops.admin import Server, tree
from staplesrv.ops.admin_address import AdminAddress
from staplesrv.ops.admin_site import AdminSite
from staplesrv.server import summary
from staplesrv.server.configuration.place import Place
from staplesrv.server.inheritance import Inheritance
from staplesrv.tls.bound_ports import BoundPorts

_log = Logger()


class AdminDoor(Service):
    """Listens where the key `admin` says; nowhere, where it says nothing.

    In an upgrade both processes have the socket: the old one answers until the new one serves.

    Args:
        address: Where; None for nowhere.
        place: For errors.
        server: What is looked at and steered.
        reactor: The reactor.
        give_up: Called if the socket can't listen after all, though it could be bound.
    """

    def __init__(
        self,
        address: AdminAddress | None,
        place: Place,
        server: Server,
        reactor: Any,
        give_up: Callable[[OperatorError], object],
    ) -> None:
        self._address = address
        self._place = place
        self._server = server
        self._reactor = reactor
        self._give_up = give_up
        self._ports: BoundPorts | None = None
        self._inherited = False
        self._listening = False

    @property
    def sockets(self) -> Mapping[str, Sequence[socket.socket]]:
        """What is bound, by endpoint."""
        return {} if self._ports is None else {self._ports.where: self._ports.sockets}

    @property
    def addresses(self) -> Sequence[Any]:
        """What is bound, as the sockets say."""
        return () if self._ports is None else self._ports.addresses

    def prepare(self, inheritance: Inheritance) -> None:
        """Bind the socket, but one that another process has.

        Raises:
            OperatorError: it can't be bound.
        """
        if self._address is None:
            return
        endpoint = self._address.endpoint
        given = inheritance.take(endpoint)
        try:
            self._ports = BoundPorts.bind(self._reactor, endpoint, given)
        except OperatorError as error:
            raise self._explained(error) from error
        self._inherited = given is not None
        if self._inherited:
            inheritance.when_served(self._ports.own_paths)

    def startService(self) -> None:
        """Answer from now on, unless another process does."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        if not self._inherited:
            self.open()

    def open(self) -> None:
        """Answer from now on in any case; the second call does nothing."""
        if self._ports is None or self._listening:
            return
        self._listening = True
        try:
            self._ports.listen(AdminSite(tree(self._server, self._reactor), self._reactor))
        except OperatorError as error:
            self._give_up(self._explained(error))
            return
        _log.info("admin on {addresses}", addresses=", ".join(map(summary.address, self.addresses)))

    def leave(self, heir: int) -> None:
        """Leave everything to another process, which answers; `heir` is its pid."""
        if self._ports is not None:
            self._ports.leave_paths(heir)
            self._ports.stopListening()

    def close(self) -> None:
        """Let go of the socket before anything has begun."""
        if self._ports is not None:
            self._ports.close()
            self._ports = None

    def stopService(self) -> Deferred[Any] | None:
        """Answer no more."""
        super().stopService()  # type: ignore[no-untyped-call]  # as above
        return None if self._ports is None else self._ports.stopListening()

    def _explained(self, error: OperatorError) -> OperatorError:
        return self._place.error("admin", f"{error.where}: {error.problem}", error.advice)
