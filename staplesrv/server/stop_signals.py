"""SIGTERM and SIGINT: the first one stops the server in its own time, the next one at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from twisted.application.service import Service

from staplesrv.server.on_signal import stops

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


class StopSignals(Service):
    """Hands the first of these signals to the reactor, which stops for it and would raise for another one.

    Signals are the main thread's alone: started in another one, this does nothing.

    Args:
        reactor: The reactor.
        hurry: Called in the reactor's turn for every signal after the first one, and after `stopping`.
    """

    def __init__(self, reactor: Any, hurry: Callable[[], object]) -> None:
        self._reactor = reactor
        self._hurry = hurry
        self._stopping = False
        self._before: dict[signal.Signals, Any] = {}

    def startService(self) -> None:
        """Begin to listen for the signals, once the reactor does."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        self._stopping = False
        self._reactor.callWhenRunning(self._install)

    def stopping(self) -> None:
        """The server stops, for whatever reason."""
        self._stopping = True

    def stopService(self) -> None:
        """Leave the signals to whoever had them before."""
        super().stopService()  # type: ignore[no-untyped-call]  # as above
        before, self._before = self._before, {}
        if stops(self._reactor):
            # It would complain of another one.
            return
        for number, handler in before.items():
            signal.signal(number, handler)

    def _install(self) -> None:
        if not self.running or threading.current_thread() is not threading.main_thread():
            return
        for number in _NUMBERS:
            handler = signal.getsignal(number)
            # Otherwise nobody stops for it, and that is not changed here.
            if callable(handler):
                self._before[number] = handler
                signal.signal(number, partial(self._received, handler))

    def _received(
        self, handler: Callable[[int, FrameType | None], object], number: int, frame: FrameType | None
    ) -> None:
        if self._stopping:
            # This may come between any two instructions; the one safe thing is to ask the reactor for a turn.
            self._reactor.callFromThread(self._hurry)
            return
        self._stopping = True
        handler(number, frame)
