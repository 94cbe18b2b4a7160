"""One certificate in the refresher's care: how it stands, what is being done about it, and who waits for that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from urllib.parse import urlsplit

from cryptography import x509
from twisted.internet.defer import Deferred

from staplesrv.ocsp.response import Revoked, Staple
from staplesrv.sources import utc
from staplesrv.staples.asking.fetched import Fetched
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.cache import Entry, Reason
from staplesrv.staples.failure import FetchFailed
from staplesrv.staples.keeping.queue import NEVER
from staplesrv.staples.keeping.response_file import Look
from staplesrv.staples.keeping.slots import Rank
from staplesrv.staples.keeping.standing import Standing
from staplesrv.staples.keeping.waiters import Waiters

FILE_POLL = timedelta(seconds=3)
"""How often a response file is looked at."""


class Phase(Enum):
    """What is being done about a certificate."""

    LOADING = auto()
    """Waiting for what the store has."""
    IDLE = auto()
    """In the queue, or with nothing to wait for."""
    WAITING = auto()
    """Due, and in line for a slot."""
    BUSY = auto()
    """An answer is being fetched, read or saved."""
    OVER = auto()
    """There is nobody to ask, or nothing to ask about; see `why_never`."""
    GONE = auto()
    """Removed, or replaced by another case: what still comes in is dropped."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a certificate stands, for people and metrics.

    Args:
        reason: Why it has a staple or none.
        held: The staple, before its cut-off; None for none.
        revoked: What said that it is revoked; None where nothing did.
        next_attempt: When it is asked about next (aware UTC); None for never, and while it is being asked about.
        last_failure: What went wrong last since the last good answer, one printable line; "" for nothing.
        failures: How often something did.
        ignored: How many answers were older than what was held.
    """

    reason: Reason
    held: Staple | None
    revoked: Revoked | None
    next_attempt: datetime | None
    last_failure: str
    failures: int
    ignored: int


@dataclass(slots=True)
class FileWatch:
    """What is known about a response file.

    Args:
        seen: What it looked like when it was judged.
        suspect: What it looked like when it was no good at first sight: perhaps it was being written.
        judged_at: When it was judged, seconds since the epoch.
        under_way: The look that is being taken; it never fails, but may have a failure for its result.
    """

    seen: Look | None = None
    suspect: Look | None = None
    judged_at: float = 0.0
    under_way: Deferred[tuple[Look, bytes | None] | FetchFailed] | None = None


class Case(Standing):
    """A standing with what goes on around it.

    Attributes:
        phase: See `Phase`.
        under_way: The fetch, to be cancelled; None where there is none.
        called_off: What is being done was given up here, so that it is no failure.
        outrun_since: Since when another process is fetching, seconds since the epoch; None where none is.
        file: For a certificate whose responses come out of a file.
        unsaved_issuer: The issuer's certificate that had to be fetched, and that the store does not have yet.
        waiters: Who asked for an attempt, and waits for its end.
        watchers: Who waits for the end of the next attempt, whenever that is.
        settlers: Who waits for the first outcome of all; None after it.
    """

    __slots__ = (
        "called_off",
        "file",
        "outrun_since",
        "phase",
        "settlers",
        "under_way",
        "unsaved_issuer",
        "waiters",
        "watchers",
    )

    def __init__(self, assignment: Assignment, entry: Entry) -> None:
        super().__init__(assignment, entry)
        self.phase = Phase.LOADING
        self.under_way: Deferred[Fetched] | None = None
        self.called_off = False
        self.outrun_since: float | None = None
        self.file = FileWatch() if assignment.staple_file is not None else None
        self.unsaved_issuer: x509.Certificate | None = None
        self.waiters = Waiters()
        self.watchers = Waiters()
        self.settlers: Waiters | None = Waiters()

    def set_due(self, due: datetime, now: datetime) -> None:
        """Say when to ask next. A file is looked at on a steady beat, whatever would hold for a responder."""
        super().set_due(due if self.file is None else now + FILE_POLL, now)

    def rank(self) -> Rank:
        """Whose turn it is first: never asked and must-staple, never asked and nothing held, then by due time.

        Who has failed already waits among the others: a responder that is down must not starve them.
        """
        urgent = self.trouble is None and self.entry.held is None
        return (1 if not urgent else 0, 0 if urgent and self.assignment.must_staple else 1, self.due)

    def host(self) -> str:
        """The host that is asked first."""
        return urlsplit(self.assignment.responder_urls[0]).hostname or ""

    def settle(self) -> None:
        """There is a first outcome."""
        settlers, self.settlers = self.settlers, None
        if settlers is not None:
            settlers.fire()

    def is_hopeful(self, now: datetime, end: datetime) -> bool:
        """Whether there is no staple, and another attempt begins before `end`."""
        over = self.phase in (Phase.OVER, Phase.GONE)
        return not over and self.held(now) is None and self.due < end.timestamp()

    def attempt_over(self) -> None:
        """An attempt came to its end, good or bad."""
        self.settle()
        self.waiters.fire()
        self.watchers.fire()

    def call_off(self) -> None:
        """Give up the fetch that is under way or about to begin."""
        self.called_off = True
        if self.under_way is not None:
            self.under_way.cancel()

    def dismiss(self) -> None:
        """Tell everybody who waits that nothing more comes for now."""
        self.waiters.fire()
        self.watchers.fire()
        if self.settlers is not None:
            self.settlers.fire()

    def leave(self) -> None:
        """Be done with this certificate."""
        self.phase = Phase.GONE
        self.due = NEVER
        self.call_off()
        self.dismiss()

    def status(self, now: datetime) -> Status:
        """See `Status`."""
        return Status(
            reason=self.entry.reason_at(now.timestamp()),
            held=self.held(now),
            revoked=self.verdict,
            next_attempt=utc(self.due) if self.phase is Phase.IDLE and self.due < NEVER else None,
            last_failure=self.trouble.last if self.trouble else "",
            failures=self.trouble.times() if self.trouble else 0,
            ignored=self.ignored,
        )


def why_never(assignment: Assignment, now: datetime) -> Reason | None:
    """Why nobody is to be asked about a certificate; None where there is somebody to ask."""
    if now >= assignment.not_after:
        return Reason.STALE
    if assignment.staple_file is None and not assignment.responder_urls:
        if assignment.disabled:
            return Reason.DISABLED
        return Reason.SHORT_LIVED if assignment.short_lived else Reason.NO_URL
    if assignment.target is None and (assignment.staple_file is not None or not assignment.issuer_urls):
        return Reason.NO_ISSUER
    return None
