"""The service that keeps every certificate's staple fresh.

Theory of operation: each certificate is a case. Cases sit in a queue by the wall-clock time at which they are due. A
tick every half second moves those that are due into the waiting lines of their responders' hosts, and as many as there
are slots for are under way. What comes back goes into the case's standing, which says when it is due next. Everything
happens in the reactor's thread; what blocks is done in other threads, one thing at a time per certificate.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from staplesrv import sources
from staplesrv.ocsp.response import verify_response
from staplesrv.sources import Uniform, WallClock
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.cache import StapleCache
from staplesrv.staples.keeping.announcer import Announcer
from staplesrv.staples.keeping.case import Case, Phase, Status, why_never
from staplesrv.staples.keeping.delivery import Delivery, IssuerFound
from staplesrv.staples.keeping.dispatcher import Dispatcher
from staplesrv.staples.keeping.errands import Errands, Fetches
from staplesrv.staples.keeping.file_errands import FileErrands
from staplesrv.staples.keeping.judge import Judge, Verify
from staplesrv.staples.keeping.loading import Loading
from staplesrv.staples.keeping.tasks import Tasks
from staplesrv.staples.keeping.ticker import Ticker
from staplesrv.staples.keeping.timing import Timing
from staplesrv.staples.settings import Settings
from staplesrv.staples.stores import Store
from staplesrv.staples.stores.guarded import GuardedStore

SWEEP_EVERY = 24 * 3600.0
"""Seconds between two sweeps of the store."""


class Refresher(Service):
    """Keeps the staples of its certificates fresh while it runs.

    Args:
        reactor: For timers and threads; `task.Clock` does where nothing blocks.
        cache: Where staples go.
        store: Where they outlive this process. It is used, and not closed: that is up to whoever made it.
        fetcher: Asks responders (`attempt.Fetcher`).
        settings: See `Settings`.
        wall_clock: The time, seconds since the epoch.
        uniform: Chance, for jitter.
        verify: Verifies what comes out of the store and out of files.
    """

    def __init__(
        self,
        *,
        reactor: IReactorTime,
        cache: StapleCache,
        store: Store,
        fetcher: Fetches,
        settings: Settings,
        wall_clock: WallClock = sources.wall_clock,
        uniform: Uniform = sources.uniform,
        verify: Verify = verify_response,
    ) -> None:
        self._cache = cache
        self._cases: dict[bytes, Case] = {}
        self._tasks = Tasks()
        announcer = Announcer(wall_clock)
        timing = Timing(settings.bounds, uniform)
        judge = Judge(settings.rules, verify)
        self._delivery = Delivery(timing, announcer, wall_clock)
        self._store = GuardedStore(store, reactor, announcer.store_failed)
        errands = Errands(
            store=self._store,
            fetcher=fetcher,
            judge=judge,
            timing=timing,
            delivery=self._delivery,
            announcer=announcer,
        )
        file_errands = FileErrands(reactor, judge, self._delivery)
        self._dispatcher = Dispatcher(errands, file_errands, self._delivery, announcer, self._tasks)
        self._loading = Loading(reactor, errands, self._tasks, self._dispatcher.loaded)
        self._ticker = Ticker(reactor, wall_clock, tick=self.tick, set_back=self._clock_set_back)
        self._reactor = reactor
        self._next_sweep = 0.0

    @property
    def issuer_found(self) -> IssuerFound | None:
        """Called with a leaf's fingerprint and its issuer's certificate, where that had to be fetched."""
        return self._delivery.issuer_found

    @issuer_found.setter
    def issuer_found(self, hook: IssuerFound | None) -> None:
        self._delivery.issuer_found = hook

    @property
    def totals(self) -> Counter[str]:
        """How many answers and failures there were: "new", "same", "older", "revoked", "unknown", "failed:<kind>"."""
        return self._delivery.totals

    @property
    def stalled(self) -> bool:
        """Whether this should be ticking and has not for a minute."""
        return self._ticker.stalled

    @property
    def last_tick(self) -> float:
        """When this ticked last, by the reactor's clock."""
        return self._ticker.last_tick

    def add(self, assignment: Assignment) -> None:
        """Keep a certificate stapled from now on; first with what the store has, then from its responder.

        A certificate that is here already is asked about by its new assignment, and keeps its staple.
        """
        old = self._cases.get(assignment.fingerprint)
        if old is not None and old.assignment == assignment:
            return
        case = self._cases[assignment.fingerprint] = Case(assignment, self._cache.entry(assignment.fingerprint))
        if old is not None:
            case.verdict, case.unwanted = old.verdict, old.unwanted
            old.leave()
        reason = why_never(assignment, self._delivery.now())
        if reason is not None:
            self._dispatcher.give_up(case, reason)
        else:
            self._loading.put(case)

    def remove(self, fingerprint: bytes) -> None:
        """Stop asking about a certificate. What handshakes show stays, and so does what is stored."""
        case = self._cases.pop(fingerprint, None)
        if case is not None:
            case.leave()

    async def settled(self, fingerprint: bytes, patience: timedelta = timedelta(0)) -> None:
        """Wait until a certificate has a staple, or it is clear that there will be none for now.

        Args:
            fingerprint: SHA-256 of the leaf's DER.
            patience: Until when failed attempts are repeated, by their back-off; zero is the first attempt alone.
        """
        end = self._delivery.now() + patience
        case = self._cases.get(fingerprint)
        if case is not None and case.settlers is not None:
            await case.settlers.wait()
        while self.running and case is not None and case.is_hopeful(self._delivery.now(), end):
            await case.watchers.wait()

    def refresh(self, fingerprint: bytes) -> Deferred[None]:
        """Ask about a certificate now, or join those who wait for the attempt that is under way.

        Returns:
            Fires when the attempt is over, whatever came of it (see `status`), at once where there is nobody to ask;
            cancelling it does not cancel the attempt.

        Raises:
            KeyError: there is no such certificate here.
        """
        case = self._cases[fingerprint]
        if case.phase is Phase.OVER:
            return succeed(None)
        waiter = case.waiters.wait()
        self._dispatcher.begin(case)
        return waiter

    def status(self, fingerprint: bytes) -> Status:
        """How a certificate stands.

        Raises:
            KeyError: there is no such certificate here.
        """
        return self._cases[fingerprint].status(self._delivery.now())

    def known(self, fingerprint: bytes) -> Status | None:
        """How a certificate stands; None where it is not here, as before the start."""
        return self.status(fingerprint) if fingerprint in self._cases else None

    def startService(self) -> None:
        """Begin."""
        super().startService()  # type: ignore[no-untyped-call]
        self._next_sweep = self._reactor.seconds()
        self._dispatcher.start()
        self._loading.start()
        self._ticker.start()

    def stopService(self) -> Deferred[None]:
        """End: fetches are given up, writes are waited for, and whoever waits for something is told that it is over."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._ticker.stop()
        self._loading.stop()
        self._dispatcher.stop(self._cases.values())
        return Deferred.fromCoroutine(self._end())

    async def _end(self) -> None:
        await self._tasks.over()
        for case in tuple(self._cases.values()):
            case.dismiss()

    def tick(self, now: float) -> None:
        """Begin what is due at `now`, the wall clock in seconds since the epoch. Called twice a second.

        With nothing due among 10,000 certificates this takes 6 us (bench/refresher_tick.py).
        """
        self._dispatcher.tick(now)
        seconds = self._reactor.seconds()
        if seconds >= self._next_sweep:
            self._next_sweep = seconds + SWEEP_EVERY
            self._tasks.run(self._sweep())

    def _clock_set_back(self, now: float) -> None:
        self._next_sweep = min(self._next_sweep, self._reactor.seconds() + SWEEP_EVERY)
        self._dispatcher.clock_set_back(now, tuple(self._cases.values()))

    async def _sweep(self) -> None:
        await self._store.sweep(self._delivery.now())
