"""A stapler with everything around it, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from tls.world import START
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from staplesrv.ocsp.response import VerifiedResponse, verify_response
from staplesrv.sources import utc
from staplesrv.staples.asking.fetched import Conditional, Fetched
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.stores.memory import MemoryStore
from staplesrv.testing import CertificateAuthority, Leaf
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.stapler import Stapler

URL = "http://responder.example/"


class Responders:
    """Stands for every responder: answers at once, after a while, or not at all."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.authorities: dict[bytes, CertificateAuthority] = {}
        self.asked: list[bytes] = []
        self.delay = 0.0
        self.down = False
        self.issuer: CertificateAuthority | None = None

    async def fetch(
        self, assignment: Assignment, *, held: VerifiedResponse | None = None, conditional: Conditional | None = None
    ) -> Fetched:
        """Answer as `Fetcher.fetch` does."""
        self.asked.append(assignment.fingerprint)
        wait: Deferred[None] = Deferred()
        timer = self.clock.callLater(self.delay, wait.callback, None)
        try:
            await wait
        finally:
            if timer.active():
                timer.cancel()
        if self.down:
            raise FetchFailed(FailureKind.NETWORK, "down", url=URL)
        authority = self.authorities[assignment.fingerprint]
        target = assignment.target
        if target is None and self.issuer is not None:
            target = assignment.with_issuer(self.issuer.certificate).target
        assert target is not None
        now = utc(self.clock.seconds())
        response = verify_response(authority.respond(assignment.leaf, this_update=now), target, now=now)
        found = self.issuer.certificate if self.issuer is not None and assignment.target is None else None
        return Fetched(response, URL, issuer=found)


class Place:
    """A stapler with everything around it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.clock.advance(START)
        self.ca = CertificateAuthority("site CA", now=lambda: utc(self.clock.seconds()))
        self.responders = Responders(self.clock)
        self.store = MemoryStore()

    def write(self, *names: str, prefix: str = "", ca: CertificateAuthority | None = None, **options: Any) -> Leaf:
        """Issue a leaf and write it."""
        authority = ca or self.ca
        leaf = authority.issue(*(names or ("a.example",)), **{"responder_urls": [URL], **options})
        leaf.write(self.directory, prefix=prefix)
        self.responders.authorities[leaf.fingerprint] = authority
        # What changes within one tick of a file system's clock must still be seen.
        self.clock.advance(0)
        return leaf

    def site(self, prefix: str = "", **options: Any) -> SiteCertificate:
        """Name the files of a leaf that was written."""
        return SiteCertificate(
            self.directory / f"{prefix}fullchain.pem", self.directory / f"{prefix}privkey.pem", **options
        )

    def stapler(self, *sites: SiteCertificate, **options: Any) -> Stapler:
        """Make a stapler of sites, the plain one by default."""
        return Stapler(
            sites or (self.site(),),
            reactor=self.clock,
            store=self.store,
            wall_clock=self.clock.seconds,
            uniform=lambda low, high: (low + high) / 2,
            fetcher=self.responders,
            **options,
        )

    def started(self, *sites: SiteCertificate, **options: Any) -> Stapler:
        """Make a stapler, start it and let the first staples come."""
        stapler = self.stapler(*sites, **options)
        stapler.startService()
        self.run(stapler.ready())
        return stapler

    def stop(self, stapler: Stapler) -> None:
        """Stop a stapler and wait for it."""

        async def stop() -> None:
            await stapler.stopService()

        self.run(stop())

    def cut_chain(self, leaf: Leaf) -> None:
        """Leave the leaf alone in its file."""
        self.site().certificate[0].write_bytes(leaf.certificate.public_bytes(Encoding.PEM))

    def go(self, seconds: float) -> None:
        """Let time pass in steps of a quarter of a second."""
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)

    def run(self, coroutine: Coroutine[Any, Any, Any], within: float = 60) -> Any:
        """Let time pass until a coroutine is over; return or raise what it does."""
        outcome = Outcome(coroutine)
        for _ in range(round(within * 4)):
            if outcome.over:
                break
            self.clock.advance(0.25)
        return outcome.value()


class Outcome:
    """What became of a coroutine so far."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.values: list[Any] = []
        self.deferred = Deferred.fromCoroutine(coroutine).addBoth(self.values.append)

    @property
    def over(self) -> bool:
        """Whether it is over."""
        return bool(self.values)

    def value(self) -> Any:
        """Return what it returned, or raise what it raised."""
        assert self.over, "it is not over"
        if isinstance(self.values[0], Failure):
            self.values[0].raiseException()
        return self.values[0]


def alarms(logged: list[dict[str, Any]]) -> list[str]:
    """Format the critical events."""
    return [event["log_format"].format(**event) for event in logged if event["log_level"].name == "critical"]
