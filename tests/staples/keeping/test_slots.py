"""Who may fetch now."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from staplesrv.staples.keeping.slots import Slots


def take_all(slots: Slots[str]) -> list[str]:
    """Let everybody go who may."""
    taken = []
    while (one := slots.take()) is not None:
        taken.append(one[1])
    return taken


def test_two_per_host() -> None:
    """At one host there are two at once, however many wait and however many slots are free."""
    slots: Slots[str] = Slots()
    for n in range(5):
        slots.put("host", (n,), f"{n}")
    assert take_all(slots) == ["0", "1"]
    slots.done("host")
    assert take_all(slots) == ["2"]
    slots.done("host")
    slots.done("host")
    assert take_all(slots) == ["3", "4"]


def test_eight_in_all() -> None:
    """Over all hosts there are eight at once."""
    slots: Slots[str] = Slots()
    for n in range(20):
        slots.put(f"host {n}", (n,), f"{n}")
    assert take_all(slots) == [f"{n}" for n in range(8)]
    assert slots.busy == 8
    slots.done("host 3")
    assert take_all(slots) == ["8"]


def test_a_busy_host_does_not_hold_the_others_up() -> None:
    """Who waits for a busy host is passed by those who wait for another one."""
    slots: Slots[str] = Slots()
    for n in range(4):
        slots.put("slow", (0, n), f"slow {n}")
    slots.put("fast", (9,), "fast")
    assert take_all(slots) == ["slow 0", "slow 1", "fast"]


def test_the_lower_rank_goes_first() -> None:
    """Ranks count over all hosts, and a late-comer of lower rank goes before those who wait."""
    slots: Slots[str] = Slots(at_once=1)
    slots.put("a", (5,), "first in line")
    slots.put("b", (3,), "better")
    slots.put("a", (1,), "best")
    order = []
    for _ in range(3):
        taken = slots.take()
        assert taken is not None
        order.append(taken[1])
        slots.done(taken[0])
    assert order == ["best", "better", "first in line"]


def test_equal_ranks_keep_their_order() -> None:
    """Among equals who came first goes first."""
    slots: Slots[str] = Slots(per_host=8)
    for n in range(5):
        slots.put("host", (1,), f"{n}")
    assert take_all(slots) == ["0", "1", "2", "3", "4"]


def test_clear_sends_those_who_wait_home() -> None:
    """After `clear` nobody waits; who is under way still is."""
    slots: Slots[str] = Slots()
    for n in range(4):
        slots.put("host", (n,), f"{n}")
    take_all(slots)
    slots.clear()
    slots.done("host")
    slots.done("host")
    assert take_all(slots) == []
    assert slots.busy == 0


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3)), max_size=60), st.randoms())
def test_everybody_gets_a_turn(waiting: list[tuple[str, int]], random: object) -> None:
    """In whatever order people come and fetches end, the limits hold and everybody goes once."""
    slots: Slots[int] = Slots(at_once=3, per_host=2)
    under_way: list[str] = []
    gone = []
    for n, (host, rank) in enumerate(waiting):
        slots.put(host, (rank,), n)
    while True:
        while (taken := slots.take()) is not None:
            under_way.append(taken[0])
            gone.append(taken[1])
            assert len(under_way) <= 3
            assert max(map(under_way.count, under_way)) <= 2
        if not under_way:
            break
        slots.done(under_way.pop(random.randrange(len(under_way))))  # type: ignore[attr-defined]
    assert sorted(gone) == list(range(len(waiting)))
