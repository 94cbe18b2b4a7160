"""Thirty days in the life of a thousand certificates, with outages, a clock that steps, and restarts.

How this is honest and still quick: responses are values that were never signed, and the stand-in for verification looks
at their times alone (verification has tests of its own); everything else is the real refresher with its store. Time is
a `task.Clock`. It does not move in half seconds, but from one moment at which anything can happen to the next: a
certificate that is due (rounded up to the tick that will notice), a fetch that ends, an outage that begins or ends, a
step of the clock, a restart. The ticks in between, which `LoopingCall` skips when its clock leaps, would have found
nothing due and done nothing; `test_queue.py` holds that.

What is checked, every few seconds for certificates without a staple, and each hour and at every event for all:

- Nothing is served at or past its cut-off, by the clock that the server had at that moment.
- There is a staple wherever the responder has had a valid one to give for longer than the back-off after an outage may
  take: 300 s x 1.5, and a little for the line at the responder.
- After a restart whatever was served before and is still good is served again before anybody is asked.
- There are never more than 8 questions at once, nor more than 2 at one host.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from twisted.internet.task import Clock, deferLater

from staplesrv.ocsp.certid import CertID, Target
from staplesrv.ocsp.response import RejectReason, ResponseRejected, Rules, Staple, VerifiedResponse
from staplesrv.sources import utc
from staplesrv.staples.asking.fetched import Conditional, Fetched
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.cache import StapleCache
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.refresher import Refresher
from staplesrv.staples.settings import Settings
from staplesrv.staples.stores.memory import MemoryStore
from staplesrv.testing import CertificateAuthority

START = 1_800_000_000.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
CERT_ID = CertID("sha1", bytes(20), bytes(20), 1)

BACK_OFF = 300 * 1.5
LINE = 90.0
"""Seconds that a question may stand in line behind others, and take."""

LOOK_EVERY = 5.0
"""Seconds between two looks at those that had no staple."""


@dataclass
class Certificate:
    """One certificate, and what its CA publishes about it: every `period` a response that lives for `life` seconds."""

    assignment: Assignment
    life: float
    period: float
    phase: float
    published: dict[int, Staple] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.host = urlsplit(self.assignment.responder_urls[0]).hostname or ""

    def number(self, moment: float) -> int:
        """Which response the responder has to give at this moment, by its own clock, which is right."""
        return math.floor((moment + self.phase) / self.period)

    def published_at(self, number: int) -> float:
        """Since when it has had that one."""
        return number * self.period - self.phase

    def response(self, number: int) -> Staple:
        """That response."""
        staple = self.published.get(number)
        if staple is None:
            made = utc(START + self.published_at(number))
            end = made + timedelta(seconds=self.life)
            response_der = self.assignment.fingerprint + number.to_bytes(4, "big", signed=True)
            staple = self.published[number] = Staple(response_der, made, end, made, end, "CN=CA", CERT_ID)
        return staple


def check_times(response: VerifiedResponse, now: datetime) -> None:
    """What verification says about times (RFC 6960 §4.2.2.1, and the cut-off)."""
    if response.this_update - now > timedelta(seconds=300):
        raise ResponseRejected(RejectReason.FUTURE, "made ahead of our clock")
    if response.cut_off <= now:
        raise ResponseRejected(RejectReason.STALE, "past its cut-off")


@dataclass
class Outage:
    """A responder that does not answer: it refuses at once, or lets everybody wait for 15 s."""

    begin: float
    end: float
    wait: float

    @property
    def length(self) -> float:
        """Seconds."""
        return self.end - self.begin


class Walk:
    """The world of the walk. Its true time is START plus the reactor's; `step` is how wrong the wall clock is.

    Args:
        seed: Of chance.
        count: Certificates.
        hosts: Responders.
        lives: Seconds that responses live, at least and at most.
        latest: The share of its life after which the latest CA publishes a response anew.
    """

    def __init__(self, seed: int, *, count: int, hosts: int, lives: tuple[float, float], latest: float) -> None:
        self.chance = random.Random(seed)
        self.clock = Clock()
        self.step = 0.0
        self.store = MemoryStore()
        self.outages: dict[str, list[Outage]] = {}
        self.certificates = self._certificates(count, hosts, lives, latest)
        self.by_fingerprint = {each.assignment.fingerprint: each for each in self.certificates}
        self.by_der: dict[bytes, Staple] = {}
        self.under_way: Counter[str] = Counter()
        self.figures: Counter[str] = Counter()
        self.without: set[bytes] = set()
        """Certificates that had nothing to serve when they were looked at last."""
        self.looked = 0.0
        self.disturbed = 0.0
        """When there was a step or a restart last."""
        self.start()

    def _certificates(self, count: int, hosts: int, lives: tuple[float, float], latest: float) -> list[Certificate]:
        leaf = CertificateAuthority(now=utc(START)).issue("walk.example", not_after=utc(START + 400 * DAY))
        target = Target.for_leaf(leaf.certificate, leaf.issuer)
        made = []
        for number in range(count):
            url = f"http://ocsp{number % hosts}.example/"
            # One leaf stands for all: certificates are told apart by their fingerprints alone.
            assignment = Assignment(
                leaf.certificate, number.to_bytes(32, "big"), leaf.chain, target, (url,), must_staple=number % 10 == 0
            )
            life = self.chance.uniform(*lives)
            period = life * self.chance.uniform(0.05, latest)
            made.append(Certificate(assignment, life, period, self.chance.uniform(0, period)))
        return made

    # The world outside.

    def wall(self) -> float:
        """What the server's clock says."""
        return START + self.clock.seconds() + self.step

    def outage(self, host: str, moment: float) -> Outage | None:
        """The outage that there is at a host."""
        found = (outage for outage in self.outages.get(host, ()) if outage.begin <= moment < outage.end)
        return next(found, None)

    async def fetch(
        self, assignment: Assignment, *, held: VerifiedResponse | None = None, conditional: Conditional | None = None
    ) -> Fetched:
        """Stand in for the fetcher: takes a while, and may fail."""
        certificate = self.by_fingerprint[assignment.fingerprint]
        self._begin(certificate.host)
        try:
            outage = self.outage(certificate.host, self.clock.seconds())
            await deferLater(self.clock, outage.wait if outage else self.chance.uniform(0.02, 0.4))
            return self._answer(certificate, held)
        finally:
            self.under_way[certificate.host] -= 1
            self.without.add(assignment.fingerprint)

    def _begin(self, host: str) -> None:
        self.figures["questions"] += 1
        self.under_way[host] += 1
        self.figures["most at once"] = max(self.figures["most at once"], self.under_way.total())
        self.figures["most at one host"] = max(self.figures["most at one host"], self.under_way[host])

    def _answer(self, certificate: Certificate, held: VerifiedResponse | None) -> Fetched:
        if self.outage(certificate.host, self.clock.seconds()):
            self.figures["questions in vain"] += 1
            raise FetchFailed(FailureKind.NETWORK, "no answer")
        response = certificate.response(certificate.number(self.clock.seconds()))
        self.by_der[response.response_der] = response
        if held is not None and held.response_der == response.response_der:
            return Fetched(None, "", None)
        try:
            check_times(response, utc(self.wall()))
        except ResponseRejected as rejected:
            self.figures[f"answers that were {rejected.reason}"] += 1
            raise FetchFailed(FailureKind(rejected.reason.value), str(rejected)) from rejected
        return Fetched(response, "", Conditional("", '"etag"', None))

    def verify(self, response_der: bytes, target: Target, *, now: datetime, rules: Rules) -> VerifiedResponse:
        """Stand in for the verification of what was stored."""
        response = self.by_der[response_der]
        check_times(response, now)
        return response

    # The server.

    def start(self) -> None:
        """Start a server with an empty cache."""
        self.cache = StapleCache()
        self.refresher: Any = Refresher(
            reactor=self.clock,
            cache=self.cache,
            store=self.store,
            fetcher=self,
            settings=Settings(),
            wall_clock=self.wall,
            uniform=self.chance.uniform,
            verify=self.verify,
        )
        for certificate in self.certificates:
            self.refresher.add(certificate.assignment)
        self.refresher.startService()
        while any(case.phase.name == "LOADING" for case in self.refresher._cases.values()):
            self.clock.advance(0)
        self.disturbed = self.clock.seconds()

    def restart(self, down: float) -> None:
        """Stop the server, leave it down for a while, and start it again."""
        before = [held for entry in self.cache if (held := entry.held) is not None]
        self.stop()
        self.clock.advance(down)
        self.start()
        for held in before:
            if held.cut_off > self.wall():
                fingerprint = held.response_der[:32]
                assert self.cache.entry(fingerprint).current(self.wall())
                self.figures["staples that a restart kept"] += 1
        self.figures["restarts"] += 1

    def stop(self) -> None:
        """Stop the server."""
        self.figures += Counter({f"answers: {kind}": count for kind, count in self.refresher.totals.items()})
        stopped: list[Any] = []
        self.refresher.stopService().addCallback(stopped.append)
        while not stopped:
            self.clock.advance(0)

    def set_step(self, step: float) -> None:
        """Make the wall clock wrong by so much; the next tick notices, so it is not one to be left out."""
        self.step = step
        self.advance_to(self.next_tick())
        self.disturbed = self.clock.seconds()
        self.figures["steps of the clock"] += 1

    # The walk.

    def run_to(self, end: float) -> None:
        """Go from moment to moment."""
        while (moment := min(self.next_moment(), end)) < end:
            self.advance_to(moment)
        self.advance_to(end)

    def advance_to(self, moment: float) -> None:
        """Go to a moment, and look."""
        self.clock.advance(max(moment - self.clock.seconds(), 0))
        self.figures["moments"] += 1
        if not 0 <= self.clock.seconds() - self.looked < LOOK_EVERY:
            self.looked = self.clock.seconds()
            for fingerprint in tuple(self.without):
                self.look(self.by_fingerprint[fingerprint])

    def next_moment(self) -> float:
        """The earliest moment at which anything can happen, by the reactor's clock."""
        ticks = self.refresher._ticker._loop
        ends = [call.getTime() for call in self.clock.getDelayedCalls() if call is not ticks.call]
        heap = self.refresher._dispatcher._queue._heap
        if heap:
            due, tick = heap[0][0] - START - self.step, self.next_tick()
            ends.append(tick + max(math.ceil((due - tick) / 0.5), 0) * 0.5)
        return min(ends, default=math.inf)

    def next_tick(self) -> float:
        """When the refresher ticks next."""
        at: float = self.refresher._ticker._loop.call.getTime()
        return at

    def look_at_all(self) -> None:
        """One handshake with everybody."""
        for certificate in self.certificates:
            self.look(certificate)
        self.figures["looks at everybody"] += 1
        self.figures["handshakes then"] += len(self.certificates)
        self.figures["of these without a staple"] += len(self.without)

    def look(self, certificate: Certificate) -> None:
        """One handshake, judged."""
        fingerprint, now = certificate.assignment.fingerprint, self.clock.seconds()
        served = self.cache.entry(fingerprint).current(self.wall())
        if served:
            assert self.by_der[served].cut_off.timestamp() > self.wall()
            self.without.discard(fingerprint)
            return
        self.without.add(fingerprint)
        waited = now - max(self.to_be_had_since(certificate), self.disturbed)
        self.figures["longest wait for what was to be had, s"] = max(
            self.figures["longest wait for what was to be had, s"], math.ceil(waited)
        )
        assert waited <= BACK_OFF + LINE, f"{fingerprint.hex()} at {now}: {waited} s"

    def to_be_had_since(self, certificate: Certificate) -> float:
        """Since when the responder has had a valid answer to give, without a break; now where it has none."""
        now = self.clock.seconds()
        if self.outage(certificate.host, now):
            return now
        number, since = certificate.number(now), now
        while since > self.disturbed and self.is_valid(certificate.response(number), since):
            since = certificate.published_at(number)
            number -= 1
        ended = [outage.end for outage in self.outages.get(certificate.host, ()) if outage.end <= now]
        return max([since, *ended])

    def is_valid(self, response: Staple, moment: float) -> bool:
        """Whether the server would have accepted a response at a moment since the last step of its clock."""
        try:
            check_times(response, utc(START + moment + self.step))
        except ResponseRejected:
            return False
        return True


