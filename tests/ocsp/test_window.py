"""When a response holds: thisUpdate, nextUpdate, the ends of certificates, the cut-off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.response import RejectReason, ResponseRejected, Rules, VerifiedResponse
from staplesrv.testing import CertificateAuthority, Leaf

Judge = Callable[..., VerifiedResponse]
Refuse = Callable[..., ResponseRejected]

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LATEST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
EARLIEST = datetime(1, 1, 1, tzinfo=UTC)


def test_a_responder_may_be_five_minutes_ahead(
    ca: CertificateAuthority, leaf: Leaf, judge: Judge, refuse: Refuse, now: datetime
) -> None:
    """At 300 s it passes, a second later it is from the future, and the detail has both clocks."""
    assert judge(ca.respond(leaf, this_update=now + 300 * SECOND)).status == "good"
    refusal = refuse(ca.respond(leaf, this_update=now + 301 * SECOND))
    assert refusal.reason is RejectReason.FUTURE
    assert "2026-06-01 12:05:01Z" in refusal.detail
    assert "2026-06-01 12:00:00Z" in refusal.detail
    assert "Test CA" in refusal.detail


@pytest.mark.parametrize(
    ("life", "margin"),
    [
        (7 * DAY, timedelta(minutes=5)),
        (100 * 60 * SECOND, timedelta(minutes=5)),
        (HOUR, timedelta(minutes=3)),
        (120 * SECOND, 6 * SECOND),
        (8 * SECOND, timedelta(seconds=0.4)),
    ],
)
def test_the_cut_off_is_five_minutes_or_five_percent_before_the_end(
    *, life: timedelta, margin: timedelta, ca: CertificateAuthority, leaf: Leaf, judge: Judge, now: datetime
) -> None:
    """Whichever is less."""
    staple = judge(ca.respond(leaf, this_update=now, next_update=life))
    assert staple.lifetime == life
    assert staple.expires - staple.cut_off == margin


def test_a_response_is_stale_from_its_cut_off_on(
    ca: CertificateAuthority, leaf: Leaf, judge: Judge, refuse: Refuse, now: datetime
) -> None:
    """A microsecond before it passes; at it, it does not."""
    response_der = ca.respond(leaf, this_update=now, next_update=DAY)
    cut_off = now + DAY - 300 * SECOND
    assert judge(response_der, now=cut_off - timedelta(microseconds=1)).cut_off == cut_off
    refusal = refuse(response_der, now=cut_off)
    assert refusal.reason is RejectReason.STALE
    assert "nextUpdate" in refusal.detail
    assert "2026-06-02 12:00:00Z" in refusal.detail


@pytest.mark.parametrize("next_update", [timedelta(0), -SECOND, -DAY])
def test_next_update_must_be_after_this_update(
    next_update: timedelta, ca: CertificateAuthority, leaf: Leaf, refuse: Refuse
) -> None:
    """A response that ends before it begins is refused as that, and not as stale."""
    assert refuse(ca.respond(leaf, next_update=next_update)).reason is RejectReason.INVERTED_TIMES


def test_without_next_update_a_response_is_refused(ca: CertificateAuthority, leaf: Leaf, refuse: Refuse) -> None:
    """The detail names who left it out."""
    refusal = refuse(ca.respond(leaf, next_update=None))
    assert refusal.reason is RejectReason.NO_NEXT_UPDATE
    assert "Test CA" in refusal.detail


def test_the_operator_may_say_how_long_it_holds_without(
    ca: CertificateAuthority, leaf: Leaf, judge: Judge, refuse: Refuse, now: datetime
) -> None:
    """From thisUpdate on, with the usual cut-off; nextUpdate stays absent."""
    rules = Rules(missing_next_update=DAY)
    response_der = ca.respond(leaf, this_update=now - HOUR, next_update=None)
    staple = judge(response_der, rules=rules)
    assert staple.next_update is None
    assert staple.expires == now - HOUR + DAY
    assert refuse(response_der, rules=rules, now=staple.cut_off).reason is RejectReason.STALE


def test_a_next_update_that_is_there_counts(ca: CertificateAuthority, leaf: Leaf, judge: Judge, now: datetime) -> None:
    """The operator's number is for responses without one."""
    assert judge(ca.respond(leaf), rules=Rules(missing_next_update=HOUR)).expires == now + 7 * DAY


def test_a_response_ends_with_its_leaf(ca: CertificateAuthority, judge: Judge, refuse: Refuse, now: datetime) -> None:
    """E is the leaf's end where that is earlier; nextUpdate is kept as it was said."""
    leaf = ca.issue("short.example", not_before=now - DAY, not_after=now + 2 * DAY)
    target = Target.for_leaf(leaf.certificate, ca.certificate)
    staple = judge(ca.respond(leaf), target=target)
    assert staple.expires == now + 2 * DAY
    assert staple.next_update == now + 7 * DAY
    refusal = refuse(ca.respond(leaf), target=target, now=now + 2 * DAY - 300 * SECOND)
    assert refusal.reason is RejectReason.STALE
    assert "the certificate itself" in refusal.detail


