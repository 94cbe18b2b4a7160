"""What the operator reads about staples: a line per change of state, saying whose, why, and what happens meanwhile."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from twisted.logger import Logger, LogLevel

from staplesrv.ocsp.text import UNREADABLE, name_text
from staplesrv.sources import WallClock, utc
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.cache import Reason
from staplesrv.staples.failure import FetchFailed, one_line
from staplesrv.staples.keeping.failures import REVOKED, Consequence, of_unknown
from staplesrv.staples.keeping.standing import Standing, Taken, revocation
from staplesrv.staples.keeping.trouble import Trouble
from staplesrv.staples.stores import StoreFailed

SHOWN_NAMES = 3

STORE_TROUBLE_SAID_EVERY = 3600.0
"""Seconds."""

_WHY_NEVER = {
    Reason.NO_URL: (LogLevel.info, "its certificate names no responder"),
    Reason.DISABLED: (LogLevel.info, "its responder is set to be never asked"),
    Reason.SHORT_LIVED: (LogLevel.debug, "it lives 7 days or less and names no responder"),
    Reason.NO_ISSUER: (
        LogLevel.warn,
        "its issuer's certificate is neither in the chain nor published; add it to the chain",
    ),
    Reason.STALE: (LogLevel.error, "its certificate has expired; renew it"),
}

_log = Logger()


class Announcer:
    """Writes what happens to staples into the log.

    Args:
        wall_clock: The time.
    """

    def __init__(self, wall_clock: WallClock) -> None:
        self._wall_clock = wall_clock
        self._store_trouble_said = float("-inf")

    def never(self, standing: Standing, reason: Reason) -> None:
        """There won't be a staple, and nobody will be asked for one."""
        level, why = _WHY_NEVER[reason]
        _log.emit(level, "No staple for {names}: {why}", names=names(standing.assignment), why=why, reason=str(reason))

    def left_aside(self, standing: Standing, problem: str) -> None:
        """What the store had is of no use."""
        _log.info(
            "A stored response for {names} is left aside: {problem}", names=names(standing.assignment), problem=problem
        )

    def answered(self, standing: Standing, taken: Taken, before: Trouble | None, now: datetime) -> None:
        """A verified answer came.

        Args:
            standing: After it.
            taken: What it was.
            before: The trouble that there was before it.
            now: When it came.
        """
        if taken is Taken.REVOKED and standing.verdict is not None:
            self._speak(standing, "revoked", REVOKED, revocation(standing.verdict), now)
        elif taken is Taken.UNKNOWN and standing.trouble is not None:
            consequence = of_unknown(1, now - standing.assignment.not_before)
            self._speak(standing, "unknown", consequence, standing.trouble.last, now)
        elif standing.trouble is None and before is not None and before.spoken:
            _log.info(
                "The staple for {names} is in order again, until {until}",
                names=names(standing.assignment),
                until=_until(standing, now),
            )

    def failed(self, standing: Standing, consequence: Consequence, failure: FetchFailed, now: datetime) -> None:
        """No verified answer came."""
        self._speak(standing, failure.kind, consequence, str(failure), now)

    def store_failed(self, error: StoreFailed) -> None:
        """The store can't be used: said once an hour."""
        now = self._wall_clock()
        if 0 <= now - self._store_trouble_said < STORE_TROUBLE_SAID_EVERY:
            return
        self._store_trouble_said = now
        _log.warn("The store of staples failed: {problem}", problem=one_line(str(error)))

    def _speak(self, standing: Standing, kind: str, consequence: Consequence, what: str, now: datetime) -> None:
        trouble = standing.trouble
        if trouble is None or not trouble.speaks(kind, consequence.level, now.timestamp()):
            return
        _log.emit(
            consequence.level,
            "No new staple for {names}: {what}; {meanwhile}; next try at {next}{hint}",
            names=names(standing.assignment),
            what=one_line(what),
            meanwhile=_meanwhile(standing, now),
            next=f"{utc(standing.due):%Y-%m-%d %H:%M:%S} UTC",
            hint=f" ({consequence.hint})" if consequence.hint else "",
            kind=kind,
            reason=str(standing.entry.reason),
        )


def names(assignment: Assignment) -> str:
    """Name a certificate as people do: by its first host names, or by its subject."""
    try:
        extension = assignment.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        found = extension.value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, *UNREADABLE):
        found = []
    if not found:
        return name_text(assignment.leaf)
    more = f" and {len(found) - SHOWN_NAMES} more" if len(found) > SHOWN_NAMES else ""
    return one_line(", ".join(found[:SHOWN_NAMES])) + more


def _meanwhile(standing: Standing, now: datetime) -> str:
    if standing.held(now) is None:
        return "handshakes carry none"
    return f"the one held is good until {_until(standing, now)}"


def _until(standing: Standing, now: datetime) -> str:
    held = standing.held(now)
    return f"{held.cut_off:%Y-%m-%d %H:%M:%S} UTC" if held is not None else "now"
