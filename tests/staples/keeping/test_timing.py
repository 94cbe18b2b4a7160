"""When to ask again, where HTTP's max-age or a start have a say."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from staplesrv.ocsp.response import Staple, verify_response
from staplesrv.ocsp.schedule import Bounds
from staplesrv.staples.keeping.timing import Timing, polite

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def timing(world: Any) -> Timing:
    """The default settings, and chance as the world has it."""
    return Timing(Bounds(), world.uniform)


def staple(world: Any, *, age: timedelta = timedelta(0), life: timedelta = 7 * DAY) -> Staple:
    """A staple of this age."""
    assignment = world.assign()
    response_der = world.respond(assignment, age=age.total_seconds(), life=life.total_seconds())
    response = verify_response(response_der, assignment.target, now=world.now)
    assert isinstance(response, Staple)
    return response


def test_max_age_puts_a_question_off(world: Any, timing: Timing) -> None:
    """A response for a week that HTTP calls fresh for three days is asked about after three days, not after one."""
    fresh = staple(world)
    assert timing.after_new(fresh, world.now) == world.now + DAY
    assert timing.after_new(fresh, world.now, 3 * DAY) == world.now + 3 * DAY


def test_a_short_max_age_changes_nothing(world: Any, timing: Timing) -> None:
    """A max-age shorter than the wait does not shorten it."""
    fresh = staple(world)
    assert timing.after_new(fresh, world.now, HOUR) == timing.after_new(fresh, world.now)


def test_max_age_does_not_reach_past_three_quarters(world: Any, timing: Timing) -> None:
    """However fresh HTTP calls a response, it is asked about at three quarters of its life."""
    fresh = staple(world)
    assert timing.after_new(fresh, world.now, 30 * DAY) == fresh.this_update + 0.75 * fresh.lifetime


def test_past_three_quarters_max_age_counts_no_more(world: Any, timing: Timing) -> None:
    """Past three quarters of its life the schedule alone counts."""
    old = staple(world, age=6 * DAY)
    assert timing.after_same(old, world.now, 30 * DAY) == timing.after_same(old, world.now)


def test_max_age_leaves_the_last_eight_hours(world: Any, timing: Timing) -> None:
    """A response for 16 hours is asked about 8 hours before its end, though three quarters of its life are later."""
    fresh = staple(world, life=16 * HOUR)
    assert polite(world.now, fresh, world.now, 2 * DAY) == fresh.expires - 8 * HOUR


def test_a_start_asks_when_the_time_has_come(world: Any, timing: Timing) -> None:
    """A staple out of the store is asked about when it would have been, had there been no restart."""
    found = staple(world, age=10 * HOUR)
    assert timing.after_start(found, world.now) == found.this_update + DAY


@pytest.mark.parametrize("chance", [0, 0.5, 1])
def test_a_start_does_not_ask_all_at_once(world: Any, timing: Timing, chance: float) -> None:
    """Staples whose time has come while nothing ran are asked about within a minute, spread by chance."""
    world.chance = chance
    assert timing.after_start(staple(world, age=3 * DAY), world.now) == world.now + timedelta(seconds=60 * chance)


def test_a_start_does_not_dawdle_with_short_answers(world: Any, timing: Timing) -> None:
    """What lives for seconds is spread over a part of what is left of it."""
    world.chance = 1
    due = timing.after_start(staple(world, age=timedelta(seconds=6), life=timedelta(seconds=10)), world.now)
    assert world.now < due <= world.now + timedelta(seconds=1)


def test_a_far_future_is_no_error(world: Any, timing: Timing) -> None:
    """A response for 500 years is asked about tomorrow."""
    made = world.now
    long = Staple(b"", made, None, made, datetime.max.replace(tzinfo=made.tzinfo), "", None)  # type: ignore[arg-type]
    assert timing.after_new(long, made, 30 * DAY) <= made + 31 * DAY
