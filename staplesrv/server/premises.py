"""What serves: doors, what they lead to, and the access log. It needs certificates and staples, and fetches none.

Theory of operation: in one process it lives beside the stapler. With several workers each of them has premises of its
own, whose front is fed with what the supervisor's stapler has.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import DeferredList

from staplesrv import sources
from staplesrv.errors import OperatorError
from staplesrv.http.access_log import AccessLog
from staplesrv.ops.status import State, Traffic, Worker, Workers
from staplesrv.rates import Rates
from staplesrv.server.config import Configuration
from staplesrv.server.configuration.listener import Listener
from staplesrv.server.contents import Contents
from staplesrv.server.door import Door, House
from staplesrv.server.hosts import Behind, Hosts
from staplesrv.server.inheritance import Inheritance
from staplesrv.server.log_file import LogFile
from staplesrv.sources import utc
from staplesrv.tls.connections import Connections
from staplesrv.tls.draining import Draining
from staplesrv.tls.front import Front
from staplesrv.tls.limits import Limits
from staplesrv.tls.site import SiteCertificate


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a configuration asks for.

    Args:
        contents: What is behind its sites.
        doors: Its listeners.
        fresh: Those of them that were not there before.
    """

    contents: Mapping[SiteCertificate, Behind]
    doors: tuple[Door, ...]
    fresh: tuple[Door, ...]


Bind = Callable[[Listener], Door]
"""Makes the door of a listener, not open yet; may raise `OperatorError`."""


