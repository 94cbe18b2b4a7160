"""A store that may fail, made into one that holds nothing up: what goes wrong is said, and then done without."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IReactorTime

from staplesrv.staples.blocking import shielded
from staplesrv.staples.stores import Lease, Store, StoreFailed

PATIENCE = 10.0
"""Seconds that one call may take. A network disk that went away takes for ever."""

REST = 60.0
"""Seconds that the store is left alone after a call that took too long."""

TOO_SLOW = StoreFailed(
    "the store of staples", f"does not answer within {PATIENCE:g} s", "see whether its disk is there"
)

T = TypeVar("T")


class NoLease:
    """What everybody gets where nobody can tell who fetches."""

    async def release(self) -> None:
        """See `Lease.release`."""


NO_LEASE = NoLease()


class GuardedStore:
    """Calls a store, and never raises.

    Args:
        store: The store.
        reactor: For time-outs.
        complain: Called with every error; how often it says it is up to it.
    """

    def __init__(self, store: Store, reactor: IReactorTime, complain: Callable[[StoreFailed], None]) -> None:
        self._store = store
        self._reactor = reactor
        self._complain = complain
        self._left_alone_until = float("-inf")

    async def load(self, key: bytes) -> bytes | None:
        """See `Store.load`; a failing store has nothing."""
        return await self._call(lambda: self._store.load(key), None)

    async def load_many(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """See `Store.load_many`; a failing store has nothing."""
        return await self._call(lambda: self._store.load_many(keys), {})

    async def save(self, key: bytes, response_der: bytes, *, expires: datetime) -> bool:
        """See `Store.save`; returns whether it was done."""
        return await self._call(lambda: _done(self._store.save(key, response_der, expires=expires)), False)

    async def remove(self, key: bytes) -> bool:
        """See `Store.remove`; returns whether it was done."""
        return await self._call(lambda: _done(self._store.remove(key)), False)

    async def sweep(self, now: datetime) -> int:
        """See `Store.sweep`; a failing store removes nothing."""
        return await self._call(lambda: self._store.sweep(now), 0)

    async def lease(self, key: bytes) -> Lease | None:
        """See `Store.lease`; a failing store lets everybody fetch."""
        if self._is_left_alone():
            return NO_LEASE
        asked: Deferred[Lease | None] = Deferred.fromCoroutine(self._store.lease(key))
        lease = await self._wait(asked, NO_LEASE)
        if lease is NO_LEASE:
            # It may still come, too late for whoever asked.
            asked.addCallback(_give_back)
        return lease

    async def release(self, lease: Lease) -> None:
        """See `Lease.release`; begun in any case, waited for within reason."""
        await self._wait(Deferred.fromCoroutine(lease.release()), None)

    def _is_left_alone(self) -> bool:
        return self._reactor.seconds() < self._left_alone_until

    async def _call(self, call: Callable[[], Coroutine[Any, Any, T]], otherwise: T) -> T:
        if self._is_left_alone():
            return otherwise
        return await self._wait(Deferred.fromCoroutine(call()), otherwise)

    async def _wait(self, under_way: Deferred[T], otherwise: T) -> T:
        try:
            return await shielded(under_way).addTimeout(PATIENCE, self._reactor)
        except StoreFailed as error:
            self._complain(error)
        except TookTooLong:
            self._left_alone_until = self._reactor.seconds() + REST
            self._complain(TOO_SLOW)
        return otherwise


async def _done(call: Coroutine[Any, Any, None]) -> bool:
    await call
    return True


def _give_back(lease: Lease | None) -> Deferred[None] | None:
    return Deferred.fromCoroutine(lease.release()) if lease is not None else None
