"""Signals that ask for something: SIGHUP for the configuration to be read again, SIGUSR1 for logs to be opened anew."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorFromThreads


def stops(reactor: Any) -> bool:
    """Whether a reactor has been told to stop, and runs until everybody has.

    There is no public word for it: these are attributes of Twisted's `ReactorBase`.
    """
    return bool(getattr(reactor, "running", False) and getattr(reactor, "_stopped", False))


class OnSignal(Service):
    """Calls something in the reactor's turn for each signal of one kind while it runs.

    twistd and the reactor see to SIGTERM and SIGINT. Whoever had the signal before gets it too: with `--logfile` twistd
    has SIGUSR1, and rotates. Signals are the main thread's alone: started in another one, this does nothing.

    Args:
        number: Which signal.
        reactor: Where the call is made.
        call: What to call.
    """

    def __init__(self, number: signal.Signals, reactor: IReactorFromThreads, call: Callable[[], object]) -> None:
        self._number = number
        self._reactor = reactor
        self._call = call
        self._before: Any = None
        self._installed = False

    def startService(self) -> None:
        """Begin to listen for the signal."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(self._number, self._received)
            self._installed = True

    def stopService(self) -> None:
        """Leave the signal to whoever had it before."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        if self._installed:
            self._installed = False
            if stops(self._reactor):
                # Left to itself one that comes late would end the process before all is tidied up, pid file and all.
                return
            # None: it was not Python that had it, and Python can't give it back.
            signal.signal(self._number, signal.SIG_DFL if self._before is None else self._before)

    def _received(self, number: int, frame: FrameType | None) -> None:
        # This may come between any two instructions; the one safe thing is to ask the reactor for a turn.
        self._reactor.callFromThread(self._call)
        if callable(self._before):
            self._before(number, frame)
