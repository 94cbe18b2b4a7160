"""A server under measurement: a process of its own on a core of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from OpenSSL import SSL

from bench.measured.processes import Core

PATIENCE = 30


class Running:
    """A process that serves; a context manager that ends it.

    Args:
        name: What the tables call it.
        command: What starts it.
        log: Where its output goes.
        core: The core that it is held to.
        ready: Asks it something; raises OSError or SSL.Error until it serves.
        environment: Variables on top of what is there.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        core: Core,
        ready: Callable[[], object],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.core = core
        self._log = log
        self._ready = ready
        with log.open("wb") as output, core.held():
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
            )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._ready()
            except (OSError, SSL.Error):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise SystemExit(f"{self.name} does not serve:\n{self._log.read_text()}") from None
                time.sleep(0.05)
            else:
                return self

    def __exit__(self, *_exc: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(PATIENCE)

    def spent(self, work: Callable[[], object]) -> float:
        """Have it do some work, and return the CPU seconds that took."""
        return self.core.spent(self.pid, work)


def free_port() -> int:
    """Return a TCP port on loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
