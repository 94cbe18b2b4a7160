"""What a crew's workers have told of themselves, put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from staplesrv.ops.status import State, Traffic, Worker
from staplesrv.server.processes import reports
from staplesrv.server.processes.hand import Hand
from staplesrv.sources import utc
from staplesrv.tls.connections import Closed

_ENDINGS = frozenset(map(str, Closed))


class Census:
    """Counts what workers did, those that have ended too.

    Attributes:
        refused: By the key of a site, how many requests were too much for it.
    """

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self._accepted = 0
        self._requests = 0
        self._closed: Counter[str] = Counter()

    def lost(self, beat: reports.Beat) -> None:
        """Keep what a worker had told that has ended."""
        self._accepted += beat.accepted
        self._requests += beat.requests
        self._closed.update(_endings(beat))

    def traffic(self, hands: Iterable[Hand]) -> Traffic:
        """Add up what there was and what there is.

        Args:
            hands: The workers that there are.
        """
        beats = [hand.beat for hand in hands]
        closed = self._closed.copy()
        for beat in beats:
            closed.update(_endings(beat))
        return Traffic(
            open=sum(beat.open for beat in beats),
            accepted=self._accepted + sum(beat.accepted for beat in beats),
            requests=self._requests + sum(beat.requests for beat in beats),
            closed=closed,
            refused=self.refused.copy(),
        )


def worker(hand: Hand, silence: float, now: float) -> Worker:
    """Describe one.

    Args:
        hand: The worker.
        silence: Seconds since its last sign of life.
        now: Seconds since the epoch.
    """
    state = State.SERVING if hand.serving else State.STARTING
    if hand.draining:
        state = State.STOPPING
    return Worker(hand.seat, hand.pid, state, utc(now - silence), hand.beat.open)


def _endings(beat: reports.Beat) -> dict[str, int]:
    """Why connections ended: reasons that there can be."""
    return {why: count for why, count in beat.closed.items() if why in _ENDINGS}
