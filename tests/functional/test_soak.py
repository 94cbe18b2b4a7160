"""Long runs, by `make soak`."""

from __future__ import annotations

import signal
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from functional.harness import (
    Pki,
    is_listening,
    judge,
    look,
    patience,
    resident_kib,
    twistd,
    wait_until,
    write_config,
)

HOUR = 3600
FLAPPING = ("good", "http-503", "good", "try-later", "good", "garbage", "reset", "good", "bad-signature")


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
