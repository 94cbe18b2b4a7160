"""What a server's processes use, as the operating system counts it. For Linux."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Core:
    """The core that servers are held to. It knows who else was on it while they were measured."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._watched = self._others = 0.0

    def spent(self, pid: int, work: Callable[[], object]) -> float:
        """Do some work, and return the CPU seconds that a process tree spends on it."""
        start, busy, own = time.monotonic(), self._busy(), cpu_seconds(pid)
        work()
        own = cpu_seconds(pid) - own
        self._others += self._busy() - busy - own
        self._watched += time.monotonic() - start
        return own

    @property
    def others(self) -> float:
        """The share of this core that others had meanwhile, the host of a virtual machine among them."""
        return self._others / self._watched if self._watched else 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Run here, with all that is started."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self.number})
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)

    def _busy(self) -> float:
        for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
            name, *ticks = line.split()
            if name == f"cpu{self.number}":
                user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, ticks[:8])
                return (user + nice + system + irq + softirq + steal) / TICKS
        raise LookupError(self.number)


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
