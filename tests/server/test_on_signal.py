"""Signals that ask for something."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from staplesrv.server.on_signal import OnSignal


class Turns:
    """A reactor's way to be called from elsewhere; the test takes its turns."""

    running = True

    def __init__(self) -> None:
        self._stopped = False
        self.waiting: list[Callable[[], object]] = []

    def callFromThread(self, call: Callable[[], object]) -> None:
        """Keep it for the next turn."""
        self.waiting.append(call)


@pytest.fixture(autouse=True)
def handler() -> Iterator[Any]:
    """The handler of before, put back at the end."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield signal.SIG_IGN
    signal.signal(signal.SIGHUP, before)


def test_a_signal_is_a_call_in_the_reactor_s_turn() -> None:
    """Not in the middle of whatever runs."""
    turns, calls = Turns(), []
    service = OnSignal(signal.SIGHUP, turns, lambda: calls.append(1))  # type: ignore[arg-type]
    service.startService()
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGHUP)
    assert calls == []
    for call in turns.waiting:
        call()
    assert calls == [1, 1]
    service.stopService()


def test_the_signal_is_given_back(handler: Any) -> None:
    """To whoever had it before."""
    service = OnSignal(signal.SIGHUP, Turns(), print)  # type: ignore[arg-type]
    assert signal.getsignal(signal.SIGHUP) is handler
    service.startService()
    assert signal.getsignal(signal.SIGHUP) is not handler
    service.stopService()
    assert signal.getsignal(signal.SIGHUP) is handler


def test_one_that_comes_late_does_not_end_the_process() -> None:
    """As it would by default while the rest of the program stops."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    turns = Turns()
    service = OnSignal(signal.SIGHUP, turns, print)  # type: ignore[arg-type]
    service.startService()
    turns._stopped = True
    service.stopService()
    os.kill(os.getpid(), signal.SIGHUP)
    assert turns.waiting == [print]


def test_in_another_thread_there_are_no_signals(handler: Any) -> None:
    """Python would raise; there the service does nothing."""
    service = OnSignal(signal.SIGHUP, Turns(), print)  # type: ignore[arg-type]
    thread = threading.Thread(target=service.startService)
    thread.start()
    thread.join()
    assert service.running
    assert signal.getsignal(signal.SIGHUP) is handler
    service.stopService()
    assert signal.getsignal(signal.SIGHUP) is handler


def test_whoever_had_the_signal_before_gets_it_too() -> None:
    """With a log file, twistd rotates it on SIGUSR1."""
    had: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _: had.append(number))
    turns = Turns()
    service = OnSignal(signal.SIGHUP, turns, print)  # type: ignore[arg-type]
    service.startService()
    os.kill(os.getpid(), signal.SIGHUP)
    service.stopService()
    assert had == [signal.SIGHUP]
    assert turns.waiting == [print]
