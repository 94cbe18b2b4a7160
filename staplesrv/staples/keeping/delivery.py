"""The way of an outcome: into the standing, out to the operator, and on to whoever waits for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from cryptography import x509
from twisted.logger import Logger

from staplesrv.sources import WallClock, utc
from staplesrv.staples.asking.fetched import Fetched
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.keeping.announcer import Announcer
from staplesrv.staples.keeping.case import Case, Phase
from staplesrv.staples.keeping.timing import Timing

IssuerFound: TypeAlias = Callable[[bytes, x509.Certificate], None]
"""Called with a leaf's fingerprint and its issuer's certificate."""

_log = Logger()


class Delivery:
    """Delivers outcomes.

    Args:
        timing: When to ask again.
        announcer: Tells the operator.
        wall_clock: The time.

    Attributes:
        issuer_found: Called when an issuer's certificate had to be fetched.
        totals: How many answers and failures of each kind there were: "new", "same", ... "failed:network", ...
    """

    def __init__(self, timing: Timing, announcer: Announcer, wall_clock: WallClock) -> None:
        self._timing = timing
        self._announcer = announcer
        self._wall_clock = wall_clock
        self.issuer_found: IssuerFound | None = None
        self.totals: Counter[str] = Counter()

    def now(self) -> datetime:
        """The time."""
        return utc(self._wall_clock())

    def answered(self, case: Case, fetched: Fetched) -> None:
        """A verified answer came."""
        if case.phase is Phase.GONE:
            return
        now, before = self.now(), case.trouble
        case.outrun_since = None
        if fetched.response is None and case.held(now) is None and case.verdict is None:
            problem = "the responder says that nothing has changed, but nothing is held"
            self.failed(case, FetchFailed(FailureKind.BAD_RESPONSE, problem, url=fetched.url))
            return
        if fetched.issuer is not None:
            case.unsaved_issuer = fetched.issuer
            self.recognise(case, fetched.issuer)
        taken = case.answered(fetched, now, self._timing)
        self.totals[taken.value] += 1
        self._announcer.answered(case, taken, before, now)
        case.attempt_over()

    def failed(self, case: Case, failure: FetchFailed) -> None:
        """An attempt failed."""
        if case.phase is Phase.GONE:
            return
        now = self.now()
        case.outrun_since = None
        self.totals[f"failed:{failure.kind}"] += 1
        consequence = case.failed(failure, now, self._timing)
        self._announcer.failed(case, consequence, failure, now)
        case.attempt_over()

    def recognise(self, case: Case, issuer: x509.Certificate) -> None:
        """An issuer's certificate that no chain file holds was found, and verifies the leaf."""
        case.assignment = case.assignment.with_issuer(issuer)
        if self.issuer_found is None:
            return
        try:
            self.issuer_found(case.assignment.fingerprint, issuer)
        except Exception:  # noqa: BLE001 - whatever becomes of the chain, the staple must come
            _log.failure("The issuer's certificate that was found could not be put to use")
