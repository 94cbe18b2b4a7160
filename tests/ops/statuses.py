"""Statuses to look at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from staplesrv.ops.status import Certificate, Reload, State, Status, Traffic, Worker, Workers
from staplesrv.staples.cache import Reason

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def certificate(site: str = "a.example", reason: Reason = Reason.OK, **changes: Any) -> Certificate:
    """One that is stapled, or for what reason not."""
    made = Certificate(
        site=site,
        names=(site,),
        file=f"/etc/{site}.pem",
        fingerprint="ab" * 32,
        not_after=NOON + timedelta(days=30),
        must_staple=False,
        reason=reason,
        stapled_until=NOON + timedelta(days=2) if reason is Reason.OK else None,
        next_question=NOON + timedelta(days=1),
        last_failure="",
    )
    return replace(made, **changes)


def workers(*states: State, wanted: int = 0, replaced: int = 0) -> Workers:
    """Processes in these states."""
    each = (Worker(seat, 100 + seat, state, NOON, 3) for seat, state in enumerate(states, 1))
    return Workers(wanted or len(states), replaced, tuple(each))


def status(*certificates: Certificate, **changes: Any) -> Status:
    """One of a server that is well, but for what is said."""
    made = Status(
        version="1.2.3",
        pid=99,
        now=NOON,
        since=NOON - timedelta(hours=1),
        state=State.SERVING,
        stalled=False,
        reload=None,
        failures=(),
        workers=workers(State.SERVING),
        listeners=("127.0.0.1:443",),
        traffic=Traffic(3, 10, 20, {"lost": 1, "handshake-rate": 2}, {"a.example": 4}),
        answers={"new": 5, "failed:connect": 6},
        handshakes={"a.example": {"stapled": 7}},
        certificates=certificates or (certificate(),),
    )
    return replace(made, **changes)


def reloaded(line: str = "reloaded", *failures: str, good: bool = True) -> Reload:
    """What became of a reload a minute ago."""
    return Reload(NOON - timedelta(minutes=1), good, line, failures)
