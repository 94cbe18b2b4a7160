"""What is wrong with one certificate since its last good answer: how often, and whether to say it again."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import LogLevel

from staplesrv.ocsp.schedule import Backoff

FIRST_REMINDER = 3600.0
"""Seconds from the first line to the next; from there on it doubles."""


class Trouble:
    """A row of failures. It ends with a good answer, and the next one starts anew.

    Attributes:
        last: What happened last, one printable line.
        spoken: Whether the operator has heard of it, so that its end is worth a line, too.
    """

    __slots__ = ("_counts", "_next", "_reminder", "_said", "last", "spoken")

    def __init__(self) -> None:
        self.last = ""
        self.spoken = False
        self._counts: dict[Backoff, int] = {}
        self._said: frozenset[str] = frozenset()
        self._next = 0.0
        self._reminder = FIRST_REMINDER

    def count(self, backoff: Backoff) -> int:
        """Count one failure, and say how many of its kind there are."""
        times = self._counts.get(backoff, 0) + 1
        self._counts[backoff] = times
        return times

    def times(self, backoffs: Iterable[Backoff] = Backoff) -> int:
        """How many failures there are of some kinds, of all by default."""
        return sum(self._counts.get(backoff, 0) for backoff in backoffs)

    def forgive(self, kept: Backoff) -> None:
        """A verified answer came, if not a good one: the counters of other kinds fall back."""
        self._counts = {kept: self._counts[kept]} if kept in self._counts else {}

    def speaks(self, kind: str, level: LogLevel, now: float) -> bool:
        """Whether this failure is worth a line: the first of its kind, then after 1, 2, 4 ... hours.

        Args:
            kind: What went wrong, one word.
            level: `debug` is quiet: always written, as nobody reads it, and no reason to speak of an end.
            now: The wall clock, seconds since the epoch.
        """
        if level is LogLevel.debug:
            return True
        if kind in self._said and now < self._next:
            return False
        if not self.spoken:
            self._next = now + self._reminder
        elif now >= self._next:
            self._reminder *= 2
            self._next = now + self._reminder
        self.spoken = True
        self._said |= {kind}
        return True
