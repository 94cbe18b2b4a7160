"""What every store does (`StoreContract`), and what the one on disk does on top."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorThreads
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from staplesrv.errors import OperatorError
from staplesrv.sources import utc
from staplesrv.staples.stores import KEPT_AFTER, MAX_STORED, Store, StoreFailed
from staplesrv.staples.stores.disk import DiskStore
from staplesrv.staples.stores.lock import lock, unlock
from staplesrv.staples.stores.memory import MemoryStore

KEY = bytes(range(32))
OTHER = bytes(reversed(range(32)))
NOW = utc(1_800_000_000)
LATER = NOW + timedelta(days=4)


@implementer(IReactorThreads)
class Threads:
    """A reactor's threads on a short leash: a call is made at once, or when `run` is called while `held` is set."""

    def __init__(self) -> None:
        self.held = False
        self.waiting: list[Callable[[], None]] = []

    def getThreadPool(self) -> Threads:
        """The pool is in here, too."""
        return self

    def callInThreadWithCallback(self, done: Callable[[bool, Any], None], call: Any, *args: Any, **kwargs: Any) -> None:
        """Queue a call."""

        def job() -> None:
            try:
                result = call(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - as a thread pool does
                done(False, error)
            else:
                done(True, result)

        self.waiting.append(job)
        if not self.held:
            self.run()

    def run(self) -> None:
        """Make the calls that wait."""
        while self.waiting:
            self.waiting.pop(0)()

    def callFromThread(self, call: Any, *args: Any, **kwargs: Any) -> None:
        """Call at once: there is one thread only."""
        call(*args, **kwargs)

    def callInThread(self, call: Any, *args: Any, **kwargs: Any) -> None:
        """Not used by a store."""
        raise NotImplementedError

    def suggestThreadPoolSize(self, size: int) -> None:
        """Not used by a store."""
        raise NotImplementedError


def scratch(case: TestCase) -> Path:
    """A directory that goes with the test."""
    directory = tempfile.TemporaryDirectory()
    case.addCleanup(directory.cleanup)
    return Path(directory.name)


def hexed(key: bytes, suffix: str = "der") -> str:
    """The name of a key's file."""
    return f"{key.hex()}.{suffix}"


class StoreContract:
    """The tests that every store passes; a subclass makes the store."""

    store: Store
    peer: Store
    """The same store as another process sees it."""

    async def test_what_was_saved_is_loaded(self) -> None:
        """`load` returns the bytes of the last `save` for that key and no other."""
        await self.store.save(KEY, b"first", expires=LATER)
        await self.store.save(KEY, b"second", expires=LATER)
        await self.store.save(OTHER, b"other", expires=LATER)
        assert await self.store.load(KEY) == b"second"
        assert await self.peer.load(KEY) == b"second"
        assert await self.peer.load(OTHER) == b"other"

    async def test_of_two_saves_at_once_the_later_one_stays(self) -> None:
        """Saves for one key take effect in the order in which they were asked for."""
        saves = [Deferred.fromCoroutine(self.store.save(KEY, b"%d" % n, expires=LATER)) for n in range(5)]
        for save in saves:
            await save
        assert await self.peer.load(KEY) == b"4"

    async def test_nothing_saved_is_none(self) -> None:
        """`load` of what was never saved is None."""
        assert await self.store.load(KEY) is None

    async def test_many_are_loaded_as_one_is(self) -> None:
        """`load_many` finds what was saved under each key, and leaves out what is not there or too much."""
        huge = bytes(32)
        await self.store.save(KEY, b"one", expires=LATER)
        await self.store.save(huge, b"x" * (MAX_STORED + 1), expires=LATER)
        assert await self.peer.load_many([KEY, OTHER, huge]) == {KEY: b"one"}
        assert await self.peer.load_many([]) == {}

    async def test_removed_is_gone(self) -> None:
        """`remove` forgets one key, and doing it again is no error."""
        await self.store.save(KEY, b"one", expires=LATER)
        await self.store.save(OTHER, b"two", expires=LATER)
        await self.store.remove(KEY)
        await self.store.remove(KEY)
        assert await self.peer.load(KEY) is None
        assert await self.peer.load(OTHER) == b"two"

    async def test_too_much_is_none(self) -> None:
        """What is over `MAX_STORED` is not read back; what is just that long is."""
        await self.store.save(KEY, b"x" * (MAX_STORED + 1), expires=LATER)
        await self.store.save(OTHER, b"x" * MAX_STORED, expires=LATER)
        assert await self.store.load(KEY) is None
        assert len(await self.store.load(OTHER) or b"") == MAX_STORED

    async def test_nothing_is_none(self) -> None:
        """An empty response is none."""
        await self.store.save(KEY, b"", expires=LATER)
        assert await self.store.load(KEY) is None

    async def test_one_holder_per_key(self) -> None:
        """While one holds the lease of a key, nobody else gets it, in its own process or in another one."""
        lease = await self.store.lease(KEY)
        assert lease is not None
        assert await self.store.lease(KEY) is None
        assert await self.peer.lease(KEY) is None
        assert await self.peer.lease(OTHER) is not None

    async def test_a_released_lease_can_be_had(self) -> None:
        """A released lease goes to whoever asks next, and to one of them alone."""
        lease = await self.store.lease(KEY)
        assert lease is not None
        await lease.release()
        second = await self.peer.lease(KEY)
        assert second is not None
        assert await self.store.lease(KEY) is None
        await second.release()
        assert await self.store.lease(KEY) is not None

    async def test_a_lease_keeps_nobody_from_reading_and_writing(self) -> None:
        """The holder saves, and the others poll, while the lease is held."""
        assert await self.store.lease(KEY) is not None
        await self.store.save(KEY, b"result", expires=LATER)
        assert await self.peer.load(KEY) == b"result"

    async def test_the_sweep_removes_what_is_long_over(self) -> None:
        """A response is removed `KEPT_AFTER` after its end, whoever saved it, and not a second earlier."""
        await self.peer.save(KEY, b"over", expires=NOW - KEPT_AFTER - timedelta(seconds=1))
        await self.peer.save(OTHER, b"just not", expires=NOW - KEPT_AFTER + timedelta(seconds=1))
        assert await self.store.sweep(NOW) == 1
        assert await self.store.load(KEY) is None
        assert await self.store.load(OTHER) == b"just not"

    async def test_the_sweep_leaves_what_is_being_fetched(self) -> None:
        """After a sweep leases are as they were before it."""
        await self.store.save(KEY, b"over", expires=NOW - 2 * KEPT_AFTER)
        lease = await self.peer.lease(KEY)
        assert lease is not None
        await self.store.sweep(NOW)
        assert await self.store.lease(KEY) is None
        await lease.release()
        assert await self.store.lease(KEY) is not None

    async def test_close_ends_quietly(self) -> None:
        """A store can be closed, used or not."""
        await self.store.save(KEY, b"one", expires=LATER)
        await self.store.close()


class MemoryStoreTests(StoreContract, TestCase):
    """The store in memory."""

    def setUp(self) -> None:
        """Make the store."""
        self.store = self.peer = MemoryStore()


class DiskStoreTests(StoreContract, TestCase):
    """The store on disk, with its threads held by the test."""

    def setUp(self) -> None:
        """Make the store."""
        self.directory = scratch(self) / "state" / "staples"
        self.threads = Threads()
        self.store = DiskStore(self.directory, reactor=self.threads)
        self.peer = DiskStore(self.directory, reactor=self.threads)

    def path(self, key: bytes = KEY, suffix: str = "der") -> Path:
        """A key's file, its directory made."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.directory / hexed(key, suffix)

    async def test_the_file_is_the_response(self) -> None:
        """`<hex>.der` holds the very bytes, is nobody else's to read, and so is its directory."""
        await self.store.save(KEY, b"0\x03response", expires=LATER)
        assert self.path().read_bytes() == b"0\x03response"
        assert self.path().stat().st_mode & 0o777 == 0o600
        assert self.directory.stat().st_mode & 0o777 == 0o700
        assert [file.name for file in self.directory.iterdir()] == [hexed(KEY)]

    async def test_the_time_of_the_file_is_the_end_of_the_response(self) -> None:
        """A file's modification time is when its response ends."""
        await self.store.save(KEY, b"response", expires=LATER)
        assert self.path().stat().st_mtime == LATER.timestamp()

    async def test_reading_makes_no_directory(self) -> None:
        """Looking into a store that was never written to leaves the disk as it was."""
        assert await self.store.load(KEY) is None
        assert await self.store.sweep(NOW) == 0
        await self.store.remove(KEY)
        assert not self.directory.exists()

    async def test_a_directory_that_went_is_made_again(self) -> None:
        """A state directory that is removed under a running server comes back with the next save."""
        await self.store.save(KEY, b"one", expires=LATER)
        self.path().unlink()
        self.directory.rmdir()
        await self.store.save(KEY, b"two", expires=LATER)
        assert await self.store.load(KEY) == b"two"

    async def test_a_reader_never_sees_half_a_response(self) -> None:
        """The old file is replaced, not written into: whoever has it open reads it to its end."""
        await self.store.save(KEY, b"old", expires=LATER)
        with self.path().open("rb") as reader:
            await self.store.save(KEY, b"new and longer", expires=LATER)
            assert reader.read() == b"old"

    async def test_hostile_files_are_nothing(self) -> None:
        """A directory, a pipe, a socket, a link and a hole of a terabyte are no responses, and hold nobody up."""
        path = self.path()
        path.mkdir()
        assert await self.store.load(KEY) is None
        path.rmdir()
        os.mkfifo(path)
        assert await self.store.load(KEY) is None
        path.unlink()
        secret = self.directory / "secret"
        secret.write_bytes(b"not to be served")
        path.symlink_to(secret)
        assert await self.store.load(KEY) is None
        path.unlink()
        with path.open("wb") as hole:
            hole.truncate(1 << 40)
        assert await self.store.load(KEY) is None

    async def test_one_unreadable_file_does_not_hide_the_others(self) -> None:
        """`load_many` leaves out what can't be read, and returns the rest."""
        await self.store.save(KEY, b"one", expires=LATER)
        await self.store.save(OTHER, b"two", expires=LATER)
        self.path(OTHER).unlink()
        self.path(OTHER).symlink_to(self.path(OTHER))
        os.mkfifo(self.path(bytes(32)))
        assert await self.store.load_many([OTHER, bytes(32), KEY]) == {KEY: b"one"}

    async def test_a_socket_is_nothing(self) -> None:
        """A socket in place of a response is none."""
        self.path()
        here = Path.cwd()
        os.chdir(self.directory)  # the path of a socket is short
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(hexed(KEY))
        finally:
            os.chdir(here)
        assert await self.store.load(KEY) is None

    async def test_hostile_files_are_replaced(self) -> None:
        """A pipe or a link in place of a response gives way to the next one, and what the link leads to stays."""
        path = self.path()
        os.mkfifo(path)
        await self.store.save(KEY, b"one", expires=LATER)
        assert await self.store.load(KEY) == b"one"
        path.unlink()
        innocent = self.directory / "innocent"
        innocent.write_bytes(b"mine")
        path.symlink_to(innocent)
        await self.store.save(KEY, b"two", expires=LATER)
        assert await self.store.load(KEY) == b"two"
        assert innocent.read_bytes() == b"mine"

    async def test_what_can_not_be_written_is_said(self) -> None:
        """A directory in place of the file fails the save with `StoreFailed`, names it, and leaves no rest."""
        (self.path() / "full").mkdir(parents=True)
        with pytest.raises(StoreFailed) as caught:
            await self.store.save(KEY, b"one", expires=LATER)
        assert isinstance(caught.value, OperatorError)
        assert str(self.path()) in str(caught.value)
        assert caught.value.problem
        assert [file.name for file in self.directory.iterdir()] == [hexed(KEY)]

    async def test_no_directory_to_be_had_is_said(self) -> None:
        """A file in place of the directory fails saves and leases, and loads find nothing."""
        self.directory.parent.mkdir(parents=True)
        self.directory.write_text("in the way")
        with pytest.raises(StoreFailed, match="exists"):
            await self.store.save(KEY, b"one", expires=LATER)
        with pytest.raises(StoreFailed):
            await self.store.lease(KEY)
        assert await self.store.load(KEY) is None

    async def test_a_full_disk_leaves_what_was_there(self) -> None:
        """When writing fails, the response saved before is still there, and the temporary file is not."""
        await self.store.save(KEY, b"old", expires=LATER)
        with full_disk(), pytest.raises(StoreFailed, match="large"):
            await self.store.save(KEY, b"newer", expires=LATER)
        assert await self.store.load(KEY) == b"old"
        assert [file.name for file in self.directory.iterdir()] == [hexed(KEY)]

    async def test_hostile_locks_are_no_lease(self) -> None:
        """A directory or a link in place of a lock file is an error that is said, and not a lease."""
        lock = self.path(suffix="lock")
        lock.mkdir()
        with pytest.raises(StoreFailed):
            await self.store.lease(KEY)
        lock.rmdir()
        lock.symlink_to(self.directory / "elsewhere")
        with pytest.raises(StoreFailed):
            await self.store.lease(KEY)
        assert not (self.directory / "elsewhere").exists()

    async def test_a_released_lease_leaves_no_file(self) -> None:
        """The lock file goes with the lease."""
        lease = await self.store.lease(KEY)
        assert lease is not None
        assert self.path(suffix="lock").exists()
        await lease.release()
        assert list(self.directory.iterdir()) == []

    async def test_a_release_never_fails(self) -> None:
        """A lease can be given back also where its file is gone."""
        lease = await self.store.lease(KEY)
        assert lease is not None
        self.path(suffix="lock").unlink()
        await lease.release()
        assert await self.store.lease(KEY) is not None

    async def test_the_lease_of_a_dead_process_can_be_had(self) -> None:
        """A process that dies holding a lease leaves its file, but not the lease."""
        lock = self.path(suffix="lock")
        with locked_by_another_process(lock):
            assert await self.store.lease(KEY) is None
        assert lock.exists()
        assert await self.store.lease(KEY) is not None

    async def test_the_sweep_touches_its_own_files_only(self) -> None:
        """What does not look like the store's own is left alone, however old."""
        await self.store.save(KEY, b"over", expires=NOW - 2 * KEPT_AFTER)
        names = ["notes.der", "README", hexed(KEY)[1:], f"{hexed(KEY)}.bak", f"{KEY.hex().upper()}.der"]
        for name in names:
            (self.directory / name).write_bytes(b"mine")
            os.utime(self.directory / name, (0, 0))
        (self.directory / hexed(OTHER)).mkdir()
        os.utime(self.directory / hexed(OTHER), (0, 0))
        assert await self.store.sweep(NOW) == 1
        assert sorted(file.name for file in self.directory.iterdir()) == sorted([*names, hexed(OTHER)])

    async def test_the_sweep_clears_up_after_the_dead(self) -> None:
        """Temporary files and locks that nobody holds go after a day; a lock that is held stays."""
        leftovers = [self.path(suffix="lock"), self.path().with_name(f".{KEY.hex()}.abc123.tmp")]
        for leftover in leftovers:
            leftover.touch()
        made = utc(leftovers[0].stat().st_ctime)
        lease = await self.peer.lease(OTHER)
        assert await self.store.sweep(made + timedelta(hours=23)) == 0
        assert all(leftover.exists() for leftover in leftovers)
        assert await self.store.sweep(made + timedelta(hours=25)) == 0
        assert not any(leftover.exists() for leftover in leftovers)
        assert lease is not None
        assert self.path(OTHER, "lock").exists()

    async def test_one_bad_file_does_not_stop_the_sweep(self) -> None:
        """A file that can't be removed is said at the end, and the others are gone by then."""
        for key in (KEY, OTHER):
            await self.store.save(key, b"over", expires=NOW - 2 * KEPT_AFTER)
        self.path(KEY, "lock").mkdir()
        with pytest.raises(StoreFailed):
            await self.store.sweep(NOW)
        assert self.path(KEY).exists()
        assert not self.path(OTHER).exists()

    async def test_close_waits_for_what_is_under_way(self) -> None:
        """`close` is over when the last write is."""
        self.threads.held = True
        save = Deferred.fromCoroutine(self.store.save(KEY, b"one", expires=LATER))
        close = Deferred.fromCoroutine(self.store.close())
        assert not close.called
        self.threads.run()
        await save
        await close
        assert self.path().read_bytes() == b"one"

    async def test_a_cancelled_save_is_still_waited_for(self) -> None:
        """Losing interest in a save does not make `close` forget the thread that writes."""
        self.threads.held = True
        save = Deferred.fromCoroutine(self.store.save(KEY, b"one", expires=LATER))
        save.addErrback(lambda _: None)
        save.cancel()
        close = Deferred.fromCoroutine(self.store.close())
        assert not close.called
        self.threads.run()
        await close

    def test_four_threads_at_most(self) -> None:
        """However many keys are wanted at once, the store takes no more than four threads."""
        self.threads.held = True
        keys = [bytes([n]) * 32 for n in range(100)]
        loads = [Deferred.fromCoroutine(self.store.load(key)) for key in keys]
        assert len(self.threads.waiting) == 4
        self.threads.run()
        assert [self.successResultOf(load) for load in loads] == [None] * 100


def test_of_many_threads_one_has_the_lock(tmp_path: Path) -> None:
    """However many take and give back a lock at once, with its file coming and going, one has it at a time."""
    path, inside, taken = tmp_path / "lock", [], []

    def contend() -> None:
        for _ in range(300):
            descriptor = lock(path)
            if descriptor is not None:
                inside.append(descriptor)
                taken.append(len(inside))
                inside.remove(descriptor)
                unlock(path, descriptor)

    threads = [threading.Thread(target=contend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(taken) == {1}
    assert not path.exists()


class RealThreadTests(TestCase):
    """The store on disk over the reactor's own threads."""

    timeout: ClassVar[int] = 30

    async def test_over_the_reactors_threads(self) -> None:
        """With a real reactor, too, a response comes back and a lease is exclusive."""
        from twisted.internet import reactor  # noqa: PLC0415 - importing it installs it

        store = DiskStore(scratch(self), reactor=reactor)
        await store.save(KEY, b"one", expires=LATER)
        assert await store.load(KEY) == b"one"
        lease = await store.lease(KEY)
        assert lease is not None
        assert await store.lease(KEY) is None
        await lease.release()
        await store.close()


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[None]:
    """A process holds the lock on a file, and is killed at the end."""
    program = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield
        finally:
            holder.kill()


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can be written beyond its first bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
