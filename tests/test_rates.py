"""Token buckets."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from staplesrv.errors import OperatorError
from staplesrv.rates import SLOTS, WAYS, Rate, Rates

TWO = Rate(2, 3)
"""Two a second, three at once."""


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def rates(clock: Clock) -> Rates:
    """Buckets that are all full."""
    return Rates(clock.seconds)


def taken(rates: Rates, key: str, rate: Rate, times: int) -> int:
    """How many of so many tokens there were."""
    return sum(not rates.take(key, rate) for _ in range(times))


def test_a_burst_and_then_the_rate(rates: Rates, clock: Clock) -> None:
    """Three at once, then one each half second; who is refused is told how long to wait."""
    assert taken(rates, "a", TWO, 5) == 3
    assert rates.take("a", TWO) == 0.5
    clock.advance(0.25)
    assert rates.take("a", TWO) == 0.25
    clock.advance(0.25)
    assert taken(rates, "a", TWO, 2) == 1


def test_a_bucket_never_holds_more_than_the_burst(rates: Rates, clock: Clock) -> None:
    """However long nobody came."""
    taken(rates, "a", TWO, 5)
    clock.advance(1000)
    assert taken(rates, "a", TWO, 5) == 3


def test_each_has_its_own(rates: Rates) -> None:
    """What one does costs no other anything."""
    assert taken(rates, "a", TWO, 5) == 3
    assert taken(rates, "b", TWO, 5) == 3


def test_to_be_refused_costs_nothing(rates: Rates, clock: Clock) -> None:
    """Who goes on trying is let in as soon as the others."""
    assert taken(rates, "a", TWO, 1000) == 3
    clock.advance(0.5)
    assert taken(rates, "a", TWO, 1) == 1


def test_the_rate_may_change(rates: Rates, clock: Clock) -> None:
    """A client that a slow rate would have kept out for hours is held to the new one from then on."""
    slow = Rate(0.001, 10)
    assert taken(rates, "a", slow, 20) == 10
    assert rates.take("a", slow) == pytest.approx(1000)
    assert rates.take("a", TWO) == 0.5
    clock.advance(0.5)
    assert taken(rates, "a", TWO, 2) == 1


@given(
    st.floats(0.1, 100),
    st.integers(1, 20),
    st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
def test_in_any_time_there_are_never_more(a_second: float, burst: int, pauses: Sequence[float]) -> None:
    """In any stretch of time: the burst, and what the rate allows in it; and never less where nobody pushes."""
    clock, rate = Clock(), Rate(a_second, burst)
    rates = Rates(clock.seconds)
    allowed: list[float] = []
    for pause in pauses:
        clock.advance(pause)
        wait = rates.take("a", rate)
        assert 0 <= wait <= rate.interval + 1e-6
        if not wait:
            allowed.append(clock.seconds())
        else:
            assert len(allowed) >= burst
    for begin, since in enumerate(allowed):
        for end, until in enumerate(allowed[begin:], 1):
            assert end <= burst + (until - since) * a_second + 1e-6


def test_many_clients_take_no_more_memory_and_keep_nobody_out(clock: Clock) -> None:
    """Ten times as many as there are buckets: all are let in, but for the one who is over the rate."""
    rates = Rates(clock.seconds, 256)
    hour = Rate(0.01, 2)
    assert taken(rates, "greedy", hour, 5) == 2
    assert sum(not rates.take(f"client {number}", hour) for number in range(2560)) == 2560
    assert taken(rates, "greedy", hour, 5) == 0
    assert len(rates._tags) == len(rates._times) == 256


def test_the_table_has_a_place_for_every_hash(clock: Clock) -> None:
    """The last set, too, is inside of it; every set is used."""
    rates = Rates(clock.seconds, 64)
    for number in range(2000):
        rates.take(f"client {number}", TWO)
    assert all(rates._tags)
    assert len(Rates(clock.seconds)._tags) == SLOTS
    assert SLOTS % WAYS == 0


def test_forked_processes_share_it(rates: Rates) -> None:
    """What a child lets in counts for its parent."""
    child = os.fork()
    if not child:
        os._exit(taken(rates, "a", TWO, 2))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert taken(rates, "a", TWO, 5) == 1


def test_what_an_operator_may_say() -> None:
    """No limit, a rate whose burst is what a second allows, or both."""
    assert Rate.of(0, 0, where="w", kind="request") is None
    assert Rate.of(2.5, 0, where="w", kind="request") == Rate(2.5, 3)
    assert Rate.of(0.5, 0, where="w", kind="request") == Rate(0.5, 1)
    assert Rate.of(2.5, 7, where="w", kind="request") == Rate(2.5, 7)


@pytest.mark.parametrize(
    ("a_second", "burst", "said"),
    [
        (-1, 0, "w: request_rate: is out of range; use from 0.001 to 1000000 a second, or 0 for no limit"),
        (float("nan"), 0, "w: request_rate: is out of range; use from 0.001 to 1000000 a second, or 0 for no limit"),
        (2e6, 0, "w: request_rate: is out of range; use from 0.001 to 1000000 a second, or 0 for no limit"),
        (1, -1, "w: request_burst: is out of range; use from 1 to 1000000, or 0 for what a second allows"),
        (0, 5, "w: request_burst: says nothing without request_rate; give both"),
    ],
)
def test_what_an_operator_may_not_say(a_second: float, burst: int, said: str) -> None:
    """Key, what is wrong, what to do."""
    with pytest.raises(OperatorError) as caught:
        Rate.of(a_second, burst, where="w", kind="request")
    assert str(caught.value) == said
