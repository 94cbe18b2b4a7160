"""What serves: doors, what they lead to, and the access log. It needs certificates and staples, and fetches none.

Theory of operation: in one process it lives beside the stapler. With several workers each of them has premises of its
own, whose front is fed with what the supervisor's stapler has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import DeferredList

from staplesrv import sources
from staplesrv.errors import OperatorError
from staplesrv.http.access_log import AccessLog
from staplesrv.server.config import Configuration
from staplesrv.server.configuration.listener import Listener
from staplesrv.server.contents import Contents
from staplesrv.server.door import Door, House
from staplesrv.server.hosts import Behind, Hosts
from staplesrv.server.log_file import LogFile
from staplesrv.tls.connections import Connections
from staplesrv.tls.draining import Draining
from staplesrv.tls.front import Front
from staplesrv.tls.limits import Limits
from staplesrv.tls.site import SiteCertificate

Bind = Callable[[Listener], Door]
"""Makes the door of a listener, not open yet; may raise `OperatorError`."""


class Premises(MultiService):
    """Serves the sites of a configuration.

    Args:
        configuration: What to serve, and where.
        front: Has the certificates, sooner or later.
        reactor: The reactor.
        limits: What clients may take, where that is not what the configuration says.
        wall_clock: Seconds since the epoch.

    Attributes:
        hosts: Leads requests to sites.
        connections: What is open, and what became of the rest.
        doors: The sockets.
        behind: What is behind the sites, in place of what the configuration says.
    """

    def __init__(
        self,
        configuration: Configuration,
        front: Front,
        *,
        reactor: Any,
        limits: Limits | None = None,
        wall_clock: sources.WallClock = sources.wall_clock,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._contents = Contents(reactor, wall_clock)
        self._log_file: LogFile | None = None
        self.behind: Mapping[SiteCertificate, Behind] | None = None
        self.hosts = Hosts(front, {}, self._access_log(configuration))
        self.connections = Connections(limits or configuration.limits, reactor)
        self.doors: tuple[Door, ...] = ()
        self._draining: Draining | None = None
        self._house = House(self.hosts, front, self.connections, configuration.http, wall_clock)

    def contents_of(self, configuration: Configuration) -> Mapping[SiteCertificate, Behind]:
        """Make what is behind the sites of a configuration; nobody is led there yet.

        Raises:
            OperatorError: something can't be used.
        """
        return self._contents.of(configuration.sites) if self.behind is None else self.behind

    def prepare(self, configuration: Configuration, bind: Bind) -> None:
        """Make every resource and bind every socket.

        Raises:
            OperatorError: something can't be used. Nothing is left bound then.
        """
        self.hosts.sites = self.contents_of(configuration)
        if self._log_file is not None:
            self._log_file.open()
        self.doors = bound(configuration.listeners, bind)

    def open(self) -> None:
        """Listen, and serve.

        Raises:
            OperatorError: another process was faster at a socket.
        """
        self._contents.start()
        for door in self.doors:
            door.open(self._house)

    def add(self, contents: Mapping[SiteCertificate, Behind]) -> None:
        """Have something behind sites, before they are there."""
        self.hosts.sites = {**self.hosts.sites, **contents}

    def settle(self, contents: Mapping[SiteCertificate, Behind], live: Collection[SiteCertificate]) -> None:
        """Let go of what is behind sites that are no more.

        Args:
            contents: What is behind the sites that there should be: kept, as files of those not usable yet are watched.
            live: The sites that are served. Of the old ones some had to stay.
        """
        stayed = {certificate: one for certificate, one in self.hosts.sites.items() if certificate in live}
        self.hosts.sites = {**stayed, **contents}
        self._contents.close_but(self.hosts.sites)

    def reopen_logs(self) -> None:
        """Go on in a new file, as the old one was renamed."""
        if self._log_file is not None:
            self._log_file.reopen()

    async def close(self, seconds: float) -> None:
        """Close the sockets, and connections as they come to rest; returns when all are closed.

        Args:
            seconds: How long connections have; then they are closed as they are.
        """
        doors, self.doors = self.doors, ()
        draining = self._draining = Draining(self.connections, self._reactor)
        await DeferredList([door.close() for door in doors], consumeErrors=True)
        await draining.wait(seconds)
        self._contents.close()

    def hurry(self) -> None:
        """Close at once what `close` still waits for."""
        if self._draining is not None:
            self._draining.hurry()

    def _access_log(self, configuration: Configuration) -> AccessLog | None:
        settings = configuration.access_log
        if settings is None:
            return None
        self._log_file = LogFile(settings.file, self._reactor)
        self._log_file.setServiceParent(self)  # type: ignore[no-untyped-call]  # as above
        return AccessLog(self._log_file.write, settings.form, wall_clock=self._wall_clock)


def bound(listeners: Sequence[Listener], bind: Bind) -> tuple[Door, ...]:
    """Bind all of some listeners, or none.

    Raises:
        OperatorError: one can't be bound.
    """
    doors: list[Door] = []
    try:
        for listener in listeners:
            doors.append(bind(listener))  # noqa: PERF401 - a list built in one go would lose those bound already
    except OperatorError:
        for door in doors:
            door.close()
        raise
    return tuple(doors)
