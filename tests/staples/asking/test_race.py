"""Several ways to one result."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from staplesrv.staples.asking.race import Race
from staplesrv.staples.failure import FailureKind, FetchFailed


class RaceTests(SynchronousTestCase):
    """`Race` runs entrants one after the other, or beside each other, until one succeeds."""

    def setUp(self) -> None:
        """Nobody has started."""
        self.clock = Clock()
        self.started: dict[str, Deferred[str]] = {}
        self.cancelled: list[str] = []
        self.failures: list[FetchFailed] = []

    def entrant(self, name: str) -> Callable[[], Coroutine[Deferred[Any], Any, str]]:
        """Make an entrant that says when it starts and when it is cancelled."""

        async def run() -> str:
            self.started[name] = Deferred(lambda _: self.cancelled.append(name))
            return await self.started[name]

        return run

    def start(self, names: str, patience: float | None) -> Deferred[str]:
        """Start a race between entrants with one-letter names."""
        return Race([self.entrant(name) for name in names], patience, self.clock, self.failures).run()

    def fail(self, name: str) -> None:
        """Let an entrant fail."""
        self.started[name].errback(FetchFailed(FailureKind.NETWORK, name))

    def test_the_first_wins_alone(self) -> None:
        """Who answers in time has nobody beside it."""
        result = self.start("ab", 3)
        self.started["a"].callback("A")
        assert self.successResultOf(result) == "A"
        assert list(self.started) == ["a"]
        assert not self.clock.getDelayedCalls()

    def test_a_silent_one_gets_company(self) -> None:
        """After the time of patience the next starts, and the one that loses is cancelled."""
        result = self.start("abc", 3)
        self.clock.advance(2.9)
        assert list(self.started) == ["a"]
        self.clock.advance(0.1)
        assert list(self.started) == ["a", "b"]
        self.started["b"].callback("B")
        assert self.successResultOf(result) == "B"
        assert self.cancelled == ["a"]
        assert not self.clock.getDelayedCalls()

    def test_the_silent_one_may_still_win(self) -> None:
        """Company does not end the first one's chance."""
        result = self.start("ab", 3)
        self.clock.advance(3)
        self.started["a"].callback("A")
        assert self.successResultOf(result) == "A"
        assert self.cancelled == ["b"]

    def test_without_patience_there_is_no_company(self) -> None:
        """None means one after the other, however long it takes."""
        self.start("ab", None)
        self.clock.advance(1000)
        assert list(self.started) == ["a"]

    def test_after_a_failure_the_next_starts_at_once(self) -> None:
        """A failure is not waited out, and patience starts anew."""
        self.start("abc", 3)
        self.clock.advance(2)
        self.fail("a")
        assert list(self.started) == ["a", "b"]
        self.clock.advance(2)
        assert list(self.started) == ["a", "b"]
        self.clock.advance(1)
        assert list(self.started) == ["a", "b", "c"]

    def test_when_all_have_failed_the_race_has(self) -> None:
        """The last failure ends it, and all are on record."""
        result = self.start("ab", 3)
        self.clock.advance(3)
        self.fail("b")
        self.assertNoResult(result)
        self.fail("a")
        assert self.failureResultOf(result, FetchFailed).value.detail == "a"
        assert [failure.detail for failure in self.failures] == ["b", "a"]
        assert not self.clock.getDelayedCalls()

    def test_another_error_ends_it_at_once(self) -> None:
        """What is no `FetchFailed` is our bug: nobody goes on as if nothing were."""
        result = self.start("ab", 3)
        self.clock.advance(3)
        self.started["a"].errback(ZeroDivisionError())
        self.failureResultOf(result, ZeroDivisionError)
        assert self.cancelled == ["b"]

    def test_called_off(self) -> None:
        """Cancelling the race cancels everyone and starts nobody."""
        result = self.start("abc", 3)
        self.clock.advance(3)
        result.cancel()
        self.failureResultOf(result, CancelledError)
        assert sorted(self.cancelled) == ["a", "b"]
        assert list(self.started) == ["a", "b"]
        assert not self.clock.getDelayedCalls()
