"""What serves, as the service sees it: in its own process, or in others."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from staplesrv.ops.status import Traffic, Workers
from staplesrv.server.config import Configuration
from staplesrv.server.inheritance import Inheritance
from staplesrv.tls.site import SiteCertificate


class Staff(Protocol):
    """`Premises`, or a `Crew`. What a plan is, is its own matter."""

    @property
    def addresses(self) -> Sequence[Any]:
        """What is bound."""

    def workers(self, now: float) -> Workers:
        """Who serves, `now` in seconds since the epoch."""

    def traffic(self) -> Traffic:
        """What came in; sites by their keys."""

    def setServiceParent(self, parent: Any) -> None:
        """Start and stop with somebody."""

    @property
    def sockets(self) -> Mapping[str, Sequence[socket.socket]]:
        """What is bound, by endpoint."""

    def prepare(self, configuration: Configuration, inheritance: Inheritance) -> None:
        """Bind every socket, but those that another process has; may raise `OperatorError`."""

    def leave_paths(self) -> None:
        """Leave the paths of UNIX sockets to another process that has the sockets."""

    async def open(self) -> None:
        """Listen; may raise `OperatorError`."""

    async def rehearse(self, configuration: Configuration) -> Any:
        """Make a plan of another configuration, with everything that can go wrong: may raise `OperatorError`."""

    def abandon(self, plan: Any) -> None:
        """Go on with what there was."""

    def adopt(self, plan: Any) -> None:
        """Have what was planned behind the sites, before the sites are there."""

    def settle(self, plan: Any, live: Collection[SiteCertificate]) -> None:
        """Have what was planned, and nothing else; may raise `OperatorError` about sockets."""

    async def settled(self) -> None:
        """Wait until whoever serves has done so."""

    def reopen_logs(self) -> None:
        """The log files were renamed."""

    async def close(self, seconds: float) -> None:
        """Close everything; connections have some seconds to finish."""

    def hurry(self) -> None:
        """Close at once what `close` waits for."""
