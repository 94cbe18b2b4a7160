"""The refresher and its store: several processes on one, and none that works."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel

from staplesrv.staples.cache import StapleCache
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.refresher import Refresher
from staplesrv.staples.stores.disk import DiskStore

HOUR = 3600.0
DAY = 24 * HOUR
DOWN = FetchFailed(FailureKind.NETWORK, "connection refused", url="http://ocsp.example/")


@pytest.fixture(params=["memory", "disk"])
def shared(request: Any, world: Any, tmp_path: Path) -> Any:
    """A world whose store other processes may share, of either kind."""
    if request.param == "disk":
        # `task.Clock` has no threads, so that the disk is read and written at once.
        world.store = DiskStore(tmp_path / "state", reactor=world.clock)
    return world


def peer(world: Any) -> tuple[Refresher, StapleCache]:
    """Another process on the same store, with a cache of its own."""
    cache = StapleCache()
    return world.make(cache=cache), cache


def test_exactly_one_process_fetches(shared: Any) -> None:
    """Of two processes that need a staple at the same time one asks, and the other takes its answer a second later."""
    pending = shared.hold_answers()
    assignment = shared.assign()
    ours, (theirs, their_cache) = shared.make(), peer(shared)
    ours.add(assignment)
    theirs.add(assignment)
    assert shared.asked == 1
    shared.clock.pump([0.5] * 6)
    assert shared.asked == 1
    pending[0].callback(shared.good(assignment))
    shared.clock.pump([0.5] * 3)
    assert shared.asked == 1
    assert their_cache.entry(assignment.fingerprint).current(shared.wall()) == shared.served(assignment) != b""


def test_the_faster_ones_refresh_is_taken(shared: Any) -> None:
    """A process whose refresh comes due later than another's finds the other's answer, and asks nobody."""
    assignment = shared.assign()
    shared.make().add(assignment)
    shared.clock.advance(0.5)
    shared.chance = 0.9
    theirs, their_cache = peer(shared)
    theirs.add(assignment)
    shared.chance = 0.5
    shared.clock.advance(DAY)
    assert shared.asked == 2
    shared.clock.advance(4 * HOUR)
    assert their_cache.entry(assignment.fingerprint).current(shared.wall()) == shared.served(assignment)
    assert theirs.totals == {"new": 1}
    assert shared.asked == 2


def test_a_waiter_waits_for_the_other_process(shared: Any) -> None:
    """Who asks in a process that lost the race is told when the other one's answer is there, not before."""
    pending = shared.hold_answers()
    assignment = shared.assign()
    ours, (theirs, _) = shared.make(), peer(shared)
    ours.add(assignment)
    theirs.add(assignment)
    waiter = theirs.refresh(assignment.fingerprint)
    settled = Deferred.fromCoroutine(theirs.settled(assignment.fingerprint))
    shared.clock.pump([0.5] * 4)
    assert not waiter.called
    assert not settled.called
    pending[0].callback(shared.good(assignment))
    shared.clock.pump([0.5] * 3)
    assert waiter.called
    assert settled.called


def test_a_process_that_hangs_holds_nobody_up(shared: Any) -> None:
    """With nothing to serve, the wait for another process ends after 5 s, and the responder is asked."""
    assignment = shared.assign()
    assert shared.result(Deferred.fromCoroutine(shared.store.lease(assignment.fingerprint))) is not None
    shared.make().add(assignment)
    shared.clock.pump([0.5] * 9)
    assert shared.asked == 0
    shared.clock.pump([0.5] * 4)
    assert shared.asked == 1
    assert shared.served(assignment)


def test_with_a_staple_in_hand_there_is_more_patience(shared: Any) -> None:
    """With a staple in hand another process has a minute."""
    assignment = shared.assign()
    shared.make().add(assignment)
    assert shared.result(Deferred.fromCoroutine(shared.store.lease(assignment.fingerprint))) is not None
    shared.clock.advance(DAY)
    shared.clock.pump([0.5] * 110)
    assert shared.asked == 1
    shared.clock.pump([0.5] * 20)
    assert shared.asked == 2


def test_a_clock_set_back_is_no_longer_wait(shared: Any) -> None:
    """A clock that is set back while another process fetches does not make the wait endless."""
    assignment = shared.assign()
    assert shared.result(Deferred.fromCoroutine(shared.store.lease(assignment.fingerprint))) is not None
    shared.make().add(assignment)
    shared.step = -DAY
    shared.clock.pump([0.5] * 14)
    assert shared.asked == 1


def test_the_others_failure_is_not_ours(shared: Any) -> None:
    """When the other process failed, this one asks by itself."""
    pending = shared.hold_answers()
    assignment = shared.assign()
    ours, (theirs, _) = shared.make(), peer(shared)
    ours.add(assignment)
    theirs.add(assignment)
    shared.chance = 0.999
    pending[0].callback(DOWN)
    shared.clock.pump([0.5] * 3)
    assert shared.asked == 2
    pending[1].callback(shared.good(assignment))
    shared.clock.pump([0.5] * 6)
    assert shared.asked == 2
    assert shared.served(assignment)


