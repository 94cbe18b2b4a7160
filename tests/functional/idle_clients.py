"""Many connections that wait, in a process of their own, which has its own limit of descriptors."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import Self

from functional.harness import ROOT
from functional.visitor import Visitor, client_context
from OpenSSL import SSL


class IdleClients:
    """Connections of another process; a context manager that closes them.

    Args:
        port: On loopback.
        count: How many.
    """

    def __init__(self, port: int, count: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "functional.idle_clients", str(port), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.communicate()

    def read(self) -> int:
        """Wait until all are open, and return how many; after `ask`, how many were answered with 200."""
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def ask(self) -> None:
        """Have each send a request."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()


def main(port: int, count: int) -> None:
    """Open them, wait for a line, ask."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = client_context([])
    visitors = [_opened(port, context) for _ in range(count)]
    print(len(visitors), flush=True)  # noqa: T201 - for `read`
    sys.stdin.readline()
    for visitor in visitors:
        visitor.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    heads = [visitor.receive(12) for visitor in visitors]
    print(heads.count(b"HTTP/1.1 200"), flush=True)  # noqa: T201 - for `read`


def _opened(port: int, context: SSL.Context) -> Visitor:
    visitor = Visitor(port, context)
    for _ in visitor.shake_hands():
        pass
    return visitor


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
