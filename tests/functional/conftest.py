"""What the functional tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from functional.harness import Pki, free_port


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
