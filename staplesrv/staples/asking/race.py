"""Several ways to one result: one after the other, the next one beside a silent one; the first that succeeds wins."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Generic, TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from staplesrv.staples.failure import FetchFailed

T = TypeVar("T")

Entrant: TypeAlias = Callable[[], Coroutine[Deferred[Any], Any, T]]


class Race(Generic[T]):
    """Runs entrants until one succeeds, and cancels the others.

    The next entrant starts when one has failed, or when `patience` is over.

    Args:
        entrants: Started in this order, at least one.
        patience: Seconds until the next one starts beside those that run; None to wait for them to fail.
        clock: Where patience is measured.
        failures: Gets every entrant's `FetchFailed`, in the order in which they came.
    """

    def __init__(
        self,
        entrants: Iterable[Entrant[T]],
        patience: float | None,
        clock: IReactorTime,
        failures: list[FetchFailed],
    ) -> None:
        self._waiting = deque(entrants)
        self._patience = patience
        self._clock = clock
        self._failures = failures
        self._running: set[Deferred[T]] = set()
        self._timer: IDelayedCall | None = None
        self._over = False
        self._result: Deferred[T] = Deferred(lambda _: self._stop())

    def run(self) -> Deferred[T]:
        """Start.

        Returns:
            The first success. It fails with the last `FetchFailed` when all have failed (`failures` then has every
            one), and at once with any other error. Cancelling cancels all that run.
        """
        self._start_next()
        return self._result

    def _start_next(self) -> None:
        entrant = self._waiting.popleft()
        running = Deferred.fromCoroutine(entrant())
        self._running.add(running)
        if self._waiting and self._patience is not None:
            self._timer = self._clock.callLater(self._patience, self._start_next)
        running.addCallbacks(self._won, self._lost, callbackArgs=(running,), errbackArgs=(running,))

    def _won(self, value: T, winner: Deferred[T]) -> None:
        self._running.discard(winner)
        if not self._over:
            self._stop()
            self._result.callback(value)

    def _lost(self, reason: Failure, loser: Deferred[T]) -> None:
        self._running.discard(loser)
        if self._over:
            return
        if not isinstance(reason.value, FetchFailed):
            self._stop()
            self._result.errback(reason)
            return
        self._failures.append(reason.value)
        self._stop_timer()
        if self._waiting:
            self._start_next()
        elif not self._running:
            self._stop()
            self._result.errback(reason)

    def _stop(self) -> None:
        self._over = True
        self._stop_timer()
        for running in list(self._running):
            running.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
