"""SIGTERM and SIGINT."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from staplesrv.server.stop_signals import StopSignals


class Turns:
    """A reactor that runs, and whose turns the test takes."""

    running = True

    def __init__(self) -> None:
        self._stopped = False
        self.waiting: list[Callable[[], object]] = []

    def callWhenRunning(self, call: Callable[[], object]) -> None:
        """Call it."""
        call()

    def callFromThread(self, call: Callable[[], object]) -> None:
        """Keep it for the next turn."""
        self.waiting.append(call)


@pytest.fixture
def had() -> Iterator[list[int]]:
    """What the handlers of before were told; Python's own are put back at the end."""
    told: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda number, _: told.append(number))
    yield told
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    """Send it to this process."""
    os.kill(os.getpid(), number)


def hurry() -> None:
    """Stand for what is called."""


@pytest.fixture
def turns() -> Turns:
    """A reactor."""
    return Turns()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_one_goes_to_the_reactor(had: list[int], turns: Turns, number: signal.Signals) -> None:
    """And each later one, whichever it is, hurries, in a turn of the reactor."""
    signals = StopSignals(turns, hurry)
    signals.startService()
    send(number)
    assert (had, turns.waiting) == ([number], [])
    send(signal.SIGTERM)
    send(signal.SIGINT)
    assert (had, turns.waiting) == ([number], [hurry, hurry])
    signals.stopService()


def test_a_server_that_stops_by_itself(had: list[int], turns: Turns) -> None:
    """Then the first one hurries, too."""
    signals = StopSignals(turns, hurry)
    signals.startService()
    signals.stopping()
    send(signal.SIGTERM)
    assert (had, turns.waiting) == ([], [hurry])
    signals.stopService()


def test_the_signals_are_given_back(had: list[int], turns: Turns) -> None:
    """To whoever had them before."""
    before = signal.getsignal(signal.SIGTERM)
    signals = StopSignals(turns, hurry)
    signals.startService()
    assert signal.getsignal(signal.SIGTERM) is not before
    signals.stopService()
    assert signal.getsignal(signal.SIGTERM) is before
    send(signal.SIGTERM)
    assert had == [signal.SIGTERM]


def test_a_reactor_that_stops_gets_no_other_one(had: list[int], turns: Turns) -> None:
    """It would raise for it."""
    signals = StopSignals(turns, hurry)
    signals.startService()
    send(signal.SIGTERM)
    turns._stopped = True
    signals.stopService()
    send(signal.SIGTERM)
    assert (had, turns.waiting) == ([signal.SIGTERM], [hurry])


def test_what_ends_the_process_goes_on_to_do_so(had: list[int], turns: Turns) -> None:
    """Where no reactor stops for a signal it is left alone."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signals = StopSignals(turns, hurry)
    signals.startService()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    signals.stopService()


def test_in_another_thread_there_are_no_signals(had: list[int], turns: Turns) -> None:
    """Python would raise; there this does nothing."""
    before = signal.getsignal(signal.SIGTERM)
    signals = StopSignals(turns, hurry)
    thread = threading.Thread(target=signals.startService)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before


def test_stopped_before_the_reactor_ran(had: list[int], turns: Turns) -> None:
    """Nothing is changed then."""
    later: list[Any] = []
    turns.callWhenRunning = later.append  # type: ignore[method-assign]
    before = signal.getsignal(signal.SIGTERM)
    signals = StopSignals(turns, hurry)
    signals.startService()
    signals.stopService()
    for call in later:
        call()
    assert signal.getsignal(signal.SIGTERM) is before
