"""As many connections as there are descriptors for."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.selectreactor import SelectReactor
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from staplesrv.server.descriptors import MOST, SPARE, within_descriptors
from staplesrv.tls.limits import Limits

UNLIMITED = resource.RLIM_INFINITY


class System:
    """A kernel with a limit."""

    def __init__(self, soft: int, hard: int, *, most: int | None = None) -> None:
        self.limit = (soft, hard)
        self._most = most

    def getrlimit(self, which: int) -> tuple[int, int]:
        """Tell it."""
        assert which == resource.RLIMIT_NOFILE
        return self.limit

    def setrlimit(self, which: int, limit: tuple[int, int]) -> None:
        """Set it, up to what this kernel can do."""
        assert which == resource.RLIMIT_NOFILE
        if self._most is not None and limit[0] > self._most:
            raise ValueError("not allowed to raise maximum limit")
        assert limit[1] == self.limit[1]
        self.limit = limit


class BySelect(SelectReactor):
    """A reactor by select(2) that was never made."""

    def __init__(self) -> None:
        pass


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The lines that were logged."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(f"{event['log_level'].name}: {formatEvent(event)}")

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [
        (1024, 524_288, 524_288),
        (524_288, 524_288, 524_288),
        (1024, UNLIMITED, MOST),
        (1024, 2**30, MOST),
        (2**21, 2**30, 2**21),
        (UNLIMITED, UNLIMITED, UNLIMITED),
    ],
)
def test_the_soft_limit_is_raised_to_the_hard_one(said: list[str], soft: int, hard: int, raised: int) -> None:
    """Within reason, and never lowered; where there are enough the limits stay what they are."""
    system = System(soft, hard)
    assert within_descriptors(Limits(), object(), system) == Limits()
    assert system.limit == (raised, hard)
    there = MOST if raised == UNLIMITED else raised
    assert said == [f"info: this process may open {there} files, enough for 65536 connections"]


def test_too_few_of_them(said: list[str]) -> None:
    """Some are kept back, one address has the same part of the rest, and a line says what to do."""
    limits = within_descriptors(Limits(), object(), System(1024, 4096))
    assert limits == Limits(connections=4096 - SPARE, connections_per_address=(4096 - SPARE) // 4)
    (line,) = said
    problem, _, advice = line.partition("; ")
    assert problem == "info: 3968 connections at most, not 65536, as this process may open 4096 files"
    assert advice == "for all of them set LimitNOFILE=65664 in systemd's unit, or ulimit -n 65664 before the start"


def test_a_kernel_that_refuses(said: list[str]) -> None:
    """Then it is what it was."""
    system = System(1024, UNLIMITED, most=10_240)
    assert within_descriptors(Limits(), object(), system).connections == 1024 - SPARE
    assert system.limit == (1024, UNLIMITED)
    assert len(said) == 1


@pytest.mark.parametrize(("soft", "raised"), [(256, 1024), (1024, 1024), (20_000, 20_000), (UNLIMITED, UNLIMITED)])
def test_a_reactor_by_select(said: list[str], soft: int, raised: int) -> None:
    """A descriptor from 1024 on would break it: no more are asked for, and what there is beyond is not counted."""
    system = System(soft, UNLIMITED)
    assert within_descriptors(Limits(), BySelect(), system).connections == 1024 - SPARE
    assert system.limit == (raised, UNLIMITED)
    assert said[0].endswith("; take a reactor that does not go by select(2), as with twistd --reactor=poll")


@pytest.mark.parametrize(("descriptors", "connections"), [(200, 100), (10, 5), (1, 1)])
def test_hardly_any(descriptors: int, connections: int) -> None:
    """There is always one left."""
    limits = within_descriptors(Limits(connections_per_address=1), object(), System(descriptors, descriptors))
    assert (limits.connections, limits.connections_per_address) == (connections, 1)


def test_the_other_limits_stay() -> None:
    """They have nothing to do with descriptors."""
    limits: Any = Limits(connections=5000, connections_per_address=5000, handshakes=70, handshake_seconds=3.0)
    got = within_descriptors(limits, object(), System(1128, 1128))
    assert got == Limits(connections=1000, connections_per_address=1000, handshakes=70, handshake_seconds=3.0)


def test_the_real_kernel() -> None:
    """It takes what is asked of it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        within_descriptors(Limits(), object())
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == (MOST if hard == UNLIMITED else min(hard, MOST))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
