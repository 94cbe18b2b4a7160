"""What the functional tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from functional.harness import Pki, free_port, little_growth
from functional.http_server import HTTPServer

GROWTH = 32 * 1024
"""What a server may grow by over large bodies and slow readers, in KiB."""


@pytest.fixture
def pki() -> Iterator[Pki]:
    """Two CAs, `ca` and `other`, with one responder for both, in a process of their own."""
    running = Pki("ca", "other")
    yield running
    running.close()


@pytest.fixture
def port() -> int:
    """A free TCP port on loopback."""
    return free_port()


@pytest.fixture
def small(server: HTTPServer) -> Iterator[HTTPServer]:
    """A module's `server`, which never grows by much during the test."""
    with little_growth(server.program.pid, GROWTH):
        yield server
