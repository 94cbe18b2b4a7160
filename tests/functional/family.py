"""The processes of a running program."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from functional.harness import wait_until


def children(pid: int) -> list[int]:
    """The children of a process that run, the oldest first."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(status.parent.name))
    return sorted(found)


def fork_servers(supervisor: int) -> list[int]:
    """The fork servers of a supervisor; one, but for a moment while there is a new one."""
    return [pid for pid in children(supervisor) if b"fork_server" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def workers(supervisor: int) -> list[int]:
    """The workers of a supervisor's fork servers. Those of one that has gone are not among them."""
    return [worker for server in fork_servers(supervisor) for worker in children(server)]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pid_in(file: Path) -> int:
    """What a pid file says; 0 while it says nothing."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


@contextmanager
def ended_at_last(pid_file: Path) -> Iterator[None]:
    """Stop whatever process has a pid file in the end."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            if last := pid_in(pid_file):
                os.kill(last, signal.SIGTERM)
                wait_until(lambda: not is_alive(last), "the end of the last one")
