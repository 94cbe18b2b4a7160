"""What is due when."""

from __future__ import annotations

import timeit
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from staplesrv.staples.keeping.queue import NEVER, DueQueue


@dataclass
class Thing:
    """Something due."""

    due: float


def queue_of(*things: Thing) -> DueQueue[Thing]:
    """A queue with things in it."""
    queue: DueQueue[Thing] = DueQueue()
    for thing in things:
        queue.put(thing)
    return queue


def test_what_is_due_comes_out_in_order() -> None:
    """Everything due up to now comes out, the earliest first, and once."""
    late, early, later = Thing(3), Thing(1), Thing(9)
    queue = queue_of(late, early, later)
    assert list(queue.pop_due(3)) == [early, late]
    assert list(queue.pop_due(3)) == []
    assert list(queue.pop_due(9)) == [later]


def test_the_last_entry_counts() -> None:
    """A thing that was put in again under another time comes out at that time alone."""
    thing = Thing(5)
    queue = queue_of(thing)
    thing.due = 2
    queue.put(thing)
    assert list(queue.pop_due(2)) == [thing]
    assert list(queue.pop_due(9)) == []


def test_never_is_never() -> None:
    """What is due never does not come out, also if it was put in before it was."""
    thing, other = Thing(5), Thing(NEVER)
    queue = queue_of(thing, other)
    thing.due = NEVER
    queue.put(thing)
    assert list(queue.pop_due(1e12)) == []


def test_equal_times_are_no_problem() -> None:
    """Things need not be comparable; of equal times the one put in first comes out first."""
    things = [Thing(1) for _ in range(10)]
    assert [id(thing) for thing in queue_of(*things).pop_due(1)] == [id(thing) for thing in things]


def test_clear_takes_everything_out() -> None:
    """After `clear` nothing is in it."""
    queue = queue_of(Thing(1), Thing(2))
    assert len(queue) == 2
    queue.clear()
    assert list(queue.pop_due(9)) == []


@given(st.lists(st.floats(0, 100), max_size=50), st.floats(0, 100))
def test_any_times(dues: list[float], now: float) -> None:
    """Whatever the times are, what comes out is what is due, in order."""
    things = [Thing(due) for due in dues]
    assert [thing.due for thing in queue_of(*things).pop_due(now)] == sorted(due for due in dues if due <= now)


def test_nothing_due_costs_nothing() -> None:
    """A look at 10,000 things of which none is due takes a small part of a millisecond."""
    queue = queue_of(*(Thing(1000.0 + n) for n in range(10_000)))
    assert min(timeit.repeat(lambda: list(queue.pop_due(1.0)), number=1000, repeat=3)) / 1000 < 1e-4
