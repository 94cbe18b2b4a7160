"""The refresher under a clock that steps."""

from __future__ import annotations

from typing import Any

from twisted.logger import LogLevel

from staplesrv.staples.cache import Reason
from staplesrv.staples.failure import FailureKind, FetchFailed

HOUR = 3600.0
DAY = 24 * HOUR
URL = "http://ocsp.example/"
DOWN = FetchFailed(FailureKind.NETWORK, "connection refused", url=URL)


class TestClock:
    def test_a_suspend_is_followed_by_a_refresh(self, world: Any) -> None:
        """When the wall clock leaps ahead, as after a suspend, what became due is asked for at the next tick."""
        assignment = world.assign()
        world.make().add(assignment)
        world.step = 3 * DAY
        world.clock.advance(0.5)
        assert world.asked == 2

    def test_a_clock_set_back_does_not_put_retries_off(self, world: Any) -> None:
        """After the clock was set back by a month, a retry that was 1 s away still is."""
        assignment = world.assign()
        world.fetcher.answer = lambda _: DOWN
        world.make().add(assignment)
        assert world.wait(assignment) == 1
        world.step = -30 * DAY
        world.clock.advance(0.5)
        assert world.wait(assignment) <= 1
        world.clock.advance(1.5)
        assert world.asked == 2

    def test_a_clock_set_back_does_not_put_refreshes_off(self, world: Any) -> None:
        """A refresh that was a day away is no further away after the clock was set back by a year."""
        assignment = world.assign()
        world.make().add(assignment)
        world.step = -365 * DAY
        world.clock.advance(0.5)
        assert world.wait(assignment) <= DAY

    def test_a_small_step_back_is_seen_in_the_long_run(self, world: Any) -> None:
        """A clock that is a few seconds behind the reactor's counts as set back, too."""
        assignment = world.assign()
        world.fetcher.answer = lambda _: DOWN
        world.make().add(assignment)
        world.clock.pump([0.5] * 20)
        due = world.status(assignment).next_attempt
        world.step = -3.0
        world.clock.advance(10)
        world.clock.advance(0.5)
        assert world.wait(assignment) <= 300
        assert due is not None

    def test_a_fetch_under_way_begins_anew_when_the_clock_is_set_back(self, world: Any) -> None:
        """A fetch whose time-outs may hang in the old time is given up, and asked again at once; that is no failure."""
        pending = world.hold_answers()
        assignment = world.assign()
        world.make().add(assignment)
        world.step = -DAY
        world.clock.advance(0.5)
        assert world.fetcher.cancelled == 1
        world.clock.advance(0.5)
        assert world.asked == 2
        pending[1].callback(world.good(assignment))
        assert world.served(assignment)
        assert world.refreshers[-1].totals == {"new": 1}

    def test_a_leaf_that_only_seemed_expired_is_asked_about_again(self, world: Any) -> None:
        """When the clock was wrong by years and is put right, certificates that seemed expired are taken up again."""
        assignment = world.assign()
        world.make().add(assignment)
        world.step = 1000 * DAY
        world.clock.advance(0.5)
        assert world.status(assignment).reason is Reason.STALE
        world.step = 0
        world.clock.advance(0.5)
        world.clock.advance(0.5)
        assert world.asked == 2
        assert world.served(assignment)
        assert world.status(assignment).reason is Reason.OK

    def test_stalled_after_a_minute_without_a_tick(self, world: Any) -> None:
        """A refresher that has not ticked for a minute says so; one that ticks, or does not run, does not."""
        refresher = world.make()
        assert not refresher.stalled
        refresher._ticker._loop.stop()
        world.clock.advance(60)
        assert not refresher.stalled
        world.clock.advance(1)
        assert refresher.stalled
        world.stop()
        assert not refresher.stalled

    def test_a_tick_that_fails_is_not_the_last(self, world: Any) -> None:
        """Whatever a tick raises is logged, and the next one comes."""
        calls: list[float] = []

        def tick(now: float) -> None:
            calls.append(now)
            raise ZeroDivisionError

        refresher = world.make(start=False)
        refresher._ticker._tick = tick
        refresher.startService()
        world.clock.pump([0.5] * 4)
        assert len(calls) == 5
        assert len(world.said(LogLevel.critical)) == 5
