"""How one certificate stands: what is held, what went wrong, when to ask again. No I/O, no Deferreds, no log.

Each answer and each failure is a method that takes `now`, changes what handshakes read (the entry is written here and
nowhere else), and leaves `due` at the moment to ask again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from staplesrv.ocsp.response import Revoked, Staple, VerifiedResponse
from staplesrv.ocsp.schedule import Backoff
from staplesrv.staples.asking.fetched import Conditional, Fetched
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.cache import Entry, Held, Reason
from staplesrv.staples.failure import FetchFailed
from staplesrv.staples.keeping.failures import REVOKED, Consequence, of_failure, of_unknown
from staplesrv.staples.keeping.queue import NEVER
from staplesrv.staples.keeping.timing import Timing
from staplesrv.staples.keeping.trouble import Trouble


class Taken(StrEnum):
    """What a verified answer turned out to be."""

    NEW = "new"
    SAME = "same"
    OLDER = "older"
    """Than what is held: ignored."""
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class Standing:
    """What is known about one certificate.

    Args:
        assignment: The certificate, and whom to ask.
        entry: What handshakes read.

    Attributes:
        due: When to ask next, seconds since the epoch; `NEVER` where nobody is to be asked.
        delay: How far ahead `due` lay when it was set, in seconds; see `clock_set_back`.
        verdict: The answer that said "revoked": nothing older counts any more.
        conditional: For the next question, what came with the last answer.
        trouble: What went wrong since the last good answer; None where nothing did.
        unsaved: The answer that the store does not have yet.
        unwanted: The staple was dropped, and must not come back out of the store.
        ignored: How many answers were older than what was held.
    """

    __slots__ = (
        "assignment",
        "conditional",
        "delay",
        "due",
        "entry",
        "ignored",
        "trouble",
        "unsaved",
        "unwanted",
        "verdict",
    )

    def __init__(self, assignment: Assignment, entry: Entry) -> None:
        self.assignment = assignment
        self.entry = entry
        self.due = NEVER
        self.delay = 0.0
        self.verdict: Revoked | None = None
        self.conditional: Conditional | None = None
        self.trouble: Trouble | None = None
        self.unsaved: VerifiedResponse | None = None
        self.unwanted = False
        self.ignored = 0

    def held(self, now: datetime) -> Staple | None:
        """The staple that handshakes get at `now`; None past its cut-off, too."""
        held = self.entry.held
        return held.staple if held is not None and now.timestamp() < held.cut_off else None

    def supersedes(self, response: VerifiedResponse, now: datetime) -> bool:
        """Whether a response is newer than all that is known here."""
        held = self.held(now)
        known = held or self.verdict
        if known is None or response.this_update > known.this_update:
            return True
        # Of two answers from one moment the worse counts.
        return held is not None and isinstance(response, Revoked) and response.this_update == held.this_update

    def loaded(self, response: VerifiedResponse | None, now: datetime, timing: Timing) -> None:
        """Take what the store had, verified again; None for nothing."""
        if response is not None:
            self._take(response, now)
        held = self.held(now)
        if held is not None:
            self._well(now, timing.after_start(held, now))
        elif self.verdict is not None:
            self._suffer(REVOKED, revocation(self.verdict), now, timing)
        else:
            self.set_due(now, now)

    def answered(self, fetched: Fetched, now: datetime, timing: Timing) -> Taken:
        """Take a verified answer. "Not changed" may only be said while something is held.

        Raises:
            ValueError: it was said all the same.
        """
        response = fetched.response or self.held(now) or self.verdict
        if response is None:
            raise ValueError("nothing is held that could be unchanged")
        taken = self._take(response, now)
        if taken is Taken.NEW:
            self.conditional, self.unsaved, self.unwanted = fetched.conditional, response, False
            self._well(now, timing.after_new(response, now, fetched.max_age))
        elif taken is Taken.SAME:
            self.conditional = fetched.conditional or self.conditional
            self._well(now, timing.after_same(response, now, fetched.max_age))
        elif taken is Taken.OLDER:
            self._older(now, timing)
        elif isinstance(response, Revoked):
            self.conditional, self.unsaved = None, response
            self._suffer(REVOKED, revocation(response), now, timing)
        else:
            self._unknown(now, timing)
        return taken

    def failed(self, failure: FetchFailed, now: datetime, timing: Timing) -> Consequence:
        """Take note that no verified answer came."""
        consequence = of_failure(failure.kind, now - self.assignment.not_before)
        self._suffer(consequence, str(failure), now, timing, failure.retry_after)
        return consequence

    def out_of_reach(self, reason: Reason) -> None:
        """Nobody will be asked any more. What is held goes, unless it ends by itself with the certificate."""
        self.due = NEVER
        self.entry.reason = reason if self.verdict is None else Reason.REVOKED
        if reason is not Reason.STALE:
            self.entry.held = None

    def set_due(self, due: datetime, now: datetime) -> None:
        """Say when to ask next."""
        self.due = due.timestamp()
        self.delay = max(self.due - now.timestamp(), 0.0)

    def clock_set_back(self, now: float) -> None:
        """The clock was set back to `now`: what is due must not lie further ahead than it was meant to."""
        if self.due < NEVER:
            self.due = min(self.due, now + self.delay)

    def _take(self, response: VerifiedResponse, now: datetime) -> Taken:
        held = self.held(now)
        known = held or self.verdict
        if known is not None and response.this_update < known.this_update:
            return Taken.OLDER
        if isinstance(response, Revoked):
            self.verdict, self.entry.held = response, None
            return Taken.REVOKED
        if not isinstance(response, Staple):
            return Taken.UNKNOWN
        if self.verdict is not None and response.this_update <= self.verdict.this_update:
            return Taken.OLDER
        if held is not None and (response.this_update, response.expires) <= (held.this_update, held.expires):
            return Taken.SAME
        self.verdict, self.entry.held = None, Held.of(response)
        return Taken.NEW

    def _well(self, now: datetime, due: datetime) -> None:
        self.trouble = None
        self.entry.reason = Reason.OK
        self.set_due(due, now)

    def _older(self, now: datetime, timing: Timing) -> None:
        self.ignored += 1
        held = self.held(now)
        if held is not None:
            self._well(now, timing.after_same(held, now))
        else:
            self.set_due(timing.after_failure(Backoff.REVOKED, 1, None, now), now)

    def _unknown(self, now: datetime, timing: Timing) -> None:
        trouble = self.trouble = self.trouble or Trouble()
        consequence = of_unknown(trouble.times([Backoff.UNKNOWN]) + 1, now - self.assignment.not_before)
        trouble.forgive(consequence.backoff)
        self._suffer(consequence, "the responder does not know the certificate", now, timing)

    def _suffer(
        self, consequence: Consequence, what: str, now: datetime, timing: Timing, retry_after: timedelta | None = None
    ) -> None:
        trouble = self.trouble = self.trouble or Trouble()
        trouble.last = what
        if consequence.drop and self.verdict is None:
            self.entry.held, self.conditional, self.unsaved, self.unwanted = None, None, None, True
        backoff = consequence.backoff if self.verdict is None else Backoff.REVOKED
        held = self.held(now)
        self.set_due(timing.after_failure(backoff, trouble.count(backoff), held, now, retry_after), now)
        if held is None:
            self.entry.reason = consequence.reason if self.verdict is None else Reason.REVOKED
        else:
            self.entry.reason = Reason.OK


def revocation(verdict: Revoked) -> str:
    """What a verdict says, for the log."""
    reason = f", reason {verdict.revocation_reason}" if verdict.revocation_reason else ""
    return f"revoked at {verdict.revoked_at:%Y-%m-%d %H:%M} UTC{reason}, says {verdict.signer}"
