"""Long runs, by `make soak`."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

import pytest
from functional.harness import (
    Pki,
    descriptors,
    is_listening,
    judge,
    look,
    patience,
    resident_kib,
    twistd,
    wait_until,
    write_config,
)
from functional.visitor import Visitor, client_context

HOUR = 3600
FLAPPING = ("good", "http-503", "good", "try-later", "good", "garbage", "reset", "good", "bad-signature")

WAVE = 20


@pytest.mark.soak
def test_an_hour_with_a_moody_responder(pki: Pki, port: int, tmp_path: Path) -> None:
    """Answers of 20 s, a responder that fails as often as not, reloads: no moment without a staple, no growth."""
    pki.set("lifetime", 20)
    pki.set("stable", False)
    pki.behave(list(FLAPPING) * 1000)
    config = write_config(tmp_path, port, pki.issue(tmp_path, "soak.test").table())
    with twistd(tmp_path, "--config", str(config)) as server:
        wait_until(lambda: is_listening(port), "the port")
        assert server.process is not None
        outcomes: Counter[str] = Counter()
        sizes: list[int] = []
        for minute in range(60):
            with patience(HOUR / 60) as longer:
                while longer():
                    before = datetime.now(UTC)
                    outcomes[judge(look(port, "soak.test"), before)] += 1
            sizes.append(resident_kib(server.process.pid))
            if minute % 2:
                pki.issue(tmp_path, "soak.test")
            server.signal(signal.SIGHUP)
        assert set(outcomes) == {"good"}, outcomes
        assert max(sizes[-6:]) < min(sizes[6:12]) * 1.02, sizes
        assert "Traceback" not in server.output()


@pytest.mark.soak
def test_handshakes_by_the_hundred_thousand(pki: Pki, port: int, tmp_path: Path) -> None:
    """A fifth of them broken off at a random byte: no growth, no descriptor left, nothing in the log."""
    count = int(os.environ.get("STAPLESRV_SOAK_HANDSHAKES", "200000"))
    config = write_config(tmp_path, port, pki.issue(tmp_path, "localhost").table())
    with twistd(tmp_path, "--config", str(config)) as server:
        wait_until(lambda: is_listening(port), "the port")
        crowd = Crowd(port, random.Random(count))
        crowd.shake_hands(WAVE)
        before = descriptors(server.pid)
        sizes: list[int] = []
        for _ in range(count // WAVE):
            crowd.shake_hands(WAVE)
            sizes.append(resident_kib(server.pid))
        assert crowd.completed + crowd.broken_off == count + WAVE
        assert count // 6 < crowd.broken_off < count // 4
        assert len(crowd.staples) > crowd.completed
        assert all(crowd.staples)
        wait_until(lambda: descriptors(server.pid) <= before, f"{before} descriptors again")
        assert judge(look(port, "localhost")) == "good"
        assert "Traceback" not in server.output()
        tenth = len(sizes) // 10
        second, last = mean(sizes[tenth : 2 * tenth]), mean(sizes[-tenth:])
        assert abs(last - second) < second * 0.02, (second, last, sizes[:: tenth // 4])


class Crowd:
    """Visitors, some of them in flight at once, whose ways are drawn by lot.

    Args:
        port: On loopback.
        chance: Draws the lots.
    """

    def __init__(self, port: int, chance: random.Random) -> None:
        self.port = port
        self.chance = chance
        self.broken_off = 0
        self.completed = 0
        self.staples: list[int] = []
        self._context = client_context(self.staples)
        first = Visitor(port, self._context)
        list(first.shake_hands())
        first.leave()
        self._length = first.bytes

    def shake_hands(self, count: int) -> None:
        """Do so many handshakes, all begun before the first is gone on with."""
        visits = [self._visit() for _ in range(count)]
        while visits:
            visits = [visit for visit in visits if next(visit, self) is None]

    def _visit(self) -> Iterator[None]:
        visitor = Visitor(self.port, self._context)
        if self.chance.random() < 1 / 5:
            self.broken_off += 1
            return visitor.break_off(self.chance.randrange(self._length), reset=self.chance.random() < 1 / 2)
        return self._go_through(visitor)

    def _go_through(self, visitor: Visitor) -> Iterator[None]:
        yield from visitor.shake_hands()
        self.completed += 1
        if self.chance.random() < 1 / 10:
            visitor.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            yield
            assert visitor.receive(15) == b"HTTP/1.1 200 OK"
        visitor.leave(goodbye=self.chance.random() < 1 / 2, reset=self.chance.random() < 1 / 4)
