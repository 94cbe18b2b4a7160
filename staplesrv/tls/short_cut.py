"""Turns of Twisted's epoll reactor that serve our sockets first hand, among all the others of its epoll."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.python import log

EVENTS_PER_TURN = 64
"""After so many it is the turn of whatever else the reactor has to do: handshakes take some 20 ms then."""

Event = tuple[int, int]
"""A descriptor's number, and what epoll_wait(2) tells of it."""

Serve = Callable[[list[Event]], Sequence[Event]]
"""Serves those events that it knows of, and returns the others."""

_NEEDED = (
    "_poller",
    "_selectables",
    "_doReadOrWrite",
    "_newTimedCalls",
    "_pendingTimedCalls",
    "_justStopped",
    "_started",
    "threadCallQueue",
)
"""What is used of the reactor. Not all of it is public: another version of Twisted may name it differently."""


def take_short_cut(reactor: Any, serve: Serve) -> Any:
    """Have a reactor hand the events of its epoll to `serve` first, and do all else as ever.

    The reactor hands each event on by way of a logging context, which is some 15 calls, and looks through its timers
    twice before it waits again, which is another ten. Where all that happened was `serve`'s, and nothing is due, a turn
    waits again by itself: with few clients that saves most of what a turn takes. It takes the place of the reactor's
    `doIteration` until `leave_short_cut`; nobody else's reactor, and no subclass, is touched.

    Args:
        reactor: The reactor.
        serve: Called with what happened; what it raises the reactor's main loop logs.

    Returns:
        The epoll, for whoever serves to put its sockets in; None where the reactor is not one that this is known of.
    """
    if type(reactor) is not EPollReactor or not all(hasattr(reactor, name) for name in _NEEDED):
        return None
    reactor.doIteration = partial(_iterate, reactor, serve)  # type: ignore[method-assign]
    return reactor._poller  # noqa: SLF001 - as in all of this file


def leave_short_cut(reactor: Any) -> None:
    """Have the reactor do everything as ever."""
    vars(reactor).pop("doIteration", None)


def _iterate(reactor: Any, serve: Serve, timeout: float | None) -> None:
    """Do what `EPollReactor.doPoll` does, whose private parts these are, until the main loop has something to do."""
    selectables, wait, seconds = reactor._selectables, reactor._poller.poll, reactor.seconds  # noqa: SLF001
    until = math.inf if timeout is None else seconds() + timeout
    while True:
        events = wait(-1 if timeout is None else timeout, EVENTS_PER_TURN)
        others = serve(events)
        for number, event in others:
            if number in selectables:
                selectable = selectables[number]
                log.callWithLogger(selectable, reactor._doReadOrWrite, selectable, number, event)  # type: ignore[no-untyped-call]  # noqa: SLF001
        if others or not events or not reactor._started or reactor._justStopped:  # noqa: SLF001
            return
        # New timers are not among the pending ones yet, and may be due before these.
        if reactor._newTimedCalls or reactor.threadCallQueue:  # noqa: SLF001
            return
        if timeout is not None:
            pending = reactor._pendingTimedCalls  # noqa: SLF001
            if pending and pending[0].time < until:
                until = pending[0].time  # somebody has moved it nearer
            timeout = until - seconds()
            if timeout <= 0:
                return
