"""Whether a backend is worth asking, by what became of the requests before: passive, nothing is sent to find out."""

from __future__ import annotations

OUT_SECONDS = 10.0
LONGEST_OUT_SECONDS = 60.0
BROKEN_IN_A_ROW = 3
"""A single broken answer may be one request's fault. Connecting is nobody's but the backend's."""


class Health:
    """How a backend did so far. One that fails is left alone for a while, twice as long each time in a row."""

    __slots__ = ("_broken", "_next", "out_until")

    def __init__(self) -> None:
        self._broken = 0
        self._next = OUT_SECONDS
        self.out_until = 0.0

    def well(self, now: float) -> bool:
        """Tell whether it may be asked.

        Args:
            now: The reactor's seconds.
        """
        return now >= self.out_until

    def answered(self) -> bool:
        """Take note of an answer; tell whether it had been out."""
        was_out = self.out_until > 0
        if was_out or self._broken:
            self._broken = 0
            self._next = OUT_SECONDS
            self.out_until = 0.0
        return was_out

    def broke(self, now: float) -> bool:
        """Take note of a request without a whole answer; tell whether it is out by that."""
        self._broken += 1
        return self._broken >= BROKEN_IN_A_ROW and self.unreachable(now)

    def unreachable(self, now: float) -> bool:
        """Take note that there was no connection to be had; tell whether it is out by that, and was not before."""
        if not self.well(now):
            return False
        first = not self.out_until
        self.out_until = now + self._next
        self._next = min(2 * self._next, LONGEST_OUT_SECONDS)
        return first
