"""Very many connections at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from functional.harness import ROOT, Pki, Program, descriptors, is_listening, wait_until
from functional.visitor import Visitor, client_context, need_descriptors

SPARE = 200
IN_FLIGHT = 50


@pytest.fixture
def visitors() -> Iterator[list[Visitor]]:
    """The connections that a test opened; what is left of them is closed."""
    opened: list[Visitor] = []
    yield opened
    for one in opened:
        one.leave()


def open_connections(port: int, count: int, visitors: list[Visitor], staples: list[int]) -> None:
    """Open connections, some at a time, and keep them open."""
    context = client_context(staples)
    for _ in range(count // IN_FLIGHT):
        wave = [Visitor(port, context) for _ in range(IN_FLIGHT)]
        visitors += wave
        handshakes = [one.shake_hands() for one in wave]
        for one in handshakes:
            next(one)
        for one in handshakes:
            for _ in one:
                pass


@pytest.mark.parametrize("count", [10_000])
def test_connections_open_at_once(pki: Pki, port: int, tmp_path: Path, visitors: list[Visitor], count: int) -> None:
    """Each has its staple, each sends a message and gets it back, and none of them is left behind."""
    need_descriptors(count + SPARE)
    script = ROOT / "tests" / "functional" / "transport_server.py"
    arguments = [*map(str, pki.issue(tmp_path, "localhost")), str(port), str(tmp_path / "state")]
    with Program([sys.executable, str(script), *arguments], tmp_path) as program:
        wait_until(lambda: is_listening(port), "the port")
        before = descriptors(program.pid)
        staples: list[int] = []
        open_connections(port, count, visitors, staples)
        assert len(staples) == count
        assert all(staples)
        visitors[0].send(b"open\n")
        assert visitors[0].receive(len(f"{count}\n")) == f"{count}\n".encode()
        for number, one in enumerate(visitors):
            one.send(b"echo\nthis is number %5d" % number)
        for number, one in enumerate(visitors):
            assert one.receive(20) == b"this is number %5d" % number
        while visitors:
            visitors.pop().leave(goodbye=len(visitors) % 3 == 0, reset=len(visitors) % 3 == 1)
        wait_until(lambda: descriptors(program.pid) <= before, f"{before} descriptors again")
        assert "Traceback" not in program.output()
