"""Reloads, one after the other: whoever asks while one is under way gets the next one, which reads everything anew."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from staplesrv.ops.status import Reload

_log = Logger()


class Reloads:
    """Runs them.

    Args:
        run: Does one.
        failed: Says what a line stands for where one did not come to its end.

    Attributes:
        last: What became of the last one; None where there was none.
        under_way: Fires when the one under way has ended; None where there is none.
    """

    def __init__(
        self, run: Callable[[], Coroutine[Deferred[Any], Any, Reload]], failed: Callable[[str], Reload]
    ) -> None:
        self.last: Reload | None = None
        self.under_way: Deferred[None] | None = None
        self._run = run
        self._failed = failed
        self._next: list[Deferred[Reload]] = []
        self._stopped = False

    def soon(self) -> Deferred[Reload]:
        """Reload now, or after the one that is under way; the Deferred fires with what became of it."""
        asked: Deferred[Reload] = Deferred()
        self._next.append(asked)
        if self.under_way is None:
            self._begin()
        return asked

    def stop(self) -> None:
        """Break off what is under way, and begin no other."""
        self._stopped = True
        if self.under_way is not None:
            self.under_way.cancel()

    def _begin(self) -> None:
        waiting, self._next = self._next, []
        running: Deferred[Any] = Deferred.fromCoroutine(self._run())
        self.under_way = running
        running.addErrback(self._broken_off)
        running.addCallback(self._ended, waiting)

    def _broken_off(self, failure: Failure) -> Reload:
        if failure.check(CancelledError):  # type: ignore[no-untyped-call]  # Twisted's has no annotations
            return self._failed("the server stops")
        _log.failure("A reload ended in a bug of ours; what was served before goes on", failure=failure)
        return self._failed("a bug of ours, which is in the log; what was served before goes on")

    def _ended(self, outcome: Reload, waiting: list[Deferred[Reload]]) -> None:
        self.under_way = None
        self.last = outcome
        for asked in waiting:
            asked.callback(outcome)
        if self._stopped:
            waiting, self._next = self._next, []
            for asked in waiting:
                asked.callback(outcome)
        elif self._next:
            self._begin()
