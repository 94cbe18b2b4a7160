"""Fixtures of this room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tls.place import Place
from tls.world import World
from twisted.logger import globalLogPublisher

from staplesrv.tls.openssl_calls import Calls
from staplesrv.tls.private_calls import PrivateCalls
from staplesrv.tls.public_calls import PublicCalls


@pytest.fixture
def world() -> World:
    """A fresh world."""
    return World()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A directory, a clock, a CA and its responder."""
    return Place(tmp_path)


@pytest.fixture(params=[PrivateCalls, PublicCalls])
def openssl(request: pytest.FixtureRequest) -> Calls:
    """Each implementation of the calls that pyOpenSSL does not offer."""
    made: Calls = request.param()
    return made


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """Every event that is logged."""
    events: list[dict[str, Any]] = []
    observer = events.append
    globalLogPublisher.addObserver(observer)
    yield events
    globalLogPublisher.removeObserver(observer)
