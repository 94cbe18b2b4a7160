"""The store in a directory: `<SHA-256 of the leaf's DER, hex>.der` is the very response, readable by `openssl ocsp`.

Several processes and hosts may share the directory. A lease is a lock on `<hex>.lock`. A file's modification time is
the end of its response: `ls -l` shows it, and the sweep need not open any file. A copy that lost it counts as ended
when it was copied.

All of this happens in threads, four at a time at most: the pool also looks up names, and must not be filled with disk.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred, DeferredLock

from staplesrv.staples.blocking import in_thread, shielded
from staplesrv.staples.plain_file import read_plain_file, write_durably
from staplesrv.staples.stores import KEPT_AFTER, MAX_STORED, StoreFailed
from staplesrv.staples.stores.lock import lock, unlock

LANES = 4
LEFTOVER = timedelta(days=1)
"""Temporary and lock files older than this belong to a process that died."""

ADVICE = "staples are kept in memory meanwhile; see to the room and the rights there"

_OURS = re.compile(r"[0-9a-f]{64}\.(der|lock)|\.[0-9a-f]{64}\.[^.]+\.tmp", re.ASCII)

P = ParamSpec("P")
R = TypeVar("R")


class DiskStore:
    """A store of one file per key.

    Args:
        directory: Where; made at the first need, mode 0700, if it is not there.
        reactor: Has the thread pool (`IReactorThreads`) that does the work.
    """

    def __init__(self, directory: Path, *, reactor: object) -> None:
        self._directory = directory
        self._reactor = reactor
        self._lanes = tuple(DeferredLock() for _ in range(LANES))

    async def load(self, key: bytes) -> bytes | None:
        """See `Store.load`. What is there but no plain file of reasonable size counts as absent."""
        return await self._run(key, read_plain_file, self._path(key), MAX_STORED)

    async def load_many(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """See `Store.load_many`. One turn of a thread, where as many loads would be as many."""
        return await self._run(bytes(1), self._read_many, keys) if keys else {}

    async def save(self, key: bytes, response_der: bytes, *, expires: datetime) -> None:
        """See `Store.save`."""
        await self._run(key, self._write, self._path(key), response_der, expires.timestamp())

    async def remove(self, key: bytes) -> None:
        """See `Store.remove`."""
        await self._run(key, self._path(key).unlink, missing_ok=True)

    async def lease(self, key: bytes) -> DiskLease | None:
        """See `Store.lease`."""
        descriptor = await self._run(key, self._lock, self._path(key, "lock"))
        return None if descriptor is None else DiskLease(self, key, descriptor)

    async def release(self, key: bytes, descriptor: int) -> None:
        """End a lease; `DiskLease.release` calls this."""
        await self._run(key, unlock, self._path(key, "lock"), descriptor)

    async def sweep(self, now: datetime) -> int:
        """See `Store.sweep`. Also removes what processes that died have left behind."""
        return await self._run(bytes(1), self._sweep, now.timestamp())

    async def close(self) -> None:
        """See `Store.close`."""
        for lane in self._lanes:
            await lane.run(lambda: None)

    def _path(self, key: bytes, suffix: str = "der") -> Path:
        return self._directory / f"{key.hex()}.{suffix}"

    async def _run(self, key: bytes, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await shielded(Deferred.fromCoroutine(self._in_lane(key, call, *args, **kwargs)))
        except OSError as error:
            # Of a rename both names are there, and the new one stays.
            where = str(error.filename2 or error.filename or self._directory)
            raise StoreFailed(where, error.strerror or type(error).__name__, ADVICE) from error

    async def _in_lane(self, key: bytes, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        # One lane per key keeps the calls for it in order.
        async with self._lanes[key[0] % LANES]:
            return await in_thread(self._reactor, call, *args, **kwargs)

    # From here on: in a thread.

    def _read_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for key in keys:
            # Whoever needs just this one will hear of the error from `load`.
            with suppress(OSError):
                response_der = read_plain_file(self._path(key), MAX_STORED)
                if response_der is not None:
                    found[key] = response_der
        return found

    def _write(self, path: Path, content: bytes, modified: float) -> None:
        self._make_directory()
        write_durably(path, content, modified=modified)

    def _lock(self, path: Path) -> int | None:
        self._make_directory()
        return lock(path)

    def _make_directory(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _sweep(self, now: float) -> int:
        removed = 0
        first_error: OSError | None = None
        for path in self._files():
            try:
                removed += is_over(path, now) and self._remove_if_over(path, now)
            except OSError as error:
                first_error = first_error or error
        if first_error is not None:
            raise first_error
        return removed

    def _files(self) -> list[Path]:
        try:
            return [path for path in self._directory.iterdir() if _OURS.fullmatch(path.name)]
        except FileNotFoundError:
            return []

    def _remove_if_over(self, path: Path, now: float) -> bool:
        # Under the lock and looked at again: what somebody is about to replace must not go.
        lock_path = self._directory / f"{path.name.removeprefix('.').partition('.')[0]}.lock"
        descriptor = lock(lock_path)
        if descriptor is None:
            return False
        try:
            # A lock file goes by being unlocked.
            if path == lock_path or not is_over(path, now):
                return False
            path.unlink(missing_ok=True)
            return path.suffix == ".der"
        finally:
            unlock(lock_path, descriptor)


class DiskLease:
    """See `Lease`."""

    def __init__(self, store: DiskStore, key: bytes, descriptor: int) -> None:
        self._store = store
        self._key = key
        self._descriptor = descriptor

    async def release(self) -> None:
        """See `Lease.release`."""
        await self._store.release(self._key, self._descriptor)


def is_over(path: Path, now: float) -> bool:
    """Whether a sweep at `now` may remove a file: a response `KEPT_AFTER` its end, or what a dead process left."""
    try:
        status = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    if path.suffix == ".der":
        end, kept = status.st_mtime, KEPT_AFTER
    else:
        end, kept = status.st_ctime, LEFTOVER
    return stat.S_ISREG(status.st_mode) and end + kept.total_seconds() < now
