"""How a server with very many sites is looked at."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from ops.statuses import workers
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from staplesrv.ops.status import State, Status, Traffic
from staplesrv.server.observation import AT_ONCE, observe

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class EmptySite:
    """A site without certificates.

    Args:
        number: In its name.
    """

    certificate = ()
    must_staple = "serve"
    where = "here"

    def __init__(self, number: int) -> None:
        self.names = (f"{number}.example",)
        self.implied_names = self.bundles = self.entries = ()
        self.handshakes = Counter(stapled=number)
        self.loaded = SimpleNamespace(certificate=self, bundles=())


def observed(clock: Clock, count: int) -> Deferred[Status]:
    """Look at so many."""
    stapler: Any = SimpleNamespace(
        keeper=SimpleNamespace(refresher=SimpleNamespace(stalled=False, totals={})),
        stage=SimpleNamespace(live=[EmptySite(number) for number in range(count)], failures={}),
    )
    staff: Any = SimpleNamespace(
        workers=lambda _now: workers(State.SERVING), traffic=lambda: Traffic(0, 0, 0, {}, {}), addresses=()
    )
    configuration: Any = SimpleNamespace(sites=())
    return Deferred.fromCoroutine(
        observe(
            stapler,
            staff,
            configuration,
            reactor=clock,
            now=0.0,
            since=NOON,
            state=State.SERVING,
            reload=None,
        )
    )


def test_many_sites_are_looked_at_in_turns() -> None:
    """Others have theirs in between; all sites are in the outcome."""
    clock = Clock()
    found: list[Status] = []
    observed(clock, 2 * AT_ONCE + 1).addCallback(found.append)
    assert not found
    clock.advance(0)
    (status,) = found
    assert len(status.handshakes) == 2 * AT_ONCE + 1


def test_few_sites_take_one_turn() -> None:
    """Of most servers."""
    found: list[Status] = []
    observed(Clock(), 2).addCallback(found.append)
    assert [list(status.handshakes) for status in found] == [["0.example", "1.example"]]
