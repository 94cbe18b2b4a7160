"""Who may fetch now: so many at once in all, and so many per responder host; the others wait in order of rank."""

from __future__ import annotations

import heapq
from collections import Counter
from itertools import count
from typing import Generic, TypeAlias, TypeVar

AT_ONCE = 8
AT_ONCE_PER_HOST = 2

T = TypeVar("T")
Rank: TypeAlias = tuple[float, ...]
"""The lower, the earlier."""


class Slots(Generic[T]):
    """A waiting line per responder host.

    Args:
        at_once: How many fetches there may be.
        per_host: How many of them may be at one host.
    """

    def __init__(self, at_once: int = AT_ONCE, per_host: int = AT_ONCE_PER_HOST) -> None:
        self._free = at_once
        self._per_host = per_host
        self._busy: Counter[str] = Counter()
        self._lines: dict[str, list[tuple[Rank, int, T]]] = {}
        # The heads of the lines whose host is free. One that is out of date is passed over when it comes up.
        self._heads: list[tuple[Rank, int, str]] = []
        self._numbers = count()

    def put(self, host: str, rank: Rank, waiting: T) -> None:
        """Stand in line."""
        number = next(self._numbers)
        line = self._lines.setdefault(host, [])
        heapq.heappush(line, (rank, number, waiting))
        if line[0][1] == number:
            self._show_head(host)

    def take(self) -> tuple[str, T] | None:
        """Let the next one go, if there is room: `done` must be called with the host when it is back.

        Returns:
            The host and who waited; None where nobody may go now.
        """
        while self._free and self._heads:
            _, number, host = heapq.heappop(self._heads)
            line = self._lines.get(host)
            if not line or line[0][1] != number or self._busy[host] >= self._per_host:
                continue
            _, _, waiting = heapq.heappop(line)
            self._free -= 1
            self._busy[host] += 1
            self._show_head(host)
            return host, waiting
        return None

    def done(self, host: str) -> None:
        """One fetch at this host is over."""
        self._free += 1
        self._busy[host] -= 1
        if not self._busy[host]:
            del self._busy[host]
        self._show_head(host)

    @property
    def busy(self) -> int:
        """How many fetches there are now."""
        return self._busy.total()

    def clear(self) -> None:
        """Send everybody home who waits."""
        self._lines.clear()
        self._heads.clear()

    def _show_head(self, host: str) -> None:
        line = self._lines.get(host)
        if not line:
            self._lines.pop(host, None)
        elif self._busy[host] < self._per_host:
            heapq.heappush(self._heads, (line[0][0], line[0][1], host))
