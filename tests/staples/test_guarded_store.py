"""A store that may fail, and what becomes of its failures."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from staplesrv.sources import utc
from staplesrv.staples.stores import Store, StoreFailed
from staplesrv.staples.stores.guarded import NO_LEASE, PATIENCE, REST, TOO_SLOW, GuardedStore
from staplesrv.staples.stores.memory import MemoryStore

KEY = b"key"
NOW = utc(1_800_000_000)


class Trap:
    """A store whose every call is a Deferred in `calls`, for the test to fire."""

    def __init__(self) -> None:
        self.calls: list[Deferred[Any]] = []
        self.released = 0

    async def _call(self) -> Any:
        self.calls.append(Deferred())
        return await self.calls[-1]

    async def load(self, key: bytes) -> bytes | None:
        """See `Store`."""
        return await self._call()

    async def load_many(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """See `Store`."""
        return await self._call()

    async def save(self, key: bytes, response_der: bytes, *, expires: datetime) -> None:
        """See `Store`."""
        await self._call()

    async def remove(self, key: bytes) -> None:
        """See `Store`."""
        await self._call()

    async def lease(self, key: bytes) -> Any:
        """See `Store`."""
        return await self._call()

    async def sweep(self, now: datetime) -> int:
        """See `Store`."""
        return await self._call()

    async def close(self) -> None:
        """See `Store`."""

    async def release(self) -> None:
        """It is its own lease, too."""
        self.released += 1


@pytest.fixture
def clock() -> Clock:
    """For time-outs."""
    return Clock()


@pytest.fixture
def errors() -> list[StoreFailed]:
    """What was complained about."""
    return []


def start(call: Coroutine[Any, Any, Any]) -> Deferred[Any]:
    """Begin a call."""
    return Deferred.fromCoroutine(call)


def every_call(store: GuardedStore) -> list[tuple[Coroutine[Any, Any, Any], Any]]:
    """Each call with what it says where the store can't."""
    return [
        (store.load(KEY), None),
        (store.load_many([KEY]), {}),
        (store.save(KEY, b"", expires=NOW), False),
        (store.remove(KEY), False),
        (store.sweep(NOW), 0),
        (store.lease(KEY), NO_LEASE),
    ]


def test_a_store_that_works_is_just_that(world: Any, clock: Clock, errors: list[StoreFailed]) -> None:
    """Where nothing goes wrong everything is as the store has it, and no timer is left."""
    store: Store = MemoryStore()
    guarded = GuardedStore(store, clock, errors.append)
    assert world.result(start(guarded.save(KEY, b"one", expires=NOW))) is True
    assert world.result(start(guarded.load(KEY))) == b"one"
    lease = world.result(start(guarded.lease(KEY)))
    assert world.result(start(guarded.lease(KEY))) is None
    world.result(start(guarded.release(lease)))
    assert world.result(start(store.lease(KEY))) is not None
    assert world.result(start(guarded.remove(KEY))) is True
    assert world.result(start(guarded.sweep(NOW))) == 0
    assert (errors, clock.getDelayedCalls()) == ([], [])


def test_failures_are_said_and_done_without(world: Any, clock: Clock, errors: list[StoreFailed]) -> None:
    """Each call of a store that fails has an answer to go on with, and each failure is handed on."""
    trap, failure = Trap(), StoreFailed("/state", "read-only", "mend it")
    for call, instead in every_call(GuardedStore(trap, clock, errors.append)):
        running = start(call)
        trap.calls[-1].errback(failure)
        assert world.result(running) == instead
    assert errors == [failure] * 6


def test_nobody_waits_for_ever(world: Any, clock: Clock, errors: list[StoreFailed]) -> None:
    """A call without an end is given up after `PATIENCE`, and the store is left alone for `REST`."""
    trap = Trap()
    guarded = GuardedStore(trap, clock, errors.append)
    running = start(guarded.load(KEY))
    clock.advance(PATIENCE - 0.1)
    assert not running.called
    clock.advance(0.1)
    assert world.result(running) is None
    assert errors == [TOO_SLOW]
    assert [world.result(start(call)) for call, _ in every_call(guarded)] == [
        instead for _, instead in every_call(guarded)
    ]
    assert len(trap.calls) == 1
    clock.advance(REST)
    start(guarded.load(KEY))
    assert len(trap.calls) == 2
    trap.calls[1].callback(None)


@pytest.mark.parametrize("late", [b"late", StoreFailed("/state", "gone", "mend it")])
def test_what_comes_too_late_is_dropped(world: Any, clock: Clock, errors: list[StoreFailed], late: Any) -> None:
    """An answer or an error after the call was given up disturbs nobody."""
    trap = Trap()
    running = start(GuardedStore(trap, clock, errors.append).load(KEY))
    clock.advance(PATIENCE)
    assert world.result(running) is None
    trap.calls[0].callback(late) if isinstance(late, bytes) else trap.calls[0].errback(late)
    assert errors == [TOO_SLOW]


def test_a_lease_that_comes_too_late_is_given_back(world: Any, clock: Clock, errors: list[StoreFailed]) -> None:
    """A lease that nobody waits for any more does not keep others out."""
    trap = Trap()
    running = start(GuardedStore(trap, clock, errors.append).lease(KEY))
    clock.advance(PATIENCE)
    assert world.result(running) is NO_LEASE
    trap.calls[0].callback(trap)
    assert trap.released == 1


def test_a_release_is_begun_in_any_case(world: Any, clock: Clock, errors: list[StoreFailed]) -> None:
    """Also a store that is left alone gets its leases back."""
    trap = Trap()
    guarded = GuardedStore(trap, clock, errors.append)
    start(guarded.load(KEY))
    clock.advance(PATIENCE)
    world.result(start(guarded.release(trap)))
    assert trap.released == 1
