"""How a whole server is: one frozen value, of which the status page, the metrics and the health check are made.

It has the same shape with and without workers. Nothing here looks anything up: `server.observation` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from staplesrv.ops.report import Finding, Verdict
from staplesrv.staples.cache import Reason

NOBODY_TO_ASK = frozenset({Reason.NO_URL, Reason.SHORT_LIVED, Reason.DISABLED})
"""Why a certificate has no staple, and needs none unless it is must-staple."""


class State(StrEnum):
    """What the server is about."""

    STARTING = "starting"
    """It waits for the first staples, or for its workers; nobody can connect yet."""
    SERVING = "serving"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Reload:
    """What became of a reload.

    Args:
        at: When it ended.
        good: Whether the configuration is the one that is served now.
        line: What was done, or what was wrong.
        failures: Sites of a good one that stay as they were, or away, and why.
    """

    at: datetime
    good: bool
    line: str
    failures: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """What whoever asked for it should know: what was wrong, or else what was done."""
        return self.failures or (self.line,)


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that serves.

    Args:
        seat: Its place among the others, from 1.
        pid: None while it is not there yet.
        state: As of the server. One that stops has a successor in the same seat, or soon.
        heard: When it last gave a sign of life.
        open: Connections that are open in it.
    """

    seat: int
    pid: int | None
    state: State
    heard: datetime
    open: int


@dataclass(frozen=True, slots=True)
class Workers:
    """All processes that serve.

    Args:
        wanted: How many there should be.
        replaced: How many have ended that should not have.
        each: Those that there are.
    """

    wanted: int
    replaced: int
    each: tuple[Worker, ...]

    @property
    def serving(self) -> int:
        """How many of them serve."""
        return sum(worker.state is State.SERVING for worker in self.each)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What came in since the start, of all processes together. What workers say is a few seconds old.

    Args:
        open: Connections that are open.
        accepted: Connections that were let in.
        requests: How many there were.
        closed: Why how many connections were refused or lost; see `tls.connections.Closed`.
        refused: By site, how many requests were too much for its `request_rate`.
    """

    open: int
    accepted: int
    requests: int
    closed: Mapping[str, int]
    refused: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that is served.

    Args:
        site: What its site is called.
        names: What it is for.
        file: Where it is.
        fingerprint: SHA-256 of its DER, hexadecimal.
        not_after: When it ends.
        must_staple: Whether it must not be shown without a staple, by itself or by the operator's word.
        reason: Why it has a staple (`OK`), or has none.
        stapled_until: When its staple is shown no more; None where it has none.
        next_question: When its responder is asked next; None for never, and while it is being asked.
        last_failure: What went wrong since the last good answer; empty for nothing.
    """

    site: str
    names: tuple[str, ...]
    file: str
    fingerprint: str
    not_after: datetime
    must_staple: bool
    reason: Reason
    stapled_until: datetime | None
    next_question: datetime | None
    last_failure: str

    @property
    def stapled(self) -> bool:
        """Whether handshakes show a staple."""
        return self.stapled_until is not None

    @property
    def verdict(self) -> Verdict:
        """How bad it is that it has no staple."""
        if self.stapled or (self.reason in NOBODY_TO_ASK and not self.must_staple):
            return Verdict.OK
        bad = self.reason is Reason.REVOKED or (self.must_staple and self.reason is not Reason.PENDING)
        return Verdict.CRITICAL if bad else Verdict.WARNING

    @property
    def why(self) -> str:
        """Why it has no staple, in words."""
        return f"{self.reason}: {self.last_failure}" if self.last_failure else str(self.reason)


@dataclass(frozen=True, slots=True)
class Status:
    """How the server is.

    Args:
        version: Of the program.
        pid: The process that answers: the supervisor, where there are workers.
        now: As of when this holds.
        since: When it started.
        state: What it is about.
        stalled: The refresher does not tick, so that staples run out.
        reload: The last one; None where there was none.
        failures: Sites that can't be served as their files are now, and why.
        workers: The processes that serve.
        listeners: Where is listened.
        traffic: What came in.
        answers: What responders said, and how often.
        handshakes: By site, how many handshakes ended how.
        certificates: All that are served.
    """

    version: str
    pid: int
    now: datetime
    since: datetime
    state: State
    stalled: bool
    reload: Reload | None
    failures: tuple[str, ...]
    workers: Workers
    listeners: tuple[str, ...]
    traffic: Traffic
    answers: Mapping[str, int]
    handshakes: Mapping[str, Mapping[str, int]]
    certificates: Sequence[Certificate]

    def judged(self) -> Finding:
        """Judge it: how bad it is, and the one sentence that says why."""
        findings = list(self._findings())
        verdict = Verdict.worst(finding.verdict for finding in findings)
        if verdict is Verdict.OK:
            return Finding(verdict, self._well())
        first, *others = (finding.text for finding in findings if finding.verdict is verdict)
        return Finding(verdict, f"{first} (and {len(others)} more)" if others else first)

    def _findings(self) -> Iterator[Finding]:
        if wrong := out_of_service(self.state, self.workers):
            yield Finding(Verdict.CRITICAL if self.state is State.SERVING else Verdict.WARNING, wrong)
        if self.stalled:
            yield Finding(Verdict.CRITICAL, "staples are not looked after any more")
        if self.state is State.SERVING and 0 < self.workers.serving < self.workers.wanted:
            yield Finding(Verdict.WARNING, f"{self.workers.serving} of {self.workers.wanted} workers serve")
        if self.reload is not None and not self.reload.good:
            yield Finding(Verdict.WARNING, f"the last reload failed: {self.reload.line}")
        for failure in self.failures:
            yield Finding(Verdict.WARNING, failure)
        for one in self.certificates:
            if one.verdict is not Verdict.OK:
                yield Finding(one.verdict, f"{one.site} has no staple: {one.why}")

    def _well(self) -> str:
        stapled = sum(one.stapled for one in self.certificates)
        if stapled == len(self.certificates):
            return "the certificate is stapled" if stapled == 1 else f"all {stapled} certificates are stapled"
        return f"{stapled} of {len(self.certificates)} certificates are stapled, the others name no responder to ask"


def out_of_service(state: State, workers: Workers) -> str:
    """Return why clients should go elsewhere; empty where they are served, whatever there is to say of staples."""
    if state is State.STARTING:
        return "starting: nobody can connect yet"
    if state is State.STOPPING:
        return "stopping"
    return "" if workers.serving else "no worker serves"
