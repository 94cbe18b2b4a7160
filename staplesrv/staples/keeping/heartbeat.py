"""Notices that the clock was set back, where the reactor can't: Twisted's timers run by that very clock.

Set back by a day, no timer of the reactor fires for a day. A thread that sleeps by the monotonic clock does wake up,
looks at the clock, and calls into the reactor when it reads less than before.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

from twisted.internet.interfaces import IReactorFromThreads

from staplesrv.sources import WallClock

BEAT = 5.0
"""Seconds between two looks."""


class Heartbeat:
    """A thread that watches the clock.

    Args:
        reactor: Called into; one without threads, such as `task.Clock`, is not watched.
        wall_clock: The clock.
        set_back: Called in the reactor's thread after the clock was set back.
        beat: See `BEAT`.
    """

    def __init__(
        self, reactor: object, wall_clock: WallClock, set_back: Callable[[], None], *, beat: float = BEAT
    ) -> None:
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._set_back = set_back
        self._beat = beat
        self._stopped = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to watch."""
        if IReactorFromThreads.providedBy(self._reactor):
            self._stopped.clear()
            self._thread = Thread(target=self._run, args=(self._reactor,), name="staplesrv clock", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop watching, and wait for the thread: it ends at once."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, reactor: IReactorFromThreads) -> None:
        before = self._wall_clock()
        while not self._stopped.wait(self._beat):
            now = self._wall_clock()
            if now < before:
                reactor.callFromThread(self._beat_in_reactor)
            before = now

    def _beat_in_reactor(self) -> None:
        if not self._stopped.is_set():
            self._set_back()
