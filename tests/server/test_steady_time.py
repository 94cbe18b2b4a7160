"""Timers and look-ups that hold nobody up."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import IHostResolution, IResolutionReceiver
from twisted.internet.selectreactor import SelectReactor
from twisted.logger import LogEvent, globalLogPublisher
from zope.interface import implementer

from staplesrv import sources
from staplesrv.server.name_lookups import AT_ONCE, keep_lookups_apart
from staplesrv.server.steady_time import use_steady_time


def quiet_reactor() -> SelectReactor:
    """A reactor that nobody runs."""
    return SelectReactor()


def close(reactor: Any) -> None:
    """Give back what a reactor that never ran holds."""
    reactor._uninstallHandler() if hasattr(reactor, "_uninstallHandler") else None
    for reader in reactor.removeAll():
        reader.connectionLost(None)


def test_timers_go_by_a_clock_that_never_steps() -> None:
    """What is scheduled afterwards is due when the monotonic clock says so."""
    reactor = quiet_reactor()
    try:
        use_steady_time(reactor)
        before = sources.monotonic()
        call = reactor.callLater(10, print)
        assert before + 10 <= call.getTime() <= sources.monotonic() + 10
        timeout = reactor.timeout()
        assert timeout is not None
        assert 9 < timeout <= 10
        call.reset(20)
        assert call.getTime() > before + 19
    finally:
        close(reactor)


def test_what_is_scheduled_already_keeps_its_clock() -> None:
    """Its time counts from the other one; under the new clock it would never come."""
    reactor = quiet_reactor()
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        reactor.callLater(10, print)
        use_steady_time(reactor)
        assert reactor.seconds is not sources.monotonic
        assert [event["log_level"].name for event in events] == ["warn"]
    finally:
        globalLogPublisher.removeObserver(events.append)
        close(reactor)


@implementer(IResolutionReceiver)
class Receiver:
    """Waits for the end of a look-up."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """It began."""

    def addressResolved(self, address: object) -> None:
        """There is an address."""

    def resolutionComplete(self) -> None:
        """It is over."""
        self.done.set()


class Threaded(ReactorBase):
    """Just what look-ups use of a reactor."""


def test_look_ups_have_threads_that_nobody_waits_for() -> None:
    """Daemons, of a pool of their own, which starts with the first look-up: twistd forks before."""
    reactor = quiet_reactor()
    try:
        keep_lookups_apart(reactor)
        before = set(threading.enumerate())
        assert not [thread for thread in before if thread.name.startswith("names")]
        reactor.nameResolver.resolveHostName(Receiver(), "localhost")
        made = set(threading.enumerate()) - before
        assert made
        assert all(thread.daemon for thread in made)
        assert 0 < len(made) <= AT_ONCE
    finally:
        close(reactor)


def test_a_reactor_without_names_is_left_alone() -> None:
    """There is nothing to set."""
    keep_lookups_apart(object())
