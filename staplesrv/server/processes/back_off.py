"""How long to wait before a process that ended is started again."""

from __future__ import annotations

BACK_OFF = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds until it is: the first time, the second, ...; the last one for all later ones."""

STEADY = 60.0
"""Seconds after which a process's end has nothing to do with its beginning."""


class BackOff:
    """Counts the ends of one process and its successors."""

    def __init__(self) -> None:
        self._ends = 0

    def wait(self, lasted: float) -> float:
        """Return the seconds to wait.

        Args:
            lasted: Seconds from the beginning of the one that ended now.
        """
        if lasted >= STEADY:
            self._ends = 0
        wait = BACK_OFF[min(self._ends, len(BACK_OFF) - 1)]
        self._ends += 1
        return wait
