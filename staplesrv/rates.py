"""How often each client may do something: token buckets in one table of a fixed size, which processes can share.

Theory of operation: a bucket is one number, the time at which it will be full again (GCRA, as for ATM cells: ITU-T
I.371). What is allowed moves it on by the time that one token takes; what would move it too far ahead is not allowed.
So a bucket that nobody uses needs no care: its time is in the past, and it is as good as none.

The table is an array of slots in memory that forked processes share, in sets of `WAYS`; a client's hash picks the set.
A client that has none gets the slot of its set that is full again first. Under an attack from more addresses than there
are slots this is somebody who has hardly used it, and who then has a full bucket again: nobody is held to what others
do, and those who are over their rate keep the slots that say so. Hashes are salted by Python, once for processes that
were forked from one. Processes take no lock: where two of them are at one bucket at once a token may count for two.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from mmap import mmap

from staplesrv.errors import OperatorError

SLOTS = 65_536
"""A power of two. 16 bytes each: 1 MiB, which the system provides as it is used."""

WAYS = 4
"""How many slots a client may be in; a power of two."""

SLOWEST, FASTEST = 0.001, 1_000_000.0
LARGEST_BURST = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So much a second in the long run, and so much at once.

    Args:
        a_second: How much.
        burst: How much at once, after a while without any; at least 1.

    Attributes:
        interval: Seconds that one of them takes.
        ahead: Seconds by which the bucket's time may be ahead for another one to be allowed.
    """

    a_second: float
    burst: int
    interval: float = field(init=False, compare=False)
    ahead: float = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "interval", 1 / self.a_second)
        object.__setattr__(self, "ahead", (self.burst - 1) / self.a_second)

    @classmethod
    def of(cls, a_second: float, burst: int, *, where: str, kind: str) -> Rate | None:
        """Make one of what an operator says.

        Args:
            a_second: How much; 0 for no limit.
            burst: How much at once; 0 for what a second allows.
            where: For errors.
            kind: What the keys begin with: KIND_rate and KIND_burst.

        Returns:
            None where there is no limit.

        Raises:
            OperatorError: they can't be used.
        """
        if not (a_second == 0 or SLOWEST <= a_second <= FASTEST):
            advice = f"use from {SLOWEST} to {FASTEST:.0f} a second, or 0 for no limit"
            raise OperatorError(where, "is out of range", advice, key=f"{kind}_rate")
        if not 0 <= burst <= LARGEST_BURST:
            advice = f"use from 1 to {LARGEST_BURST}, or 0 for what a second allows"
            raise OperatorError(where, "is out of range", advice, key=f"{kind}_burst")
        if not a_second:
            if burst:
                raise OperatorError(where, f"says nothing without {kind}_rate", "give both", key=f"{kind}_burst")
            return None
        return cls(a_second, burst or math.ceil(a_second))


class Rates:
    """The buckets of all clients, for all that is limited.

    Processes that are forked after it was made share it.

    Args:
        seconds: A clock that never steps, the same in all of these processes.
        slots: How many buckets there are at most; a power of two.
    """

    __slots__ = ("_mask", "_seconds", "_tags", "_times")

    def __init__(self, seconds: Callable[[], float], slots: int = SLOTS) -> None:
        memory = memoryview(mmap(-1, slots * 16))
        self._tags = memory[: slots * 8].cast("q")
        self._times = memory[slots * 8 :].cast("d")
        self._mask = slots - WAYS
        self._seconds = seconds

    def take(self, key: str, rate: Rate) -> float:
        """Take a token, if there is one: 0.25 us for a bucket that is there, 2.3 for another one (timeit).

        Args:
            key: Who does what. A string knows its hash from the second time on.
            rate: How often that may be.

        Returns:
            0 where it is allowed; else the seconds until it will be.
        """
        tag = hash(key)
        slot = tag & self._mask
        if self._tags[slot] != tag:
            slot = self._slot(slot, tag)
        now = self._seconds()
        full = self._times[slot]
        if full <= now:
            self._times[slot] = now + rate.interval
        elif full - now <= rate.ahead:
            self._times[slot] = full + rate.interval
        else:
            return self._wait(slot, full - now - rate.ahead, now, rate)
        return 0.0

    def _slot(self, first: int, tag: int) -> int:
        """Find somebody's slot in a set, or the one to have from now on, with a bucket that is full."""
        slots = slice(first, first + WAYS)
        tags = self._tags[slots].tolist()
        if tag in tags:
            return first + tags.index(tag)
        times = self._times[slots].tolist()
        slot = first + times.index(min(times))
        self._tags[slot] = tag
        self._times[slot] = 0.0
        return slot

    def _wait(self, slot: int, wait: float, now: float, rate: Rate) -> float:
        """Tell how long a token takes. One that takes longer than it can is of an earlier, slower rate."""
        if wait > rate.interval:
            wait = rate.interval
            self._times[slot] = now + rate.ahead + wait
        return wait
