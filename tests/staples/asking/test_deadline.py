"""Work that has to end in time."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from staplesrv.staples.asking.deadline import within


class Late(Exception):
    """The time is over."""


class Odd(Exception):
    """What a library makes of being cancelled."""


class WithinTests(SynchronousTestCase):
    """`within` ends a coroutine's work when its time is over."""

    def setUp(self) -> None:
        """Something to wait for, that turns a cancellation into an error of its own."""
        self.clock = Clock()
        self.cancelled = 0
        self.waited: Deferred[str] = Deferred(self.cancel)

    def cancel(self, deferred: Deferred[str]) -> None:
        """Count, and fail the way that Twisted's connection code fails."""
        self.cancelled += 1
        deferred.errback(Odd())

    async def work(self) -> str:
        """Wait."""
        return await self.waited

    def start(self) -> Deferred[str]:
        """Give the work ten seconds."""
        return within(10, self.work(), self.clock, Late)

    def test_a_result_in_time(self) -> None:
        """The work's result is the result, and no timer stays behind."""
        result = self.start()
        self.clock.advance(9)
        self.waited.callback("done")
        assert self.successResultOf(result) == "done"
        assert not self.clock.getDelayedCalls()

    def test_a_result_at_once(self) -> None:
        """Work that does not wait at all is fine too."""
        self.waited.callback("done")
        assert self.successResultOf(self.start()) == "done"
        assert not self.clock.getDelayedCalls()

    def test_an_error_in_time(self) -> None:
        """The work's own error is the error."""
        result = self.start()
        self.waited.errback(Odd())
        self.failureResultOf(result, Odd)
        assert not self.clock.getDelayedCalls()

    def test_too_late(self) -> None:
        """The work is cancelled, and the error is that it was late, whatever the work makes of it."""
        result = self.start()
        self.clock.advance(10)
        assert self.cancelled == 1
        self.failureResultOf(result, Late)

    def test_called_off(self) -> None:
        """Cancelling ends in CancelledError, whatever the work makes of it."""
        result = self.start()
        result.cancel()
        assert self.cancelled == 1
        self.failureResultOf(result, CancelledError)
        assert not self.clock.getDelayedCalls()
