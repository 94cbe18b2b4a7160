"""What systemd wants to know of a service of Type=notify: sd_notify(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

from twisted.application.service import Service
from twisted.internet.task import LoopingCall

from staplesrv import sources

_MICROSECONDS = 1_000_000


class Systemd(Service):
    """Tells systemd how the service is; nobody, where it was not started by systemd.

    Args:
        clock: The reactor, for the watchdog.
        environment: Of the process. What is taken out of it is not for its children.
        monotonic: CLOCK_MONOTONIC in seconds.
    """

    def __init__(
        self,
        clock: Any,
        environment: MutableMapping[str, str] = os.environ,
        monotonic: Callable[[], float] = sources.monotonic,
    ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        # An abstract socket, whose name begins with a zero byte.
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self._monotonic = monotonic
        self._watchdog = LoopingCall(self._tell, "WATCHDOG=1")
        self._watchdog.clock = clock
        self._every = _number(environment.get("WATCHDOG_USEC", "")) / _MICROSECONDS / 2

    def startService(self) -> None:
        """Begin to show that this process lives, where somebody watches."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        if self._address and self._every:
            self._watchdog.start(self._every)

    def stopService(self) -> None:
        """Show it no more."""
        super().stopService()  # type: ignore[no-untyped-call]  # as above
        if self._watchdog.running:
            self._watchdog.stop()

    def ready(self, status: str) -> None:
        """It serves; also after a reload.

        Args:
            status: What `systemctl status` shows.
        """
        self._tell("READY=1", f"STATUS={' '.join(status.splitlines())}")

    def reloading(self) -> None:
        """It reads its configuration again."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={int(self._monotonic() * _MICROSECONDS)}")

    def stopping(self) -> None:
        """It stops."""
        self._tell("STOPPING=1")

    def followed_by(self, pid: int) -> None:
        """Another process is the service from now on."""
        self._tell(f"MAINPID={pid}")
        self._address = ""

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        # systemd that does not listen is no reason not to serve.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as way:
            way.sendto("\n".join(lines).encode(), self._address)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0
