"""Work that has to end in time, and that can be called off."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

T = TypeVar("T")


def within(
    seconds: float, work: Coroutine[Deferred[Any], Any, T], clock: IReactorTime, late: Callable[[], Exception]
) -> Deferred[T]:
    """Run a coroutine, cancel it when its time is over.

    Unlike `Deferred.addTimeout`, what the cancelled work makes of that does not count: Twisted's connection code turns
    `CancelledError` into DNSLookupError, ConnectingCancelledError or ResponseNeverReceived, by how far it had come.

    Args:
        seconds: From now.
        work: The coroutine.
        clock: Where the time is measured.
        late: Makes the error for when time is over.

    Returns:
        Fires as the coroutine does, fails with what `late` makes, or, when cancelled, with `CancelledError`.
    """
    running = Deferred.fromCoroutine(work)
    result: Deferred[T]

    def time_is_over() -> None:
        error = late()
        running.cancel()
        result.errback(error)

    timer = clock.callLater(seconds, time_is_over)

    def called_off(_: Deferred[T]) -> None:
        timer.cancel()
        running.cancel()

    result = Deferred(called_off)

    def finished(value: T | Failure) -> None:
        # Once the time is over, or the work called off, what it still says goes nowhere.
        if not timer.active():
            return
        timer.cancel()
        if isinstance(value, Failure):
            result.errback(value)
        else:
            result.callback(value)

    running.addBoth(finished)
    return result