def test_a_revocation_reaches_the_other_process(shared: Any) -> None:
    """What one process learnt about a revocation, the others take out of the store instead of asking."""
    assignment = shared.assign()
    shared.make().add(assignment)
    theirs, their_cache = peer(shared)
    theirs.add(assignment)
    shared.fetcher.answer = lambda a: shared.respond(a, "revoked")
    shared.refreshers[0].refresh(assignment.fingerprint)
    theirs.refresh(assignment.fingerprint)
    assert shared.asked == 2
    assert their_cache.entry(assignment.fingerprint).current(shared.wall()) == b""
    assert theirs.status(assignment.fingerprint).revoked is not None


def test_what_is_stored_and_bad_is_no_answer(shared: Any) -> None:
    """Rubbish that turns up in the store while we run is no answer, and the next one takes its place."""
    assignment = shared.assign()
    shared.make().add(assignment)
    shared.store_now(assignment, b"rubbish")
    shared.clock.advance(DAY)
    assert shared.asked == 2
    assert shared.stored(assignment) == shared.served(assignment)


def test_an_unknown_in_the_store_is_nothing(shared: Any) -> None:
    """Nobody stores an answer "unknown"; one that is found there drops no staple."""
    assignment = shared.assign()
    shared.make().add(assignment)
    shared.clock.advance(60)
    shared.store_now(assignment, shared.respond(assignment, "unknown"))
    shared.fetcher.answer = lambda _: DOWN
    for _ in range(5):
        shared.refreshers[0].refresh(assignment.fingerprint)
    assert shared.served(assignment)
    assert shared.refreshers[0].totals["unknown"] == 0


def test_a_broken_store_stops_nothing(world: Any) -> None:
    """With a store that fails in every way, staples are fetched, served and refreshed all the same."""
    assignment = world.assign()
    world.break_store("load", "load_many", "save", "remove", "lease", "sweep")
    world.make().add(assignment)
    assert world.served(assignment)
    world.pass_to_next(assignment)
    assert world.asked == 2


def test_a_failing_save_is_said_once_an_hour(world: Any) -> None:
    """A full disk is a warning an hour, however many staples could not be saved."""
    world.break_store("save")
    refresher = world.make()
    for n in range(5):
        refresher.add(world.assign(world.leaf(f"host{n}.example")))
    (line,) = world.said(LogLevel.warn)
    assert "No space left on device" in line
    world.clock.advance(HOUR - 1)
    refresher.add(world.assign(world.leaf("late.example")))
    assert world.said(LogLevel.warn) == []
    world.clock.advance(1)
    refresher.add(world.assign(world.leaf("later.example")))
    assert len(world.said(LogLevel.warn)) == 1


def test_what_could_not_be_saved_is_saved_later(world: Any) -> None:
    """A staple that did not get onto the disk gets there when the same answer comes again."""
    assignment = world.assign()
    save = world.store.save
    world.break_store("save")
    world.make().add(assignment)
    assert world.stored(assignment) is None
    world.store.save = save
    world.fetcher.answer = lambda _: None
    world.pass_to_next(assignment)
    assert world.stored(assignment) == world.served(assignment)


def test_a_hanging_disk_stops_nothing(world: Any) -> None:
    """A disk that never answers costs one wait of 10 s; then staples are fetched without it."""

    async def never(*args: Any, **kwargs: Any) -> Any:
        await Deferred()

    world.store.load = world.store.load_many = world.store.save = world.store.lease = never
    assignment = world.assign()
    world.make().add(assignment)
    world.clock.pump([0.5] * 19)
    assert world.asked == 0
    world.clock.pump([0.5] * 2)
    assert world.asked == 1
    assert world.served(assignment)
    assert len(world.said(LogLevel.warn)) == 1


def test_a_bug_in_the_store_stops_nothing(world: Any) -> None:
    """A store that raises what no store may raise is logged with its traceback; the responder is asked all the same."""

    async def bug(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError

    world.store.load = world.store.load_many = bug
    assignment = world.assign()
    world.make().add(assignment)
    assert world.said(LogLevel.critical)
    del world.store.load
    del world.store.load_many
    world.clock.pump([0.5] * 10)
    assert world.served(assignment)


def test_the_store_is_swept_at_start_and_daily(world: Any) -> None:
    """What nobody watches any more goes a week after its end: at a start, and then day by day."""
    gone, later, watched = (world.assign(world.leaf(f"{n}.example")) for n in range(3))
    world.store_now(gone, b"old")
    world.clock.advance(38 * DAY)
    world.store_now(later, b"newer")
    world.make().add(watched)
    assert (world.stored(gone), world.stored(later)) == (None, b"newer")
    world.clock.pump([DAY] * 37)
    assert world.stored(later) == b"newer"
    world.clock.pump([DAY] * 2)
    assert world.stored(later) is None
    assert world.stored(watched)


def test_many_at_once_leave_the_reactor_its_turns(world: Any) -> None:
    """Loading many certificates out of a store that answers at once is done in slices."""
    assignments = [world.assign(world.leaf(f"host{n}.example")) for n in range(500)]
    for assignment in assignments:
        world.store_now(assignment, world.good(assignment))
    refresher = world.make(start=False)
    for assignment in assignments:
        refresher.add(assignment)
    served: list[int] = []

    def somebody_else() -> None:
        served.append(sum(entry.fresh(world.wall()) for entry in world.cache))
        if served[-1] < 500:
            world.clock.callLater(0, somebody_else)

    somebody_else()
    refresher.startService()
    world.clock.advance(0)
    assert served[-1] == 500
    assert max(after - before for before, after in pairwise(served)) <= 40
    assert world.asked == 0
