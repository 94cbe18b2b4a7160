"""A file that lines are added to: written in large pieces, opened anew when it was rotated, never a reason to stop."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from staplesrv.errors import OperatorError

EVERY = 1.0
"""Seconds that a line waits at most."""

FULL = 256 * 1024
"""Bytes at which it is written at once."""

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
_MODE = 0o640

_log = Logger()


class LogFile(Service):
    """Adds lines to a file while it runs.

    A line that can't be written, as on a full disk, is counted and dropped: it is told once that lines are lost, and
    once how many there were.

    Args:
        path: The file; it is made where it is missing.
        clock: For writing a second later.
        system: Has `open`, `fstat`, `write` and `close`.

    Attributes:
        lost: Lines that could not be written, since the start.
    """

    def __init__(self, path: Path, clock: IReactorTime, system: Any = os) -> None:
        self.lost = 0
        self._path = path
        self._system = system
        self._lines: list[bytes] = []
        self._size = 0
        self._descriptor = -1
        self._torn = False
        self._lost_before = 0
        self._failing = False
        self._clock = clock
        self._waiting: IDelayedCall | None = None

    def open(self) -> None:
        """Open the file, unless it is open.

        Raises:
            OperatorError: it can't be.
        """
        if self._descriptor < 0:
            self._descriptor = self._opened()

    def startService(self) -> None:
        """Begin to write."""
        self.open()
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's has no annotations

    def stopService(self) -> None:
        """Write the rest and close the file."""
        super().stopService()  # type: ignore[no-untyped-call]  # as above
        self.flush()
        self.close()

    def close(self) -> None:
        """Close the file; what is buffered is lost."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._system.close(descriptor)

    def write(self, line: bytes) -> None:
        """Take a line; it is in the file a second later. Without an open file it is nowhere."""
        if self._descriptor < 0:
            return
        self._lines.append(line)
        self._size += len(line)
        if self._size >= FULL:
            self.flush()
        elif self._waiting is None:
            self._waiting = self._clock.callLater(EVERY, self._due)

    def reopen(self) -> None:
        """Go on in a new file of the same name: the old one was renamed. Where that can't be, the old one goes on."""
        if self._descriptor < 0:
            return
        self.flush()
        try:
            opened = self._opened()
        except OperatorError as error:
            _log.error("{problem}; the log goes on in the file that was open", problem=str(error))
            return
        self.close()
        self._descriptor = opened
        self._torn = False

    def flush(self) -> None:
        """Write what is buffered."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
        lines, self._lines, self._size = self._lines, [], 0
        if lines:
            self._put(lines)

    def _due(self) -> None:
        self._waiting = None
        self.flush()

    def _put(self, lines: list[bytes]) -> None:
        # After a line that is there in part alone the next one begins a line of its own.
        data = b"".join([b"\n", *lines] if self._torn else lines)
        try:
            written = self._system.write(self._descriptor, data)
            if written < len(data):
                # What is at fault shows when the rest is tried.
                self._torn = True
                written += self._system.write(self._descriptor, data[written:])
        except OSError as error:
            self._lose(len(lines), error.strerror or str(error))
            return
        self._torn = written < len(data)
        if self._torn:
            self._lose(1, "the disk takes no more")
        else:
            self._recover()

    def _opened(self) -> int:
        try:
            descriptor: int = self._system.open(self._path, _FLAGS, _MODE)
        except (OSError, ValueError) as error:
            problem = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise OperatorError(str(self._path), f"can't be written: {problem}", "let the server write it") from error
        if not stat.S_ISREG(self._system.fstat(descriptor).st_mode):
            # A pipe that nobody reads would hold up the server.
            self._system.close(descriptor)
            raise OperatorError(str(self._path), "is no regular file", "name a file")
        return descriptor

    def _lose(self, lines: int, problem: str) -> None:
        self.lost += lines
        if not self._failing:
            self._failing = True
            self._lost_before = self.lost - lines
            _log.error("{path} can't be written: {problem}; lines are lost", path=str(self._path), problem=problem)

    def _recover(self) -> None:
        if self._failing:
            self._failing = False
            lost = self.lost - self._lost_before
            _log.info("{path} can be written again; {lost} lines were lost", path=str(self._path), lost=lost)
