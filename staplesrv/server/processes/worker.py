"""A worker: premises of its own, which do what the supervisor says. It reads no key file and asks no responder."""

from __future__ import annotations

import signal
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import implementer

from staplesrv import sources
from staplesrv.errors import OperatorError
from staplesrv.rates import Rates
from staplesrv.server.adopted_socket import adopt
from staplesrv.server.config import Configuration
from staplesrv.server.configuration.listener import Listener
from staplesrv.server.door import Door
from staplesrv.server.name_lookups import keep_lookups_apart
from staplesrv.server.premises import Plan, Premises
from staplesrv.server.processes import orders, reports
from staplesrv.server.processes.channel import Channel
from staplesrv.server.steady_time import use_steady_time
from staplesrv.staples.cache import StapleCache
from staplesrv.tls.front import Front
from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.preset import PresetName
from staplesrv.tls.sni import SiteTable

BEAT = 5.0
"""Seconds between two signs of life."""

_log = Logger()


@dataclass(frozen=True, slots=True)
class Heritage:
    """What workers have from the process that forked them, so that it is the same in all.

    Args:
        contexts: Base contexts: their keys make a session ticket from one worker good at all.
        rates: Where handshakes and requests are counted that are limited.
    """

    contexts: Mapping[PresetName, Any]
    rates: Rates


