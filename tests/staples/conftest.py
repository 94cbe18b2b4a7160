"""A small world for the refresher: a CA, a scripted responder, a clock that steps, a log that is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from staplesrv.ocsp.response import ResponseRejected, VerifiedResponse, verify_response
from staplesrv.sources import utc
from staplesrv.staples.asking.fetched import Conditional, Fetched
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.cache import Entry, StapleCache
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.keeping.case import Status
from staplesrv.staples.refresher import Refresher
from staplesrv.staples.settings import Settings
from staplesrv.staples.stores import Store, StoreFailed
from staplesrv.staples.stores.memory import MemoryStore
from staplesrv.testing import CertificateAuthority, Leaf
from staplesrv.testing.keys import make_key

START = 1_800_000_000.0
CA = CertificateAuthority(now=utc(START))
KEY = make_key("ec")
URL = "http://ocsp.example/"

DOWN = FetchFailed(FailureKind.NETWORK, "connection refused", url=URL)

Said: TypeAlias = "bytes | FetchFailed | Exception | Fetched | Deferred[Any] | None"
"""What a responder says: DER, a failure, None for 304, or a Deferred that is still to fire with one of them."""


@dataclass
class Question:
    """One call of the fetcher."""

    at: float
    assignment: Assignment
    held: VerifiedResponse | None
    conditional: Conditional | None


@dataclass
class ScriptedFetcher:
    """Stands in for `attempt.Fetcher`: verifies what `answer` says, and writes down who asked and how many at once."""

    world: World
    answer: Callable[[Assignment], Said]
    questions: list[Question] = field(default_factory=list)
    under_way: Counter[str] = field(default_factory=Counter)
    most: int = 0
    most_per_host: int = 0
    cancelled: int = 0

    async def fetch(
        self, assignment: Assignment, *, held: VerifiedResponse | None = None, conditional: Conditional | None = None
    ) -> Fetched:
        """See `attempt.Fetcher.fetch`."""
        self.questions.append(Question(self.world.clock.seconds(), assignment, held, conditional))
        host = urlsplit(assignment.responder_urls[0]).hostname or ""
        self.under_way[host] += 1
        self.most = max(self.most, self.under_way.total())
        self.most_per_host = max(self.most_per_host, self.under_way[host])
        try:
            return self._judge(assignment, await self._said(assignment))
        finally:
            self.under_way[host] -= 1

    async def _said(self, assignment: Assignment) -> Said:
        said = self.answer(assignment)
        if not isinstance(said, Deferred):
            return said
        try:
            return await said
        except Exception:
            self.cancelled += 1
            raise

    def _judge(self, assignment: Assignment, said: Said) -> Fetched:
        if isinstance(said, Exception):
            raise said
        if isinstance(said, Fetched):
            return said
        if said is None:
            return Fetched(None, URL)
        assert isinstance(said, bytes)
        assert assignment.target is not None
        try:
            verified = verify_response(said, assignment.target, now=self.world.now)
        except ResponseRejected as rejected:
            raise FetchFailed(FailureKind.VERIFY_FAILED, str(rejected)) from rejected
        return Fetched(verified, URL, Conditional(URL, '"etag"', None))


class World:
    """Everything around a refresher.

    `chance` is what chance says, from 0 (the lower end) to 1. `step` is how far the wall clock was moved.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.step = 0.0
        self.chance = 0.5
        self.store: Store = MemoryStore()
        self.cache = StapleCache()
        self.settings = Settings()
        self.fetcher = ScriptedFetcher(self, self.good)
        self.events: list[LogEvent] = []
        self.refreshers: list[Refresher] = []

    @property
    def now(self) -> datetime:
        """What the wall clock says."""
        return utc(self.wall())

    def wall(self) -> float:
        """The same in seconds since the epoch."""
        return START + self.clock.seconds() + self.step

    def uniform(self, low: float, high: float) -> float:
        """Chance."""
        return low + (high - low) * self.chance

    def make(self, *, start: bool = True, **options: Any) -> Refresher:
        """Make a refresher; it is stopped at the end of the test."""
        parts = {"reactor": self.clock, "cache": self.cache, "store": self.store, "fetcher": self.fetcher}
        parts |= {"settings": self.settings, "wall_clock": self.wall, "uniform": self.uniform}
        refresher = Refresher(**(parts | options))
        self.refreshers.append(refresher)
        if start:
            refresher.startService()
        return refresher

    def restart(self) -> Refresher:
        """Stop the refresher and make another one, on the same store, with an empty cache."""
        self.stop()
        self.cache = StapleCache()
        return self.make()

    def stop(self) -> None:
        """Stop every refresher."""
        while self.refreshers:
            refresher = self.refreshers.pop()
            if refresher.running:
                result(refresher.stopService())

    def leaf(self, *names: str, **options: Any) -> Leaf:
        """Issue a leaf."""
        options = {"key": KEY, "responder_urls": [URL], "not_before": self.now - timedelta(days=1)} | options
        return CA.issue(*(names or ("www.example",)), **options)

    def assign(self, leaf: Leaf | None = None, *, staple_file: Path | None = None, **options: Any) -> Assignment:
        """Assign a leaf, or a new one made with these options."""
        leaf = leaf or self.leaf(**options)
        return Assignment.for_leaf(leaf.certificate, leaf.chain, staple_file=staple_file, settings=self.settings)

    def respond(
        self, assignment: Assignment, status: Any = "good", *, age: float = 0, life: float = 7 * 86400
    ) -> bytes:
        """Make a response that was made `age` seconds ago and lives `life` seconds."""
        made = self.now - timedelta(seconds=age)
        return CA.respond(assignment.leaf, status, this_update=made, next_update=timedelta(seconds=life))

    def good(self, assignment: Assignment) -> bytes:
        """A fresh good response for a week."""
        return self.respond(assignment)

    def entry(self, assignment: Assignment) -> Entry:
        """What handshakes for a leaf read."""
        return self.cache.entry(assignment.fingerprint)

    def served(self, assignment: Assignment) -> bytes:
        """What a handshake gets now."""
        return self.entry(assignment).current(self.wall())

    def status(self, assignment: Assignment) -> Status:
        """How a certificate stands with the refresher made last."""
        return self.refreshers[-1].status(assignment.fingerprint)

    def wait(self, assignment: Assignment) -> float:
        """Seconds until a certificate is asked about next."""
        due = self.status(assignment).next_attempt
        assert due is not None
        return (due - self.now).total_seconds()

    def pass_to_next(self, assignment: Assignment) -> None:
        """Let time pass until a certificate is due, and a tick after that."""
        self.clock.advance(max(self.wait(assignment), 0) + 0.5)

    def hold_answers(self) -> list[Deferred[Any]]:
        """From now on answers are Deferreds for the test to fire; they turn up in this list."""
        pending: list[Deferred[Any]] = []

        def answer(_: Assignment) -> Deferred[Any]:
            pending.append(Deferred())
            return pending[-1]

        self.fetcher.answer = answer
        return pending

    def store_now(self, assignment: Assignment, response_der: bytes) -> None:
        """Put something into the store behind the refresher's back."""
        save = self.store.save(assignment.fingerprint, response_der, expires=self.now + timedelta(days=30))
        result(Deferred.fromCoroutine(save))

    def stored(self, assignment: Assignment) -> bytes | None:
        """What the store has."""
        found: bytes | None = result(Deferred.fromCoroutine(self.store.load(assignment.fingerprint)))
        return found

    def forget(self, assignment: Assignment) -> None:
        """Empty the store of a certificate."""
        result(Deferred.fromCoroutine(self.store.remove(assignment.fingerprint)))

    def break_store(self, *methods: str) -> None:
        """From now on these methods of the store fail."""

        async def fail(*args: Any, **kwargs: Any) -> Any:
            raise StoreFailed("/state", "No space left on device", "make some")

        for method in methods:
            setattr(self.store, method, fail)

    def result(self, deferred: Deferred[Any]) -> Any:
        """The result of a Deferred that has fired; what it failed with is raised."""
        return result(deferred)

    @property
    def asked(self) -> int:
        """How many times the responder was asked."""
        return len(self.fetcher.questions)

    def said(self, level: LogLevel = LogLevel.info) -> list[str]:
        """What the log says at this level or above, and from now on no more."""
        lines = [formatEvent(event) for event in self.events if event["log_level"] >= level]
        self.events.clear()
        return lines


def result(deferred: Deferred[Any]) -> Any:
    """The result of a Deferred that has fired; what it failed with is raised."""
    results: list[Any] = []
    failures: list[Any] = []
    deferred.addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    assert results, "it has not fired"
    return results[0]


@pytest.fixture
def world() -> Iterator[World]:
    """A small world; its refreshers are stopped at the end, and leave no timer behind."""
    world = World()
    globalLogPublisher.addObserver(world.events.append)
    try:
        yield world
        world.stop()
        assert world.clock.getDelayedCalls() == []
    finally:
        globalLogPublisher.removeObserver(world.events.append)
