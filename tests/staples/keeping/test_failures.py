"""The table of what follows from a failure, row by row."""

from __future__ import annotations

from datetime import timedelta

import pytest
from twisted.logger import LogLevel

from staplesrv.ocsp.schedule import Backoff
from staplesrv.staples.cache import Reason
from staplesrv.staples.failure import FailureKind
from staplesrv.staples.keeping.failures import REVOKED, of_failure, of_unknown

OLD = timedelta(days=3)
YOUNG = timedelta(minutes=59)

WARN, ERROR, DEBUG = LogLevel.warn, LogLevel.error, LogLevel.debug

TABLE = [
    (FailureKind.NETWORK, OLD, Backoff.TRANSIENT, Reason.FETCH_FAILED, WARN),
    (FailureKind.HTTP_STATUS, OLD, Backoff.TRANSIENT, Reason.FETCH_FAILED, WARN),
    (FailureKind.REFUSED, OLD, Backoff.REFUSED, Reason.FETCH_FAILED, WARN),
    (FailureKind.BAD_RESPONSE, OLD, Backoff.TRANSIENT, Reason.FETCH_FAILED, WARN),
    (FailureKind.TRY_LATER, OLD, Backoff.TRANSIENT, Reason.FETCH_FAILED, WARN),
    (FailureKind.UNAUTHORIZED, YOUNG, Backoff.TOO_YOUNG, Reason.PENDING, DEBUG),
    (FailureKind.UNAUTHORIZED, timedelta(minutes=-5), Backoff.TOO_YOUNG, Reason.PENDING, DEBUG),
    (FailureKind.UNAUTHORIZED, timedelta(minutes=60), Backoff.REFUSED, Reason.FETCH_FAILED, WARN),
    (FailureKind.MALFORMED_REQUEST, OLD, Backoff.REFUSED, Reason.FETCH_FAILED, WARN),
    (FailureKind.MALFORMED_REQUEST, YOUNG, Backoff.REFUSED, Reason.FETCH_FAILED, WARN),
    (FailureKind.VERIFY_FAILED, OLD, Backoff.TRANSIENT, Reason.VERIFY_FAILED, ERROR),
    (FailureKind.FUTURE, OLD, Backoff.TRANSIENT, Reason.VERIFY_FAILED, WARN),
    (FailureKind.STALE, OLD, Backoff.TRANSIENT, Reason.STALE, WARN),
    (FailureKind.NO_ISSUER, OLD, Backoff.TRANSIENT, Reason.NO_ISSUER, WARN),
]


@pytest.mark.parametrize(("kind", "age", "backoff", "reason", "level"), TABLE)
def test_rows(kind: FailureKind, age: timedelta, backoff: Backoff, reason: Reason, level: LogLevel) -> None:
    """Each kind of failure has its back-off, its reason and its level, and none drops what is held."""
    consequence = of_failure(kind, age)
    assert (consequence.backoff, consequence.reason, consequence.level) == (backoff, reason, level)
    assert not consequence.drop


def test_every_kind_has_a_row() -> None:
    """No kind of failure is left out of the table."""
    assert {row[0] for row in TABLE} == set(FailureKind)


def test_a_future_response_hints_at_the_clock() -> None:
    """When a response comes from the future, the operator is told to look at the clock."""
    assert "clock" in of_failure(FailureKind.FUTURE, OLD).hint


def test_unknown_is_kept_twice() -> None:
    """The first two answers "unknown" leave the staple, the third drops it, and so does each one after."""
    assert [of_unknown(times, OLD).drop for times in (1, 2, 3, 4)] == [False, False, True, True]
    assert {of_unknown(times, OLD).backoff for times in (1, 2, 3)} == {Backoff.UNKNOWN}
    assert of_unknown(3, OLD).reason is Reason.UNKNOWN


def test_unknown_means_nothing_while_the_leaf_is_young() -> None:
    """In its first hour a certificate may be unknown as often as it likes, and quietly."""
    consequence = of_unknown(10, YOUNG)
    assert (consequence.backoff, consequence.drop, consequence.level) == (Backoff.TOO_YOUNG, False, DEBUG)


def test_revoked_drops_at_once() -> None:
    """A revocation drops the staple, and nothing is logged louder."""
    assert (REVOKED.drop, REVOKED.reason, REVOKED.level) == (True, Reason.REVOKED, LogLevel.critical)
