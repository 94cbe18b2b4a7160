"""The stapler's side towards the responders: which leaves are kept stapled, and when their staples have come."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from staplesrv.sources import Uniform, WallClock
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.attempt import Fetcher
from staplesrv.staples.blocking import shielded
from staplesrv.staples.cache import StapleCache
from staplesrv.staples.keeping.errands import Fetches
from staplesrv.staples.refresher import Refresher
from staplesrv.staples.responder import ResponderClient
from staplesrv.staples.settings import Settings
from staplesrv.staples.stores import Store

MUST_STAPLE_WAIT = timedelta(seconds=30)
"""How long a start or a reload waits for the staple of a must-staple certificate."""

_log = Logger()


class Keeper(MultiService):
    """Keeps a set of leaves stapled.

    Args:
        reactor: The reactor.
        settings: The `[staples]` table.
        cache: Where staples go.
        store: Where they outlive the process; closed at the end.
        wall_clock: Seconds since the epoch.
        uniform: Chance, for jitter.
        fetcher: What asks responders; made from the settings by default.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        settings: Settings,
        cache: StapleCache,
        store: Store,
        wall_clock: WallClock,
        uniform: Uniform,
        fetcher: Fetches | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._reactor = reactor
        self._store = store
        self._cache = cache
        self._client = ResponderClient(reactor, settings, wall_clock=wall_clock)
        self._kept: set[bytes] = set()
        self.refresher = Refresher(
            reactor=reactor,
            cache=cache,
            store=store,
            fetcher=fetcher or Fetcher(self._client, settings, reactor, wall_clock),
            settings=settings,
            wall_clock=wall_clock,
            uniform=uniform,
        )
        self.refresher.setServiceParent(self)  # type: ignore[no-untyped-call]

    def keep(self, assignments: Iterable[Assignment]) -> None:
        """Keep these too, must-staple first. What is kept already is asked about by its new assignment."""
        for assignment in sorted(assignments, key=lambda assignment: not assignment.must_staple):
            self._kept.add(assignment.fingerprint)
            self.refresher.add(assignment)

    def keep_only(self, fingerprints: Collection[bytes]) -> None:
        """Stop with everything else, and forget its staples."""
        for fingerprint in self._kept.difference(fingerprints):
            self._kept.discard(fingerprint)
            self.refresher.remove(fingerprint)
        # A site that was made and never shown has left an entry too.
        for entry in self._cache:
            if entry.fingerprint not in fingerprints:
                self._cache.forget(entry.fingerprint)

    async def settled(self, assignments: Collection[Assignment], wait: timedelta) -> None:
        """Wait until each has its staple, or it is clear that it won't have one before the wait is over.

        Args:
            assignments: What was given to `keep`.
            wait: How long at most, in all; must-staple certificates get `MUST_STAPLE_WAIT` where that is longer.
        """
        patient = [assignment for assignment in assignments if assignment.must_staple]
        others = [assignment for assignment in assignments if not assignment.must_staple]
        groups = [self._group(others, wait), self._group(patient, max(wait, MUST_STAPLE_WAIT))]
        whole = DeferredList(groups, consumeErrors=True)
        try:
            await shielded(whole)
        except CancelledError:
            # By itself a cancelled DeferredList fires as if everything had been waited for.
            whole.cancel()
            raise

    def _group(self, assignments: Iterable[Assignment], wait: timedelta) -> Deferred[Any]:
        waiting = [
            Deferred.fromCoroutine(self.refresher.settled(assignment.fingerprint, wait)).addErrback(_end_of_wait)
            for assignment in assignments
        ]
        # Cancelling a DeferredList cancels what is in it, after which it fires as usual.
        return DeferredList(waiting).addTimeout(wait.total_seconds(), self._reactor)

    def stopService(self) -> Deferred[Any]:
        """Stop; the Deferred fires when nothing is in flight any more."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        await super().stopService()  # type: ignore[no-untyped-call]
        self._kept.clear()
        await self._client.close()
        await self._store.close()


def _end_of_wait(failure: Failure) -> None:
    if not failure.check(CancelledError):  # type: ignore[no-untyped-call]
        _log.failure("Waiting for a staple failed", failure=failure)
