"""The beat of the refresher, where the reactor's own clock steps, too."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from twisted.internet import reactor as any_reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from staplesrv.staples.keeping.heartbeat import Heartbeat
from staplesrv.staples.keeping.ticker import TICK, Ticker

reactor: Any = any_reactor


@implementer(IReactorFromThreads)
class SteppingReactor(Clock):
    """A reactor as Twisted's: its timers run by the wall clock, and stand still when that is set back."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def set_clock(self, now: float) -> None:
        """Step; nothing is called."""
        self.rightNow = now

    def callFromThread(self, *call: Any) -> None:
        """Note a call from a thread."""
        self.calls.append(call)


class Beats:
    """A ticker on a stepping reactor, and what it did."""

    def __init__(self) -> None:
        self.reactor = SteppingReactor()
        self.reactor.set_clock(1000.0)
        self.log: list[tuple[str, float]] = []
        self.ticker = Ticker(
            self.reactor,
            self.reactor.seconds,
            tick=lambda now: self.log.append(("tick", now)),
            set_back=lambda now: self.log.append(("set back", now)),
        )


@pytest.fixture
def beats() -> Any:
    """A ticker that runs, stopped in the end."""
    beats = Beats()
    beats.ticker.start()
    yield beats
    beats.ticker.stop()
    assert beats.reactor.getDelayedCalls() == []
    assert "staplesrv clock" not in [thread.name for thread in threading.enumerate()]


def test_it_ticks_at_once_and_then_twice_a_second(beats: Beats) -> None:
    """The first tick is that of the start, and half a second later comes the next one."""
    beats.reactor.pump([TICK] * 3)
    assert beats.log == [("tick", 1000.0), ("tick", 1000.5), ("tick", 1001.0), ("tick", 1001.5)]


def test_a_reactor_whose_clock_is_set_back_ticks_no_more(beats: Beats) -> None:
    """This is why there is a heartbeat: with the clock set back by a day, no timer fires for that day."""
    beats.reactor.set_clock(1000.0 - 86400)
    beats.reactor.pump([60.0] * 60)
    assert beats.log == [("tick", 1000.0)]
    assert not beats.ticker.stalled


def test_the_heartbeat_begins_anew(beats: Beats) -> None:
    """When the heartbeat calls, the step is seen, there is a tick at once, and then twice a second."""
    beats.reactor.set_clock(500.0)
    beats.ticker._begin_anew()
    assert beats.log[1:] == [("set back", 500.0), ("tick", 500.0)]
    beats.reactor.pump([TICK] * 2)
    assert beats.log[3:] == [("tick", 500.5), ("tick", 501.0)]


def test_nothing_begins_anew_after_the_end() -> None:
    """A heartbeat that was on its way when the ticker stopped does nothing."""
    beats = Beats()
    beats.ticker.start()
    beats.ticker.stop()
    beats.ticker._begin_anew()
    assert beats.log == [("tick", 1000.0)]


class HeartbeatTests(TestCase):
    """The heartbeat over real threads."""

    timeout = 30

    async def test_a_step_back_is_called_into_the_reactor(self) -> None:
        """When the clock reads less than before, the reactor is told, in its own thread; else it is left alone."""
        times = iter([10.0, 11.0, 12.0, 5.0])
        told: Deferred[str] = Deferred()
        done = threading.Event()

        def clock() -> float:
            now = next(times, None)
            if now is None:
                done.wait()
                return 6.0
            return now

        heartbeat = Heartbeat(reactor, clock, lambda: told.callback(threading.current_thread().name), beat=0.001)
        heartbeat.start()
        try:
            assert await told == threading.main_thread().name
        finally:
            done.set()
            heartbeat.stop()

    def test_no_thread_without_threads(self) -> None:
        """A reactor without threads, such as a test's clock, has no heartbeat."""
        heartbeat = Heartbeat(Clock(), lambda: 0.0, lambda: None)
        heartbeat.start()
        assert "staplesrv clock" not in [thread.name for thread in threading.enumerate()]
        heartbeat.stop()
