"""Timers that no step of the wall clock can stall."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from staplesrv import sources

_log = Logger()


def use_steady_time(reactor: Any) -> None:
    """Have a reactor time its calls by a clock that never steps.

    Twisted's reactors go by `time.time`: when the wall clock is set back by an hour, each pending `callLater` waits for
    an hour longer - the refresher's tick, time-outs and all. By the monotonic clock they come when they are due. Who
    wants the time of day asks `sources.wall_clock`, as everything here does.

    Args:
        reactor: One that has nothing scheduled yet: what is, counts from the other clock, and is better left there.
    """
    if reactor.getDelayedCalls():
        _log.warn("Something is scheduled already, so timers go by the wall clock, and stall if it is set back")
        return
    reactor.seconds = sources.monotonic
