"""Deadlines of many things with one timer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from staplesrv.deadlines import Deadlines

SECONDS = 10.0


class Watched:
    """Deadlines, and what was overdue when."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.overdue: list[tuple[float, str]] = []
        self.deadlines: Deadlines[str] = Deadlines(self.clock, SECONDS, self._overdue)

    def _overdue(self, thing: str) -> None:
        self.overdue.append((self.clock.seconds(), thing))

    @property
    def timers(self) -> int:
        """How many timers there are."""
        return len(self.clock.getDelayedCalls())


@pytest.fixture
def watched() -> Watched:
    """Deadlines of ten seconds."""
    return Watched()


def test_each_thing_has_the_same_time(watched: Watched) -> None:
    """From when it began; when it is overdue it is none of them any more."""
    watched.deadlines.begin("a")
    watched.clock.advance(4)
    watched.deadlines.begin("b")
    watched.clock.advance(5.9)
    assert (len(watched.deadlines), watched.overdue) == (2, [])
    watched.clock.advance(0.1)
    assert (len(watched.deadlines), watched.overdue) == (1, [(10.0, "a")])
    watched.clock.advance(4)
    assert (len(watched.deadlines), watched.overdue[1:]) == (0, [(14.0, "b")])


def test_one_timer_does_for_all(watched: Watched) -> None:
    """However many there are, and none when none of them is left at its end."""
    for number in range(100):
        watched.deadlines.begin(str(number))
    assert watched.timers == 1
    watched.clock.advance(SECONDS)
    assert (len(watched.overdue), watched.timers) == (100, 0)


def test_what_is_over_is_not_overdue(watched: Watched) -> None:
    """Ending it twice, or what never began, does no harm."""
    watched.deadlines.begin("a")
    watched.deadlines.end("a")
    watched.deadlines.end("a")
    watched.deadlines.end("b")
    watched.clock.advance(100)
    assert watched.overdue == []


def test_the_timer_is_found_by_the_next_thing(watched: Watched) -> None:
    """Which is what makes a short one cheap; it then waits for that one."""
    watched.deadlines.begin("a")
    watched.deadlines.end("a")
    assert watched.timers == 1
    watched.clock.advance(3)
    watched.deadlines.begin("b")
    assert watched.timers == 1
    watched.clock.advance(7)
    assert (watched.timers, watched.overdue) == (1, [])
    watched.clock.advance(3)
    assert watched.overdue == [(13.0, "b")]


def test_nothing_is_left_behind_after_letting_go(watched: Watched) -> None:
    """At once, or with the last thing; also of those that begin later."""
    watched.deadlines.begin("a")
    watched.deadlines.end("a")
    watched.deadlines.let_go()
    assert watched.timers == 0
    for thing in ("b", "c"):
        watched.deadlines.begin(thing)
    watched.deadlines.end("b")
    assert watched.timers == 1
    watched.deadlines.end("c")
    assert watched.timers == 0


def test_holding_on_keeps_the_timer_again(watched: Watched) -> None:
    """As before anything was let go."""
    watched.deadlines.let_go()
    watched.deadlines.hold_on()
    watched.deadlines.begin("a")
    watched.deadlines.end("a")
    assert watched.timers == 1


def test_what_is_overdue_may_begin_again() -> None:
    """Whoever is called may begin and end others."""
    clock, again = Clock(), []

    def overdue(thing: str) -> None:
        again.append(thing)
        deadlines.begin("next")

    deadlines: Deadlines[str] = Deadlines(clock, SECONDS, overdue)
    deadlines.begin("first")
    clock.advance(SECONDS)
    clock.advance(SECONDS)
    assert again == ["first", "next"]


steps = st.lists(
    st.tuples(st.sampled_from(["begin", "end"]), st.integers(0, 5)) | st.tuples(st.just("wait"), st.integers(1, 12))
)


@given(steps)
def test_nothing_is_overdue_too_early_or_too_late(script: list[tuple[str, int]]) -> None:
    """Whatever begins and ends in whatever order, each has its time and not a second more."""
    watched, running, due = Watched(), dict[str, float](), list[tuple[float, str]]()
    for act, number in script:
        thing = str(number)
        if act == "begin" and thing not in running:
            watched.deadlines.begin(thing)
            running[thing] = watched.clock.seconds() + SECONDS
        elif act == "end":
            watched.deadlines.end(thing)
            running.pop(thing, None)
        elif act == "wait":
            for _ in range(number):
                watched.clock.advance(1)
                now = watched.clock.seconds()
                due += [(now, one) for one, deadline in running.items() if deadline == now]
                running = {one: deadline for one, deadline in running.items() if deadline > now}
        assert (watched.overdue, len(watched.deadlines)) == (due, len(running))
