"""When to ask again: after a success, after the same answer, after each kind of failure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from staplesrv.ocsp.certid import CertID
from staplesrv.ocsp.response import Staple
from staplesrv.ocsp.schedule import (
    Backoff,
    Bounds,
    Uniform,
    refresh_at,
    retry_delay,
    unchanged_refresh_at,
)

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
T = datetime(2026, 6, 1, tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


def staple(life: timedelta, this_update: datetime = T) -> Staple:
    """A staple that lives as long."""
    expires = this_update + life
    return Staple(b"", this_update, expires, this_update, expires, "CN=x", CertID("sha1", bytes(20), bytes(20), 1))


def at(share: float) -> Uniform:
    """Chance that always falls on the same part of what it may: 0 the least, 1 the most."""
    return lambda low, high: low + (high - low) * share


LEAST, MIDDLE, MOST = at(0), at(0.5), at(1)

lives = st.one_of(
    st.integers(1, 7200).map(lambda seconds: timedelta(seconds=seconds)),
    st.integers(7200, 400 * 86400).map(lambda seconds: timedelta(seconds=seconds)),
)
chances = st.floats(0, 1).map(at)
bounds_given = st.builds(
    lambda one, other: Bounds(max_interval=max(one, other), min_interval=min(one, other)),
    st.timedeltas(SECOND, 30 * DAY),
    st.timedeltas(SECOND, 30 * DAY),
)
ages = st.floats(0, 1, exclude_max=True)


# --- a response that has just come


@pytest.mark.parametrize(("chance", "share"), [(LEAST, 0.50), (MIDDLE, 0.55), (MOST, 0.60)])
@pytest.mark.parametrize("life", [8 * SECOND, 2 * MINUTE, HOUR, 12 * HOUR, 20 * HOUR])
def test_a_response_is_refreshed_a_little_past_half_of_its_life(chance: Uniform, share: float, life: timedelta) -> None:
    """At 50 to 60 % of it, whether it lives for seconds or for hours."""
    assert refresh_at(staple(life), now=T, uniform=chance) == T + life * share


@pytest.mark.parametrize(("chance", "hours"), [(LEAST, 21.6), (MIDDLE, 24), (MOST, 26.4)])
def test_a_long_lived_response_is_refreshed_every_day(chance: Uniform, hours: float) -> None:
    """Give or take 10 %, from now on."""
    now = T + 5 * HOUR
    assert refresh_at(staple(7 * DAY), now=now, uniform=chance) == now + hours * HOUR


def test_a_response_that_lives_16_hours_is_refreshed_8_hours_before_its_end() -> None:
    """The reserve bridges a night."""
    assert refresh_at(staple(16 * HOUR), now=T, uniform=MOST) == T + 8 * HOUR
    assert refresh_at(staple(18 * HOUR), now=T, uniform=MOST) == T + 10 * HOUR
    assert refresh_at(staple(16 * HOUR - SECOND), now=T, uniform=MOST) == T + (16 * HOUR - SECOND) * 0.6


def test_a_response_past_half_of_its_life_is_refreshed_in_five_minutes() -> None:
    """Responders hand out what they signed days ago; they are not asked in a loop."""
    now = T + 6 * DAY
    assert refresh_at(staple(7 * DAY), now=now, uniform=MIDDLE) == now + 300 * SECOND


@pytest.mark.parametrize(
    ("life", "floor"), [(59 * MINUTE, 354 * SECOND), (2 * MINUTE, 12 * SECOND), (8 * SECOND, SECOND)]
)
def test_a_short_lived_response_has_a_short_floor(life: timedelta, floor: timedelta) -> None:
    """A tenth of its life, and a second at least."""
    now = T + life * 0.65
    assert refresh_at(staple(life), now=now, uniform=MIDDLE) == now + floor


def test_close_to_the_cut_off_the_floor_gives_way() -> None:
    """With 90 s left five minutes are too long: two thirds of what is left are used."""
    held = staple(7 * DAY)
    now = held.cut_off - 90 * SECOND
    assert refresh_at(held, now=now, uniform=MIDDLE) == now + 60 * SECOND


def test_an_operator_may_ask_more_often_or_more_rarely() -> None:
    """Within the life of the response."""
    often = Bounds(max_interval=HOUR, min_interval=MINUTE)
    assert refresh_at(staple(7 * DAY), now=T, uniform=MIDDLE, bounds=often) == T + HOUR
    assert refresh_at(staple(7 * DAY), now=T + 5 * DAY, uniform=MIDDLE, bounds=often) == T + 5 * DAY + MINUTE
    rarely = Bounds(max_interval=30 * DAY, min_interval=DAY)
    assert refresh_at(staple(7 * DAY), now=T, uniform=MOST, bounds=rarely) == T + 7 * DAY * 0.6


def test_settings_that_do_not_fit_are_clamped_to_60_percent_of_the_life() -> None:
    """An interval of a month does not outlive a response of a day."""
    never = Bounds(max_interval=30 * DAY, min_interval=30 * DAY)
    held = staple(DAY)
    assert refresh_at(held, now=T, uniform=LEAST, bounds=never) == T + DAY * 0.6


@pytest.mark.parametrize("interval", [timedelta(0), -SECOND])
def test_bounds_are_above_zero(interval: timedelta) -> None:
    """Both of them."""
    with pytest.raises(ValueError, match="above zero"):
        Bounds(max_interval=interval)
    with pytest.raises(ValueError, match="above zero"):
        Bounds(min_interval=interval)


@given(lives, ages, chances, bounds_given)
def test_a_refresh_comes_before_the_cut_off_and_not_at_once(
    life: timedelta, age: float, chance: Uniform, bounds: Bounds
) -> None:
    """For every life, at every age, under all settings; one is planned a second ahead or a tenth of a short life."""
    held = staple(life)
    now = T + (held.cut_off - T) * age
    left = held.cut_off - now
    for plan in (refresh_at, unchanged_refresh_at):
        when = plan(held, now=now, uniform=chance, bounds=bounds)
        assert when > now
        if left > 2 * SECOND or left > life * 0.2:
            assert when < held.cut_off
            assert when - now >= min(SECOND, life / 10, bounds.min_interval)


@given(lives, chances, st.floats(-300, 0))
def test_a_fresh_response_is_refreshed_well_before_its_cut_off(life: timedelta, chance: Uniform, ahead: float) -> None:
    """A third of its life is left for failures, also where the responder's clock is ahead; and 8 h of a day's."""
    held = staple(life)
    when = refresh_at(held, now=T + ahead * SECOND, uniform=chance)
    assert when <= T + life * 0.6 + SECOND
    assert life < 16 * HOUR or when <= held.expires - 8 * HOUR


@given(lives, chances, ages, ages)
def test_of_two_moments_the_later_one_never_plans_the_earlier_refresh(
    life: timedelta, chance: Uniform, one: float, other: float
) -> None:
    """Time does not run backwards in a plan, until what is left is shorter than the floor."""
    held = staple(life)
    earlier, later = sorted((T + life * one * 0.6, T + life * other * 0.6))
    plans = [refresh_at(held, now=now, uniform=chance) for now in (earlier, later)]
    assume((held.cut_off - later) / 2 >= 300 * SECOND)
    assert plans[0] <= plans[1] + timedelta(microseconds=2)


# --- the same response again


def test_the_same_response_early_in_its_life_changes_no_plan() -> None:
    """Before half of it nothing newer was to be expected."""
    held = staple(20 * HOUR)
    assert unchanged_refresh_at(held, now=T + HOUR, uniform=MIDDLE) == T + 11 * HOUR


@pytest.mark.parametrize(
    ("life", "age", "wait"),
    [
        (4 * DAY, 2.5 * DAY, 12 * HOUR),
        (20 * DAY, 12 * DAY, 12 * HOUR),
        (DAY, 14 * HOUR, 3 * HOUR),
        (8 * HOUR, 5 * HOUR, HOUR),
        (2 * MINUTE, 70 * SECOND, 15 * SECOND),
        (8 * SECOND, 4 * SECOND, SECOND),
    ],
)
def test_the_same_response_past_half_of_its_life_is_asked_again_after_an_eighth(
    life: timedelta, age: timedelta, wait: timedelta
) -> None:
    """At most 12 hours, and not below the floor."""
    assert unchanged_refresh_at(staple(life), now=T + age, uniform=MIDDLE) == T + age + wait


def test_the_same_response_near_its_end_is_asked_again_ever_sooner() -> None:
    """After half of what is left, down to once a second: ten questions in the last ten minutes, and no loop."""
    held = staple(4 * DAY)
    now, asked = held.cut_off - 10 * MINUTE, 0
    while now < held.cut_off:
        later = unchanged_refresh_at(held, now=now, uniform=MIDDLE)
        assert later - now >= SECOND
        now, asked = later, asked + 1
    assert asked == 11
    assert now <= held.cut_off + SECOND


@given(lives, ages, chances)
def test_the_same_response_is_asked_again_within_half_of_what_is_left(
    life: timedelta, age: float, chance: Uniform
) -> None:
    """Past half of its life."""
    held = staple(life)
    now = T + life / 2 + (held.cut_off - T - life / 2) * age
    left = held.cut_off - now
    wait = unchanged_refresh_at(held, now=now, uniform=chance) - now
    assert wait <= max(left / 2, min(SECOND, life / 10))
    assert wait <= 12 * HOUR


# --- failures


def delays(backoff: Backoff, count: int, held: Staple | None = None, chance: Uniform = MIDDLE) -> list[float]:
    """The first delays of a run of failures, in seconds."""
    return [
        retry_delay(backoff, number + 1, held=held, now=T, uniform=chance).total_seconds() for number in range(count)
    ]


@pytest.mark.parametrize("backoff", [Backoff.TRANSIENT, Backoff.REFUSED])
def test_with_nothing_to_show_the_delay_doubles_from_a_second_to_five_minutes(backoff: Backoff) -> None:
    """Whatever the failure, also after weeks of it."""
    assert delays(backoff, 11) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert retry_delay(backoff, 10**9, held=None, now=T, uniform=MIDDLE) == 300 * SECOND


def test_with_a_staple_in_hand_the_delay_doubles_from_a_minute_to_an_hour() -> None:
    """There is time."""
    assert delays(Backoff.TRANSIENT, 9, staple(30 * DAY)) == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_a_responder_that_refuses_is_left_alone_for_hours() -> None:
    """From one hour to twelve."""
    hours = [delay / 3600 for delay in delays(Backoff.REFUSED, 6, staple(30 * DAY))]
    assert hours == [1, 2, 4, 8, 12, 12]


@pytest.mark.parametrize("held", [None, staple(30 * DAY)])
def test_a_leaf_too_young_is_asked_about_quietly(held: Staple | None) -> None:
    """60, 120, 240 and then each 300 s, with and without a staple."""
    assert delays(Backoff.TOO_YOUNG, 6, held) == [60, 120, 240, 300, 300, 300]


@pytest.mark.parametrize("held", [None, staple(30 * DAY)])
def test_verdicts_are_asked_about_at_their_own_pace(held: Staple | None) -> None:
    """Unknown every five minutes, revoked every hour."""
    assert delays(Backoff.UNKNOWN, 3, held) == [300, 300, 300]
    assert delays(Backoff.REVOKED, 3, held) == [3600, 3600, 3600]


@pytest.mark.parametrize("backoff", Backoff)
def test_near_the_cut_off_an_eighth_of_what_is_left_is_the_most(backoff: Backoff) -> None:
    """And a minute the least."""
    held = staple(7 * DAY)
    for left, wait in ((32 * MINUTE, 240), (16 * MINUTE, 120), (8 * MINUTE, 60), (MINUTE, 60), (SECOND, 60)):
        delay = retry_delay(backoff, 30, held=held, now=held.cut_off - left, uniform=MIDDLE)
        assert delay.total_seconds() == wait


@pytest.mark.parametrize(("life", "least"), [(2 * MINUTE, 12), (8 * SECOND, 0.8), (59 * MINUTE, 354)])
def test_a_short_lived_staple_has_a_short_least_delay(life: timedelta, least: float) -> None:
    """A tenth of its life, so that there are several tries before its cut-off."""
    held = staple(life)
    for left in (life * 0.35, SECOND):
        delay = retry_delay(Backoff.TRANSIENT, 9, held=held, now=held.cut_off - left, uniform=MIDDLE)
        assert delay.total_seconds() == least


def test_a_staple_past_its_cut_off_is_nothing_to_show() -> None:
    """From then on the tries come by the second."""
    held = staple(7 * DAY)
    assert retry_delay(Backoff.TRANSIENT, 1, held=held, now=held.cut_off, uniform=MIDDLE) == SECOND


@pytest.mark.parametrize("failures", [0, -1])
def test_a_count_below_one_is_one(failures: int) -> None:
    """A counter that was reset in between does no harm."""
    assert retry_delay(Backoff.TRANSIENT, failures, held=None, now=T, uniform=MIDDLE) == SECOND


@given(st.sampled_from(Backoff), st.integers(1, 10**6), st.none() | lives, ages)
def test_chance_spreads_a_delay_by_half_to_both_sides(
    backoff: Backoff, failures: int, life: timedelta | None, age: float
) -> None:
    """A thousand servers that failed together do not come back together."""
    held = None if life is None else staple(life)
    now = T if held is None else T + (held.cut_off - T) * age
    low, middle, high = (
        retry_delay(backoff, failures, held=held, now=now, uniform=chance) for chance in (LEAST, MIDDLE, MOST)
    )
    assert low.total_seconds() == pytest.approx(middle.total_seconds() / 2, abs=1e-5)
    assert high.total_seconds() == pytest.approx(middle.total_seconds() * 1.5, abs=1e-5)
    assert low > timedelta(0)


@given(st.sampled_from(Backoff), st.none() | lives, ages, chances)
def test_the_delay_never_shrinks_with_more_failures(
    backoff: Backoff, life: timedelta | None, age: float, chance: Uniform
) -> None:
    """At one moment, with one chance."""
    held = None if life is None else staple(life)
    now = T if held is None else T + (held.cut_off - T) * age
    waits = [retry_delay(backoff, number, held=held, now=now, uniform=chance) for number in range(1, 20)]
    assert waits == sorted(waits)


@given(lives, ages, st.integers(1, 40), chances)
def test_several_tries_fit_before_the_cut_off(life: timedelta, age: float, failures: int, chance: Uniform) -> None:
    """Whatever went before, a delay leaves four fifths of what is left, or is a minute, or a tenth of a short life."""
    held = staple(life)
    now = T + (held.cut_off - T) * age
    assume(now < held.cut_off)
    wait = retry_delay(Backoff.REFUSED, failures, held=held, now=now, uniform=chance)
    least = life / 10 if life < HOUR else MINUTE
    assert wait <= max((held.cut_off - now) / 5, least * 1.5)


# --- Retry-After


def with_retry_after(after: timedelta, held: Staple | None = None, now: datetime = T) -> timedelta:
    """The delay of a first failure whose responder asked for another one."""
    return retry_delay(Backoff.TRANSIENT, 1, held=held, now=now, uniform=MIDDLE, retry_after=after)


@pytest.mark.parametrize(
    ("after", "wait"),
    [(2 * HOUR, 2 * HOUR), (6 * HOUR, 6 * HOUR), (9 * DAY, 6 * HOUR), (MINUTE, MINUTE), (timedelta(0), SECOND)],
)
def test_retry_after_is_honoured_up_to_six_hours(after: timedelta, wait: timedelta) -> None:
    """And never sooner than by our own rule."""
    assert with_retry_after(after) == wait


def test_retry_after_never_takes_more_than_a_quarter_of_what_is_left() -> None:
    """No responder talks a staple past its cut-off."""
    held = staple(30 * DAY)
    assert with_retry_after(5 * HOUR, held) == 5 * HOUR
    assert with_retry_after(5 * HOUR, held, held.cut_off - 8 * HOUR) == 2 * HOUR
    assert with_retry_after(5 * HOUR, held, held.cut_off - 2 * MINUTE) == MINUTE


@given(st.sampled_from(Backoff), st.none() | lives, ages, chances, st.timedeltas(-DAY, timedelta(days=10**6)))
def test_any_retry_after_stays_within_its_bounds(
    backoff: Backoff, life: timedelta | None, age: float, chance: Uniform, after: timedelta
) -> None:
    """It never makes a delay shorter, and longer only within a quarter of what is left and six hours."""
    held = None if life is None else staple(life)
    now = T if held is None else T + (held.cut_off - T) * age
    assume(held is None or now < held.cut_off)
    own = retry_delay(backoff, 3, held=held, now=now, uniform=chance)
    asked = retry_delay(backoff, 3, held=held, now=now, uniform=chance, retry_after=after)
    most = 6 * HOUR if held is None else min(6 * HOUR, (held.cut_off - now) / 4)
    assert own <= asked <= max(own, most)
    assert asked == own or asked <= after


# --- the ends of the calendar


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)), chances)
def test_no_clock_and_no_response_makes_a_plan_overflow(now: datetime, this_update: datetime, chance: Uniform) -> None:
    """From the year 1 to the year 9999; a clock that stepped is not a crash."""
    assume(this_update < LATEST - 2 * SECOND)
    held = staple((LATEST - this_update) / 2, this_update)
    for plan in (refresh_at, unchanged_refresh_at):
        assert now <= plan(held, now=now, uniform=chance) <= LATEST
    assert retry_delay(Backoff.TRANSIENT, 1, held=held, now=now, uniform=chance) > timedelta(0)
