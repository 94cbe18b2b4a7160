"""The service that keeps certificates and staples together, and hands out contexts that show them.

Theory of operation: a site is live once it is in the front's table, and gets there together with its staple. A reload
makes new sites beside the live ones, has their leaves stapled, waits, and swaps the table by one assignment; what is
not live any more is let go of after that. Everything but the reading of files runs in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredLock
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from staplesrv import sources
from staplesrv.staples.blocking import in_thread
from staplesrv.staples.keeping.errands import Fetches
from staplesrv.staples.settings import Settings
from staplesrv.staples.stores import Store
from staplesrv.staples.stores.disk import DiskStore
from staplesrv.staples.stores.memory import MemoryStore
from staplesrv.tls import openssl
from staplesrv.tls.context_factory import ContextFactory
from staplesrv.tls.keeper import Keeper
from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.preset import PresetName
from staplesrv.tls.reload import Reloaded, reload
from staplesrv.tls.self_check import Mismatch, check_site, sample
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.stage import Stage, assignments

TICK = timedelta(seconds=1)
"""How often files and the age of ticket keys are looked at; each file every `watch.ROUND` ticks."""

_log = Logger()


class Stapler(MultiService):
    """Keeps a fresh staple for every certificate of some sites.

    The order is: `load` (needs the rights to read the keys), `startService`, `await ready()`, and then to listen with
    what `context_factory` returns. As a child of a Twisted application the first two happen by themselves. Once
    stopped it does not start again.

    Args:
        sites: The first one is the default for unknown names and for clients that send none.
        settings: The `[staples]` table.
        state_dir: Where staples survive restarts; None keeps them in memory.
        store: Where staples are kept, in place of `state_dir`.
        preset: Mozilla's name for protocol versions and ciphers: "intermediate" or "modern".
        reactor: The reactor; None is the global one.
        wall_clock: Seconds since the epoch.
        uniform: Chance, for jitter.
        fetcher: What asks responders; made from the settings by default.

    Attributes:
        stage: What is on: the live sites, their staples, findings about them, and failures of the last reload.
        keeper: The way to the responders; has the refresher.

    Raises:
        OperatorError: there is no site.
    """

    def __init__(
        self,
        sites: Sequence[SiteCertificate],
        *,
        settings: Settings | None = None,
        state_dir: str | Path | None = None,
        store: Store | None = None,
        preset: PresetName = "intermediate",
        reactor: Any = None,
        wall_clock: sources.WallClock = sources.wall_clock,
        uniform: sources.Uniform = sources.uniform,
        fetcher: Fetches | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.settings = settings or Settings()
        self.stage = Stage(sites, self.settings, wall_clock)
        self._preset = preset
        self._reactor = _global_reactor() if reactor is None else reactor
        self._wall_clock = wall_clock
        self._lock = DeferredLock()
        self._in_flight: set[Deferred[Any]] = set()
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = self._reactor
        self.keeper = Keeper(
            reactor=self._reactor,
            settings=self.settings,
            cache=self.stage.cache,
            store=store or _store(state_dir, self._reactor),
            wall_clock=wall_clock,
            uniform=uniform,
            fetcher=fetcher,
        )
        self.keeper.refresher.issuer_found = self.stage.issuer_found
        self.keeper.setServiceParent(self)  # type: ignore[no-untyped-call]

    def context_factory(self, protocols: Sequence[bytes] = (), *, preset: PresetName | None = None) -> ContextFactory:
        """Return a context factory for `listenSSL`, `SSL4ServerEndpoint` and `startTLS`.

        Args:
            protocols: ALPN names, the preferred one first. Without any the wrapped factory is asked (Twisted's
                `IProtocolNegotiationFactory`), as Twisted's own context factories do.
            preset: In place of the stapler's own.
        """
        return ContextFactory(self.stage.front, preset or self._preset, protocols)

    def load(self) -> None:
        """Read and check every file; nothing is fetched. The second call does nothing.

        What can be served but needs a look goes to the log; `stage.findings` returns the same.

        Raises:
            OperatorError: a file can't be used, or two sites have one name.
        """
        self.stage.load()

    def privilegedStartService(self) -> None:
        """Read the files while privileges last."""
        self.load()
        super().privilegedStartService()  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        """Start to fetch, and to watch the files."""
        self.load()
        super().startService()  # type: ignore[no-untyped-call]
        self.keeper.keep(assignments(self.stage.live))
        if problem := openssl.warning():
            _log.warn("{problem}", problem=problem)
        self._ticker.start(TICK.total_seconds(), now=False).addErrback(_unexpected)

    def stopService(self) -> Deferred[Any]:
        """Stop; the Deferred fires when nothing is in flight any more. Contexts go on to show what they have."""
        return Deferred.fromCoroutine(self._stop())

    async def ready(self) -> None:
        """Wait for the first staples: `start_wait` at most, 30 s for must-staple certificates. Then self-check."""
        await self.keeper.settled(assignments(self.stage.live), self.settings.start_wait)
        self.stage.complete()
        await self.self_check()

    async def reload(self, sites: Sequence[SiteCertificate] | None = None) -> Reloaded:
        """Read all files again, and swap each changed certificate together with its staple.

        What can't be used is no exception: it keeps what was there before, raises the alarm, and is among the failures.
        Reloads that overlap happen one after the other.

        Args:
            sites: The sites from now on; None keeps them.
        """
        return await self._reload_in_turn(sites)

    async def self_check(self, sites: Sequence[LiveSite] | None = None) -> tuple[Mismatch, ...]:
        """Do handshakes in memory, and see whether exactly the staples that are held come out.

        Args:
            sites: What to look at; None is all that is live. Of very many a sample is taken.
        """
        # With TLS 1.2, whatever the listeners speak: there a client can choose which of two certificates it is shown.
        connect = self.context_factory(preset="intermediate").connection
        mismatches: list[Mismatch] = []
        for site in sample(self.stage.live if sites is None else sites):
            mismatches += check_site(site, connect, self._wall_clock())
            # Between two of them the reactor has its turn.
            await deferLater(self._reactor, 0, lambda: None)
        for mismatch in mismatches:
            _log.critical("{where}: {problem}", where=mismatch.where, problem=mismatch.problem)
        return tuple(mismatches)

    async def _stop(self) -> None:
        if self._ticker.running:
            self._ticker.stop()
        in_flight = list(self._in_flight)
        for reloading in in_flight:
            reloading.cancel()
        await DeferredList(in_flight, consumeErrors=True)
        await super().stopService()  # type: ignore[no-untyped-call]

    async def _tick(self) -> None:
        try:
            self.stage.front.renew_ticket_keys_if_due()
            self.stage.complete()
            changed = await in_thread(self._reactor, self.stage.watch.changed)
            if changed and self.running:
                Deferred.fromCoroutine(self._reload_in_turn(None, changed)).addErrback(_unexpected)
        except Exception:  # noqa: BLE001 - a LoopingCall whose function raises never calls it again
            _log.failure("Looking at the certificates' files failed")

    async def _reload_in_turn(
        self, sites: Sequence[SiteCertificate] | None, changed: Collection[Path] | None = None
    ) -> Reloaded:
        under_way = self._lock.run(lambda: Deferred.fromCoroutine(self._reload(sites, changed)))
        self._in_flight.add(under_way)
        try:
            return await under_way
        finally:
            self._in_flight.discard(under_way)

    async def _reload(self, sites: Sequence[SiteCertificate] | None, changed: Collection[Path] | None) -> Reloaded:
        done = await reload(self.stage, self.keeper, self.settings, self._reactor, sites=sites, changed=changed)
        for error in done.failures:
            _log.critical("{problem}; what was served before goes on", problem=str(error))
        if done.swapped:
            _log.info("Sites with new certificates: {sites}", sites=", ".join(site.where for site in done.swapped))
            self.stage.tell(done.swapped)
            await self.self_check(done.swapped)
        return done


def _unexpected(failure: Failure) -> None:
    if not failure.check(CancelledError):  # type: ignore[no-untyped-call]
        _log.failure("A bug of ours", failure=failure)


def _store(state_dir: str | Path | None, reactor: Any) -> Store:
    return MemoryStore() if state_dir is None else DiskStore(Path(state_dir), reactor=reactor)


def _global_reactor() -> Any:
    # Importing this module must not install a reactor.
    from twisted.internet import reactor  # noqa: PLC0415

    return reactor