class Premises(MultiService):
    """Serves the sites of a configuration.

    Args:
        configuration: What to serve, and where.
        front: Has the certificates, sooner or later.
        reactor: The reactor.
        limits: What clients may take, where that is not what the configuration says.
        rates: Where handshakes and requests are counted that are limited, if not in tables of their own.
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
        rates: Rates | None = None,
        wall_clock: sources.WallClock = sources.wall_clock,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._contents = Contents(reactor, wall_clock)
        self._log_file: LogFile | None = None
        self.behind: Mapping[SiteCertificate, Behind] | None = None
        self.hosts = Hosts(front, {}, self._access_log(configuration), rates)
        self.connections = Connections(limits or configuration.limits, reactor, rates)
        self.doors: tuple[Door, ...] = ()
        self._requests_before = 0
        self._started = False
        self._draining: Draining | None = None
        self._house = House(self.hosts, front, self.connections, configuration.http, wall_clock)

    def contents_of(self, configuration: Configuration) -> Mapping[SiteCertificate, Behind]:
        """Make what is behind the sites of a configuration; nobody is led there yet.

        Raises:
            OperatorError: something can't be used.
        """
        return self._contents.of(configuration.sites) if self.behind is None else self.behind

    def plan(self, configuration: Configuration, bind: Bind | None = None, anew: Collection[str] = ()) -> Plan:
        """Make what a configuration asks for, beside what there is.

        Args:
            configuration: What to serve, and where.
            bind: Makes doors; by default they have sockets of their own.
            anew: Endpoints that get another door though their listener is the same: it has other sockets.

        Raises:
            OperatorError: something can't be used. Nothing new is left bound then.
        """
        contents = self.contents_of(configuration)
        there = {door.listener: door for door in self.doors if door.listener.endpoint not in anew}
        fresh = [listener for listener in configuration.listeners if listener not in there]
        doors = bound(fresh, bind or partial(self._bind, configuration))
        there.update((door.listener, door) for door in doors)
        return Plan(contents, tuple(there[listener] for listener in configuration.listeners), doors)

    def prepare(self, configuration: Configuration, inheritance: Inheritance) -> None:
        """Make every resource and bind every socket, but those that another process has.

        Raises:
            OperatorError: something can't be used. Nothing is left bound then.
        """
        self.open_log()

        def bind(listener: Listener) -> Door:
            return inherited_or_bound(listener, inheritance, self._reactor, configuration)

        plan = self.plan(configuration, bind)
        self.hosts.sites, self.doors = plan.contents, plan.doors

    def open_log(self) -> None:
        """Open the access log, while there are the rights to do so.

        Raises:
            OperatorError: it can't be.
        """
        if self._log_file is not None:
            self._log_file.open()

    async def open(self) -> None:
        """Listen, and serve.

        Raises:
            OperatorError: another process was faster at a socket.
        """
        self._open_doors()

    async def rehearse(self, configuration: Configuration) -> Plan:
        """Make what another configuration asks for: `plan`, as whoever reloads calls it.

        Raises:
            OperatorError: something can't be used. Nothing has changed then.
        """
        return self.plan(configuration)

    def abandon(self, plan: Plan) -> None:
        """Go on with what there was."""
        for door in plan.fresh:
            door.close()
        self._contents.close_but(self.hosts.sites)

    def adopt(self, plan: Plan) -> None:
        """Have what was made behind the sites, before the sites are there."""
        self.hosts.sites = {**self.hosts.sites, **plan.contents}

    def settle(self, plan: Plan, live: Collection[SiteCertificate]) -> None:
        """Listen where the plan says, and let go of what is not needed any more.

        Args:
            plan: What should be. All of its contents are kept, as files of sites not usable yet are watched.
            live: The sites that are served. Of the old ones some had to stay.

        Raises:
            OperatorError: another process was faster at a socket. All else is done then.
        """
        stayed = {certificate: one for certificate, one in self.hosts.sites.items() if certificate in live}
        self.hosts.sites = {**stayed, **plan.contents}
        self._contents.close_but(self.hosts.sites)
        before, self.doors = self.doors, plan.doors
        for door in before:
            if door not in plan.doors:
                heir = next((one for one in plan.doors if one.listener.endpoint == door.listener.endpoint), None)
                if heir is not None:
                    door.leave_to(heir)
                self._requests_before += door.requests
                door.close()
        self._open_doors()

    async def settled(self) -> None:
        """Do nothing: `settle` did it all."""

    def reopen_logs(self) -> None:
        """Go on in a new file, as the old one was renamed."""
        if self._log_file is not None:
            self._log_file.reopen()

    async def close(self, seconds: float) -> None:
        """Close the sockets, and connections as they come to rest; returns when all are closed.

        Args:
            seconds: How long connections have; then they are closed as they are.
        """
        self._requests_before = self.requests
        doors, self.doors = self.doors, ()
        draining = self._draining = Draining(self.connections, self._reactor)
        await DeferredList([door.close() for door in doors], consumeErrors=True)
        await draining.wait(seconds)
        self._contents.close()

    @property
    def addresses(self) -> Sequence[Any]:
        """What is listened on."""
        return [address for door in self.doors for address in door.addresses]

    @property
    def sockets(self) -> Mapping[str, Sequence[socket.socket]]:
        """What is bound, by endpoint."""
        return {door.listener.endpoint: door.ports.sockets for door in self.doors}

    def leave_paths(self) -> None:
        """Leave the paths of UNIX sockets to another process that has the sockets."""
        for door in self.doors:
            door.ports.leave_paths()

    @property
    def requests(self) -> int:
        """How many there were."""
        return self._requests_before + sum(door.requests for door in self.doors)

    def workers(self, now: float) -> Workers:
        """Who serves: this process alone."""
        state = State.SERVING if self._started else State.STARTING
        if self._draining is not None:
            state = State.STOPPING
        return Workers(1, 0, (Worker(1, os.getpid(), state, utc(now), self.connections.open),))

    def traffic(self) -> Traffic:
        """What came in; sites by their keys."""
        found = self.connections
        closed = {str(why): count for why, count in found.closed.items()}
        return Traffic(found.open, found.accepted, self.requests, closed, dict(self.hosts.refused))

    def hurry(self) -> None:
        """Close at once what `close` still waits for."""
        if self._draining is not None:
            self._draining.hurry()

    def _open_doors(self) -> None:
        if not self._started:
            self._started = True
            self._contents.start()
        for door in self.doors:
            if not door.is_open:
                door.open(self._house)

    def _bind(self, configuration: Configuration, listener: Listener) -> Door:
        """Bind, or go on with the sockets of a listener that has other settings now."""
        same = next((door for door in self.doors if door.listener.endpoint == listener.endpoint), None)
        given = None if same is None else [one.dup() for one in same.ports.sockets]
        return Door.bind(listener, self._reactor, configuration.place, given)

    def _access_log(self, configuration: Configuration) -> AccessLog | None:
        settings = configuration.access_log
        if settings is None:
            return None
        self._log_file = LogFile(settings.file, self._reactor)
        self._log_file.setServiceParent(self)  # type: ignore[no-untyped-call]  # as above
        return AccessLog(self._log_file.write, settings.form, wall_clock=self._wall_clock)


def inherited_or_bound(
    listener: Listener, inheritance: Inheritance, reactor: Any, configuration: Configuration
) -> Door:
    """Take over the sockets of a listener, or bind them.

    Raises:
        OperatorError: they can't be bound.
    """
    given = inheritance.take(listener.endpoint)
    door = Door.bind(listener, reactor, configuration.place, given)
    if given is not None:
        inheritance.when_served(door.ports.own_paths)
    return door


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