@implementer(ILogObserver)
class Worker:
    """Serves what the supervisor says.

    Args:
        reactor: The reactor.
        heritage: What all workers share.
        wall_clock: Seconds since the epoch.

    Attributes:
        channel: To the supervisor.
        status: The exit status to be.
        premises: What serves; None before the first order.
    """

    def __init__(
        self,
        reactor: Any,
        heritage: Heritage,
        wall_clock: sources.WallClock = sources.wall_clock,
    ) -> None:
        self.channel = Channel(self._received, self._orphaned)
        self.status = 0
        self.premises: Premises | None = None
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._front = Front(wall_clock=wall_clock, contexts=heritage.contexts)
        self._rates = heritage.rates
        self._cache = StapleCache()
        self._configuration: Configuration | None = None
        self._sites: dict[int, LiveSite] = {}
        self._counted: dict[int, Counter[str]] = {}
        self._counted_refused: Counter[str] = Counter()
        self._plan: Plan | None = None
        self._round = 0
        self._draining = False
        self._beat = LoopingCall(self._report_life)
        self._beat.clock = reactor

    def start(self) -> None:
        """Give signs of life from now on."""
        self._beat.start(BEAT).addErrback(lambda failure: _log.failure("No signs of life any more", failure=failure))

    def report(self, report: reports.Report) -> None:
        """Tell the supervisor."""
        self.channel.send(reports.packed(report))

    def __call__(self, event: LogEvent) -> None:
        """Have the supervisor write what this process logs; less of it when it can't keep up."""
        if self.channel.full:
            return
        text = formatEvent(event)
        failure = event.get("log_failure")
        if failure is not None:
            text = f"{text}\n{failure.getTraceback()}"
        self.report(reports.Line(event["log_level"].name, text[: reports.LONGEST_LINE]))

    def terminate(self) -> None:
        """Drain; the second time leave at once."""
        self.drain(0 if self._draining else None)

    def drain(self, seconds: float | None = None) -> None:
        """Accept no more, and leave when everybody was served.

        Args:
            seconds: When to leave at the latest; None for what the configuration says.
        """
        if self._draining:
            if seconds == 0 and self.premises is not None:
                self.premises.hurry()
            return
        self._draining = True
        self.report(reports.Leaving())
        # What was said last is on its way before the end.
        leaving = Deferred.fromCoroutine(self._leave(seconds)).addErrback(_unexpected)
        leaving.addBoth(lambda _: self.channel.finish()).addBoth(lambda _: self._reactor.stop())

    async def _leave(self, seconds: float | None) -> None:
        if self.premises is None or self._configuration is None:
            return
        await self.premises.close(self._configuration.drain if seconds is None else seconds)
        await self.premises.stopService()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        self._report_life()

    def _received(self, message: bytes) -> None:
        order = orders.unpacked(message)
        if self._draining and not isinstance(order, orders.Drain | orders.Renew):
            return
        try:
            self._obey(order)
        except Exception:  # noqa: BLE001 - whatever it is, another process starts from the beginning
            _log.failure("A worker can't do {order}, and leaves", order=type(order).__name__)
            self.status = 1
            self.drain()

    def _obey(self, order: orders.Order) -> None:
        match order:
            case orders.Prepare():
                self._prepare(order)
            case orders.Abandon():
                self._abandon()
            case orders.Adopt():
                self._adopt()
            case orders.Show() if self._configuration is not None:
                self._renew(order.staples)
                self._show(order.sites)
            case orders.Settle():
                self._settle()
            case orders.Renew():
                self._renew(order.staples)
            case orders.ReopenLogs():
                if self.premises is not None:
                    self.premises.reopen_logs()
            case orders.Drain():
                self.drain(order.seconds)

    def _prepare(self, order: orders.Prepare) -> None:
        self._abandon()
        self._round = order.round
        given = self._taken(order.sockets)
        configuration = order.configuration

        def bind(listener: Listener) -> Door:
            return Door.bind(listener, self._reactor, configuration.place, given.pop(listener.endpoint))

        try:
            if self.premises is None:
                self.premises = Premises(
                    configuration,
                    self._front,
                    reactor=self._reactor,
                    limits=order.limits,
                    rates=self._rates,
                    wall_clock=self._wall_clock,
                )
                self.premises.open_log()
            self._plan = self.premises.plan(configuration, bind, frozenset(given))
        except OperatorError as error:
            parts = (error.where, error.problem, error.advice, error.key)
            self.report(reports.Failed(order.round, *(part[:4096] for part in parts)))
            return
        finally:
            for sockets in given.values():
                for one in sockets:
                    one.close()
        self._configuration = configuration
        self.report(reports.Prepared(order.round))

    def _taken(self, sockets: Sequence[tuple[str, int]]) -> dict[str, list[socket.socket]]:
        descriptors = self.channel.descriptors
        taken: dict[str, list[socket.socket]] = {}
        for endpoint, count in sockets:
            taken[endpoint] = [socket.socket(fileno=descriptor) for descriptor in descriptors[:count]]
            del descriptors[:count]
        return taken

    def _abandon(self) -> None:
        plan, self._plan = self._plan, None
        if plan is not None and self.premises is not None:
            self.premises.abandon(plan)

    def _adopt(self) -> None:
        if self._plan is not None and self.premises is not None:
            self.premises.adopt(self._plan)

    def _show(self, sites: Sequence[tuple[int, Any]]) -> None:
        if self._sites:
            # Those that go have counted, too.
            self._report_life()
        self._sites = {
            number: self._sites[number] if loaded is None else self._made(loaded) for number, loaded in sites
        }
        self._counted = {number: self._counted.get(number, Counter()) for number in self._sites}
        self._front.table = SiteTable(tuple(self._sites.values()))
        shown = {entry.fingerprint for site in self._sites.values() for entry in site.entries}
        for entry in self._cache:
            if entry.fingerprint not in shown:
                self._cache.forget(entry.fingerprint)

    def _made(self, loaded: Any) -> LiveSite:
        assert self._configuration is not None  # noqa: S101 - it comes before any site
        refuse_revoked = self._configuration.settings.on_revoked == "refuse"
        return LiveSite(loaded, cache=self._cache, wall_clock=self._wall_clock, refuse_revoked=refuse_revoked)

    def _renew(self, staples: Sequence[orders.Staple]) -> None:
        for staple in staples:
            entry = self._cache.entry(staple.fingerprint)
            entry.held, entry.reason = staple.held, staple.reason

    def _settle(self) -> None:
        if self.premises is None:
            return
        plan, self._plan = self._plan, None
        # It has settled already if it began in the middle of a reload.
        if plan is not None:
            self.premises.settle(plan, {site.loaded.certificate for site in self._sites.values()})
        if not self.premises.running:
            self.premises.startService()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        self.report(reports.Serving(self._round))

    def _report_life(self) -> None:
        premises = self.premises
        if premises is None:
            self.report(reports.Beat(0, 0, 0, {}, []))
            return
        connections = premises.connections
        closed = {str(why): count for why, count in connections.closed.items()}
        handshakes = list(islice(self._new_handshakes(), reports.MOST_HANDSHAKES))
        refused = list(islice(self._new_refused(premises.hosts.refused), reports.MOST_REFUSED))
        self.report(
            reports.Beat(connections.open, connections.accepted, premises.requests, closed, handshakes, refused)
        )

    def _new_handshakes(self) -> Iterator[tuple[int, str, int]]:
        for number, site in self._sites.items():
            counted = self._counted[number]
            for outcome, count in site.handshakes.items():
                if more := count - counted[outcome]:
                    # First: after the last one that fits nobody comes back here.
                    counted[outcome] = count
                    yield number, outcome, more

    def _new_refused(self, refused: Counter[str]) -> Iterator[tuple[str, int]]:
        for label, count in refused.items():
            if more := count - self._counted_refused[label]:
                self._counted_refused[label] = count
                yield label, more

    def _orphaned(self) -> None:
        # Nobody would replace it, or tell it of new staples.
        self.drain()


def run(descriptor: int, heritage: Heritage) -> int:
    """Be a worker, in a process that was forked for it and has installed its reactor; return the exit status.

    Args:
        descriptor: The way to the supervisor.
        heritage: What all workers share.
    """
    from twisted.internet import reactor  # noqa: PLC0415 - it was installed just now

    use_steady_time(reactor)
    keep_lookups_apart(reactor)
    worker = Worker(reactor, heritage)
    globalLogBeginner.beginLoggingTo([worker], redirectStandardIO=False)
    end: Any = reactor
    with socket.socket(fileno=descriptor) as way:
        adopt(reactor, way, worker.channel)

    def begin() -> None:
        # After the reactor has set its own.
        signal.signal(signal.SIGTERM, lambda *_: end.callFromThread(worker.terminate))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        worker.start()

    end.callWhenRunning(begin)
    end.run()
    return worker.status


def _unexpected(failure: Failure) -> None:
    with suppress(Exception):
        _log.failure("A worker could not leave in order", failure=failure)
