"""What follows when no good answer came: the table of docs/stapling.md, row by row, as pure functions.

What a row says about the staple held is in `drop`; everything else is kept until its cut-off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from twisted.logger import LogLevel

from staplesrv.ocsp.schedule import Backoff
from staplesrv.staples.attempt import YOUNG
from staplesrv.staples.cache import Reason
from staplesrv.staples.failure import FailureKind

KEPT_UNKNOWN: Final = 2
"""So many answers "unknown" in a row leave the staple where it is; the next one drops it."""


@dataclass(frozen=True, slots=True)
class Consequence:
    """What to do about one failure.

    Args:
        backoff: Which rule says when to ask again.
        reason: Why there is no staple, where there is none.
        level: How loud to say it.
        hint: What the operator may look at.
        drop: Whether the staple held is dropped.
    """

    backoff: Backoff
    reason: Reason
    level: LogLevel
    hint: str = ""
    drop: bool = False


_WARN: Final = LogLevel.warn
_OUTAGE: Final = Consequence(Backoff.TRANSIENT, Reason.FETCH_FAILED, _WARN)
_REFUSED: Final = Consequence(Backoff.REFUSED, Reason.FETCH_FAILED, _WARN)
_CLOCK: Final = "is this machine's clock right?"

_YOUNG: Final = Consequence(Backoff.TOO_YOUNG, Reason.PENDING, LogLevel.debug)
"""CAs publish a new certificate's status minutes after issuing it: nothing is wrong yet."""

_ROWS: Final = {
    FailureKind.NETWORK: _OUTAGE,
    FailureKind.HTTP_STATUS: _OUTAGE,
    FailureKind.BAD_RESPONSE: _OUTAGE,
    FailureKind.TRY_LATER: _OUTAGE,
    FailureKind.REFUSED: _REFUSED,
    FailureKind.UNAUTHORIZED: _REFUSED,
    FailureKind.MALFORMED_REQUEST: _REFUSED,
    FailureKind.VERIFY_FAILED: Consequence(Backoff.TRANSIENT, Reason.VERIFY_FAILED, LogLevel.error),
    FailureKind.FUTURE: Consequence(Backoff.TRANSIENT, Reason.VERIFY_FAILED, _WARN, _CLOCK),
    FailureKind.STALE: Consequence(Backoff.TRANSIENT, Reason.STALE, _WARN, _CLOCK),
    FailureKind.NO_ISSUER: Consequence(
        Backoff.TRANSIENT, Reason.NO_ISSUER, _WARN, "put the issuer's certificate into the chain"
    ),
}

REVOKED: Final = Consequence(Backoff.REVOKED, Reason.REVOKED, LogLevel.critical, "replace the certificate", drop=True)
"""The responder says, signed, that the certificate is revoked."""


def of_failure(kind: FailureKind, leaf_age: timedelta) -> Consequence:
    """What follows when there was no verified answer.

    Args:
        kind: What went wrong.
        leaf_age: How long ago the leaf's validity began.
    """
    if kind is FailureKind.UNAUTHORIZED and leaf_age < YOUNG:
        return _YOUNG
    return _ROWS[kind]


def of_unknown(times: int, leaf_age: timedelta) -> Consequence:
    """What follows when the responder says, signed, that it does not know the certificate.

    Args:
        times: How many times it did, this one included, since it last said "good".
        leaf_age: How long ago the leaf's validity began.
    """
    if leaf_age < YOUNG:
        return _YOUNG
    return Consequence(Backoff.UNKNOWN, Reason.UNKNOWN, _WARN, drop=times > KEPT_UNKNOWN)