def draw_outages(walk: Walk, days: float) -> None:
    """Each host is out one to three times, for up to three days; once it is a matter of days."""
    for host in sorted({certificate.host for certificate in walk.certificates}):
        walk.outages[host] = []
        for longest in [3 * DAY, 6 * HOUR, 10 * MINUTE][: walk.chance.randint(1, 3)]:
            begin = walk.chance.uniform(0, days * DAY)
            length = longest * walk.chance.uniform(0.2, 1)
            walk.outages[host].append(Outage(begin, begin + length, walk.chance.choice([0.01, 15.0])))


def draw_events(walk: Walk, days: float) -> list[tuple[float, str, float]]:
    """Restarts, steps of the clock that are put right later, and an hourly look at everybody.

    The clock is set back when it hurts most: while many wait for the end of an outage.
    """
    events = [(hour * HOUR, "look", 0.0) for hour in range(int(days * 24))]
    events += [(walk.chance.uniform(0, days * DAY), "restart", walk.chance.uniform(1, 600)) for _ in range(8)]
    longest = max((outage for each in walk.outages.values() for outage in each), key=lambda outage: outage.length)
    for size in (-2 * DAY, -3 * HOUR, -20.0, 20.0, 3 * HOUR, 2 * DAY):
        begin = longest.end - MINUTE if size == -2 * DAY else walk.chance.uniform(0, days * DAY)
        events.append((begin, "step", size * walk.chance.uniform(0.5, 1)))
        events.append((begin + walk.chance.uniform(MINUTE, 3 * HOUR), "step", 0.0))
    return sorted(events)