def test_a_response_for_a_leaf_that_ended_before_it_is_stale(
    ca: CertificateAuthority, refuse: Refuse, now: datetime
) -> None:
    """A life below zero is no life; the margin does not turn around."""
    leaf = ca.issue("ended.example", not_before=now - 2 * DAY, not_after=now - DAY)
    target = Target.for_leaf(leaf.certificate, ca.certificate)
    assert refuse(ca.respond(leaf), target=target).reason is RejectReason.STALE


def test_a_response_ends_with_its_signer(
    ca: CertificateAuthority, leaf: Leaf, judge: Judge, refuse: Refuse, now: datetime
) -> None:
    """Clients look at the delegated signer's dates, so E is its end where that is earlier."""
    signer = ca.delegate(not_before=now - DAY, not_after=now + HOUR)
    staple = judge(ca.respond(leaf, signer=signer))
    assert staple.expires == now + HOUR
    refusal = refuse(ca.respond(leaf, signer=signer), now=now + HOUR - SECOND)
    assert refusal.reason is RejectReason.STALE
    assert "its signer's certificate" in refusal.detail


def test_a_response_ends_with_its_issuer(judge: Judge, now: datetime) -> None:
    """An issuer that signs by itself has an end too."""
    ca = CertificateAuthority(now=now, not_after=now + DAY)
    leaf = ca.issue("a.example")
    assert judge(ca.respond(leaf), target=Target.for_leaf(leaf.certificate, ca.certificate)).expires == now + DAY


def test_a_response_to_the_end_of_time_is_held(
    ca: CertificateAuthority, leaf: Leaf, judge: Judge, now: datetime
) -> None:
    """9999 is what "for ever" looks like; nothing overflows."""
    staple = judge(ca.respond(leaf, next_update=LATEST))
    assert staple.next_update == LATEST
    assert staple.expires == leaf.certificate.not_valid_after_utc
    by_serial = Target.for_serial(leaf.certificate.serial_number, ca.certificate)
    assert judge(ca.respond(leaf, next_update=LATEST), target=by_serial).expires < LATEST


def test_the_end_of_time_is_no_overflow(leaf: Leaf, judge: Judge, refuse: Refuse) -> None:
    """Sums that would pass the year 9999 are cut there."""
    ca = CertificateAuthority(now=LATEST - DAY, not_before=EARLIEST.replace(year=1950), not_after=LATEST)
    target = Target.for_serial(5, ca.certificate)
    rules = Rules(missing_next_update=timedelta(days=999_999))
    response_der = ca.respond(5, this_update=LATEST - DAY, next_update=None)
    assert judge(response_der, target=target, rules=rules, now=LATEST - DAY).expires == LATEST
    assert refuse(response_der, target=target, rules=rules, now=LATEST).reason is RejectReason.STALE
    assert refuse(response_der, target=target, now=LATEST).reason is RejectReason.NO_NEXT_UPDATE


@pytest.mark.parametrize("this_update", [EARLIEST, LATEST])
def test_the_ends_of_the_calendar_are_refused(
    this_update: datetime, ca: CertificateAuthority, leaf: Leaf, refuse: Refuse
) -> None:
    """Far in the past is stale or inverted, far ahead is the future."""
    reason = refuse(ca.respond(leaf, this_update=this_update, next_update=EARLIEST + HOUR)).reason
    assert reason is (RejectReason.STALE if this_update == EARLIEST else RejectReason.FUTURE)


@pytest.mark.parametrize("now", [EARLIEST, LATEST])
def test_a_clock_at_the_ends_of_the_calendar_refuses(
    now: datetime, ca: CertificateAuthority, leaf: Leaf, refuse: Refuse
) -> None:
    """A machine without a battery asks what time it is; it gets no exception."""
    reason = refuse(ca.respond(leaf), now=now).reason
    assert reason is RejectReason.SIGNER_EXPIRED


def test_a_year_zero_is_malformed(ca: CertificateAuthority, leaf: Leaf, refuse: Refuse) -> None:
    """Python has no such year."""
    response_der = ca.respond(leaf, this_update=EARLIEST, next_update=DAY)
    assert refuse(response_der.replace(b"00010101000000Z", b"00000101000000Z")).reason is RejectReason.MALFORMED


@pytest.mark.parametrize("time", [b"202606011200.5Z", b"2026060112+0100", b"20260601120060Z", b"20260632120000Z"])
def test_times_are_written_in_one_way(
    time: bytes, ca: CertificateAuthority, leaf: Leaf, refuse: Refuse, now: datetime
) -> None:
    """RFC 6960 §4.2.2.1 has GeneralizedTime in UTC to the second, and days that exist."""
    response_der = ca.respond(leaf, this_update=now).replace(b"20260601120000Z", time)
    assert refuse(response_der).reason is RejectReason.MALFORMED
