"""How often a failure is said."""

from __future__ import annotations

from twisted.logger import LogLevel

from staplesrv.ocsp.schedule import Backoff
from staplesrv.staples.keeping.trouble import Trouble

HOUR = 3600.0
WARN = LogLevel.warn


def test_said_at_first_then_after_1_2_4_hours() -> None:
    """One that fails each minute for a day and a half is said at once, after 1 h, 2 h more, 4 h more, and so on."""
    trouble = Trouble()
    said = [minute / 60 for minute in range(36 * 60) if trouble.speaks("network", WARN, minute * 60.0)]
    assert said == [0, 1, 3, 7, 15, 31]


def test_another_kind_is_said_once() -> None:
    """A new kind of failure is said when it first occurs, and kinds that take turns say nothing more."""
    trouble = Trouble()
    kinds = ["network", "network", "verify-failed", "network", "verify-failed", "stale", "network"]
    assert [trouble.speaks(kind, WARN, minute * 60.0) for minute, kind in enumerate(kinds)] == [
        True,
        False,
        True,
        False,
        False,
        True,
        False,
    ]


def test_a_new_kind_does_not_put_the_reminder_off() -> None:
    """The hours count from the first failure, whatever is said in between."""
    trouble = Trouble()
    assert trouble.speaks("network", WARN, 0)
    assert trouble.speaks("stale", WARN, 3000)
    assert not trouble.speaks("network", WARN, 3599)
    assert trouble.speaks("network", WARN, 3600)
    assert not trouble.speaks("stale", WARN, 7200)


def test_quiet_failures_are_not_spoken_of() -> None:
    """What is written for debugging counts as not said: the first loud failure is said."""
    trouble = Trouble()
    assert trouble.speaks("unauthorized", LogLevel.debug, 0)
    assert not trouble.spoken
    assert trouble.speaks("unauthorized", WARN, 10)
    assert trouble.spoken
    assert not trouble.speaks("unauthorized", WARN, 20)


def test_each_kind_counts_for_itself() -> None:
    """Back-off counters do not add up over kinds: an outage of an hour does not make the first refusal cost a day."""
    trouble = Trouble()
    assert [trouble.count(Backoff.TRANSIENT) for _ in range(3)] == [1, 2, 3]
    assert trouble.count(Backoff.REFUSED) == 1
    assert trouble.times() == 4


def test_a_verified_answer_forgives_the_others() -> None:
    """After a verified answer that is not good, only its own counter stays."""
    trouble = Trouble()
    trouble.count(Backoff.TRANSIENT)
    trouble.count(Backoff.UNKNOWN)
    trouble.forgive(Backoff.UNKNOWN)
    assert (trouble.times(), trouble.times([Backoff.UNKNOWN])) == (1, 1)
    trouble.forgive(Backoff.TOO_YOUNG)
    assert trouble.times() == 0
