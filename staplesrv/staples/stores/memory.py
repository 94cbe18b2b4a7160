"""The store of a process that keeps nothing: for tests, and for servers without a state directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from staplesrv.staples.stores import KEPT_AFTER, MAX_STORED


class MemoryStore:
    """Responses in a dictionary. Refreshers in one process that share it behave as processes on one directory do."""

    def __init__(self) -> None:
        self._responses: dict[bytes, tuple[bytes, datetime]] = {}
        self._leased: set[bytes] = set()

    async def load(self, key: bytes) -> bytes | None:
        """See `Store.load`."""
        response_der, _ = self._responses.get(key, (b"", None))
        return response_der if 0 < len(response_der) <= MAX_STORED else None

    async def load_many(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """See `Store.load_many`."""
        return {key: response_der for key in keys if (response_der := await self.load(key)) is not None}

    async def save(self, key: bytes, response_der: bytes, *, expires: datetime) -> None:
        """See `Store.save`."""
        self._responses[key] = (response_der, expires)

    async def remove(self, key: bytes) -> None:
        """See `Store.remove`."""
        self._responses.pop(key, None)

    async def lease(self, key: bytes) -> MemoryLease | None:
        """See `Store.lease`."""
        if key in self._leased:
            return None
        self._leased.add(key)
        return MemoryLease(self._leased, key)

    async def sweep(self, now: datetime) -> int:
        """See `Store.sweep`."""
        gone = [key for key, (_, expires) in self._responses.items() if expires + KEPT_AFTER < now]
        for key in gone:
            del self._responses[key]
        return len(gone)

    async def close(self) -> None:
        """See `Store.close`."""


class MemoryLease:
    """See `Lease`."""

    def __init__(self, leased: set[bytes], key: bytes) -> None:
        self._leased = leased
        self._key = key

    async def release(self) -> None:
        """See `Lease.release`."""
        self._leased.discard(self._key)
