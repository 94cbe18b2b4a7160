"""A file that lines are added to."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from staplesrv.errors import OperatorError
from staplesrv.server.log_file import FULL, LogFile


class FullDisk:
    """A disk that has so much room; all else is the system's."""

    def __init__(self) -> None:
        self.room = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, descriptor: int, data: bytes) -> int:
        """Write what there is room for."""
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.write(descriptor, data[: self.room])
        self.room -= written
        return written


@pytest.fixture
def clock() -> Clock:
    """Time."""
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the log is."""
    return tmp_path / "access.log"


@pytest.fixture
def log(path: Path, clock: Clock) -> Iterator[LogFile]:
    """A log that runs."""
    log = LogFile(path, clock)
    log.startService()
    yield log
    if log.running:
        log.stopService()


def test_lines_are_in_the_file_a_second_later(log: LogFile, path: Path, clock: Clock) -> None:
    """All of them by one write."""
    log.write(b"a\n")
    log.write(b"b\n")
    assert path.read_bytes() == b""
    clock.advance(1)
    assert path.read_bytes() == b"a\nb\n"


def test_many_lines_do_not_wait(log: LogFile, path: Path) -> None:
    """What is buffered is bounded."""
    line = b"x" * (FULL // 4 - 1) + b"\n"
    for _ in range(5):
        log.write(line)
    assert path.read_bytes() == line * 4


def test_the_rest_is_written_at_the_end(log: LogFile, path: Path, clock: Clock) -> None:
    """And nothing stays behind in the reactor; what comes later is nobody's."""
    log.write(b"a\n")
    log.stopService()
    assert path.read_bytes() == b"a\n"
    assert clock.getDelayedCalls() == []
    log.write(b"b\n")
    log.flush()
    log.reopen()
    assert path.read_bytes() == b"a\n"


def test_what_is_there_stays(path: Path, clock: Clock) -> None:
    """A restart goes on where the last one ended."""
    path.write_bytes(b"before\n")
    log = LogFile(path, clock)
    log.startService()
    log.write(b"a\n")
    log.stopService()
    assert path.read_bytes() == b"before\na\n"


def test_others_can_not_read_a_new_file(log: LogFile, path: Path) -> None:
    """Addresses of people are in it."""
    assert path.stat().st_mode & 0o007 == 0


def test_a_rotated_file_is_followed_by_a_new_one(log: LogFile, path: Path, tmp_path: Path) -> None:
    """Lines from before go to the old one."""
    log.write(b"old\n")
    path.rename(tmp_path / "access.log.1")
    log.reopen()
    log.write(b"new\n")
    log.flush()
    assert (tmp_path / "access.log.1").read_bytes() == b"old\n"
    assert path.read_bytes() == b"new\n"


def test_where_no_new_file_can_be_had_the_old_one_goes_on(
    log: LogFile, path: Path, tmp_path: Path, lines: list[str]
) -> None:
    """It is told in one line."""
    path.rename(tmp_path / "access.log.1")
    path.mkdir()
    log.reopen()
    log.write(b"a\n")
    log.flush()
    assert (tmp_path / "access.log.1").read_bytes() == b"a\n"
    (said,) = lines
    assert said.startswith(f"{path}: can't be written: Is a directory")
    assert said.endswith("the log goes on in the file that was open")


@pytest.mark.parametrize("kind", ["missing folder", "folder", "pipe", "nul"])
def test_a_file_that_can_t_be_written_is_told_at_the_start(kind: str, tmp_path: Path, clock: Clock) -> None:
    """A pipe would hold up the server."""
    path = tmp_path / "x"
    if kind == "missing folder":
        path /= "y"
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    else:
        path = Path(f"{path}\0")
    with pytest.raises(OperatorError):
        LogFile(path, clock).open()
    if kind == "pipe":
        os.close(reading)


def test_a_full_disk_is_told_once_and_its_end_too(path: Path, clock: Clock, lines: list[str]) -> None:
    """Lines are counted; the one that was cut in two does not spoil the next."""
    disk = FullDisk()
    log = LogFile(path, clock, disk)
    log.startService()
    disk.room = 6
    log.write(b"one\n")
    log.write(b"two\n")
    clock.advance(1)
    log.write(b"three\n")
    clock.advance(1)
    assert log.lost == 3
    assert lines == [f"{path} can't be written: No space left on device; lines are lost"]
    disk.room = 1000
    log.write(b"four\n")
    clock.advance(1)
    assert path.read_bytes() == b"one\ntw\nfour\n"
    assert lines[1:] == [f"{path} can be written again; 3 lines were lost"]
    log.stopService()


def test_a_disk_that_takes_a_part_each_time_tears_one_line(path: Path, clock: Clock) -> None:
    """What is left after the second try is given up."""

    class Slow(FullDisk):
        def write(self, descriptor: int, data: bytes) -> int:
            return os.write(descriptor, data[:2])

    log = LogFile(path, clock, Slow())
    log.startService()
    log.write(b"abcdefg\n")
    log.stopService()
    assert path.read_bytes() == b"abcd"
    assert log.lost == 1