def run(walk: Walk, events: list[tuple[float, str, float]]) -> None:
    """Walk through the events, looking at everybody before and after each."""
    for moment, kind, size in events:
        walk.run_to(moment)
        walk.look_at_all()
        if kind == "restart":
            walk.restart(size)
        elif kind == "step":
            walk.set_step(size)
        if kind != "look":
            walk.look_at_all()


def test_thirty_days(capsys: pytest.CaptureFixture[str]) -> None:
    """In 30 days nothing is served past its cut-off, and nothing is missing but by the back-off after an outage."""
    walk = Walk(seed=6066, count=1000, hosts=20, lives=(4 * DAY, 10 * DAY), latest=0.9)
    draw_outages(walk, 30)
    run(walk, draw_events(walk, 30))
    walk.stop()
    show(capsys, "30 days, 1,000 certificates", walk)
    assert walk.figures["most at once"] == 8
    assert walk.figures["most at one host"] == 2
    assert walk.figures["restarts"] == 8
    assert walk.figures["staples that a restart kept"] > 4000
    # The walk is rough enough to run out of staples, and they come back.
    assert 0 < walk.figures["of these without a staple"] < 0.05 * walk.figures["handshakes then"]
    assert len(walk.without) < 100


def test_answers_of_eight_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """With answers that live 8 s, published each few seconds, there is a staple at every look for five minutes."""
    walk = Walk(seed=6961, count=10, hosts=5, lives=(8, 8), latest=0.5)
    walk.run_to(2.0)
    for _ in range(3000):
        walk.run_to(walk.clock.seconds() + 0.1)
        walk.look_at_all()
    walk.stop()
    show(capsys, "5 minutes, 10 certificates with answers of 8 s", walk)
    assert walk.figures["of these without a staple"] == 0
    assert walk.figures["questions"] < 10 * 300


def show(capsys: pytest.CaptureFixture[str], title: str, walk: Walk) -> None:
    """Print the figures, also where pytest keeps what tests print to itself."""
    with capsys.disabled():
        print(f"\n{title}:", *(f"  {figure}: {number}" for figure, number in sorted(walk.figures.items())), sep="\n")  # noqa: T201 - figures are to be seen
