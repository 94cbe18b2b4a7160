"""SIGHUP, which by custom has a server read its configuration again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorFromThreads


class HangUp(Service):
    """Calls something in the reactor's turn for each SIGHUP while it runs.

    twistd and the reactor see to SIGTERM and SIGINT; nobody else wants this one. Signals are the main thread's alone:
    started in another one, this does nothing.

    Args:
        reactor: Where the call is made.
        call: What to call.
    """

    def __init__(self, reactor: IReactorFromThreads, call: Callable[[], object]) -> None:
        self._reactor = reactor
        self._call = call
        self._before: Any = None
        self._installed = False

    def startService(self) -> None:
        """Begin to listen for the signal."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGHUP, self._received)
            self._installed = True

    def stopService(self) -> None:
        """Leave the signal to whoever had it before."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        if self._installed:
            self._installed = False
            # None: it was not Python that had it, and Python can't give it back.
            signal.signal(signal.SIGHUP, signal.SIG_DFL if self._before is None else self._before)

    def _received(self, _: int, __: FrameType | None) -> None:
        # This may come between any two instructions; the one safe thing is to ask the reactor for a turn.
        self._reactor.callFromThread(self._call)
