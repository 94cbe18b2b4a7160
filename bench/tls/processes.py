"""What a server's processes used, as the operating system counts it. For Linux."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process tree, all threads alive.

    From `schedstat`, in nanoseconds: utime and stime of `stat` add up to the same, in clock ticks of 10 ms.
    """
    return (
        sum(
            int((task / "schedstat").read_text().split()[0])
            for process in tree(pid)
            for task in Path(f"/proc/{process}/task").iterdir()
        )
        / 1e9
    )


def private_kib(pid: int) -> int:
    """Return the memory that a process tree shares with nobody."""
    return sum(
        int(line.split()[1])
        for process in tree(pid)
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        if line.startswith("Private_")
    )
