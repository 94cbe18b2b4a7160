"""The beat of the refresher: half-second ticks that never end, whatever a tick or the clock does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from staplesrv.sources import WallClock
from staplesrv.staples.keeping.heartbeat import Heartbeat

TICK = 0.5
"""Seconds."""

STALLED_AFTER = 60.0
"""Seconds without a tick after which something is wrong with the reactor, or with us."""

SET_BACK = 1.0
"""Seconds that the wall clock may lose against the reactor's before it counts as set back."""

AtTime: TypeAlias = Callable[[float], None]
"""Called with the wall clock, seconds since the epoch."""

_log = Logger()


class Ticker:
    """Calls `tick` again and again, and `set_back` before it where the clock was set back.

    Args:
        reactor: For the beat.
        wall_clock: The time. It may step; the reactor's may, too, as Twisted's is the same by default.
        tick: What to do. What it raises is logged, and the next tick comes all the same.
        set_back: What to do first after the clock was set back.
    """

    def __init__(self, reactor: IReactorTime, wall_clock: WallClock, *, tick: AtTime, set_back: AtTime) -> None:
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._tick = tick
        self._set_back = set_back
        self._heartbeat = Heartbeat(reactor, wall_clock, self._begin_anew)
        self._loop: LoopingCall | None = None
        self._last_wall = wall_clock()
        self.last_tick = reactor.seconds()
        """When there was a tick last, by the reactor's clock."""

    def start(self) -> None:
        """Tick now, and from now on."""
        self._last_wall, self.last_tick = self._wall_clock(), self._reactor.seconds()
        self._loop = LoopingCall(self._guarded)
        self._loop.clock = self._reactor
        self._loop.start(TICK).addErrback(lambda failure: _log.failure("The ticks ended", failure=failure))
        self._heartbeat.start()

    def stop(self) -> None:
        """Tick no more."""
        self._heartbeat.stop()
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        self._loop = None

    @property
    def stalled(self) -> bool:
        """Whether ticks should come, and there was none for `STALLED_AFTER`."""
        return self._loop is not None and self._reactor.seconds() - self.last_tick > STALLED_AFTER

    def _begin_anew(self) -> None:
        # The next tick is due in a time that lies far ahead.
        if self._loop is not None and self._loop.running:
            self._loop.reset()
            self._guarded()

    def _guarded(self) -> None:
        # A LoopingCall whose function raises never calls it again.
        try:
            now, seconds = self._wall_clock(), self._reactor.seconds()
            went, should = now - self._last_wall, seconds - self.last_tick
            self._last_wall, self.last_tick = now, seconds
            if went < 0 or went < should - SET_BACK:
                self._set_back(now)
            self._tick(now)
        except Exception:  # noqa: BLE001 - whatever it was, there must be a next time
            _log.failure("A tick of the refresher failed")
