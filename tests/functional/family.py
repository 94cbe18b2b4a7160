"""The processes of a running program."""

from __future__ import annotations

from pathlib import Path


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
