"""Which single responses speak of our certificate, and which of several counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.ocsp.certid import CertID, Target
from staplesrv.ocsp.response import RejectReason, ResponseRejected, Rules, VerifiedResponse, verify_response
from staplesrv.testing import CertificateAuthority, Leaf, Single

Judge = Callable[..., VerifiedResponse]
Refuse = Callable[..., ResponseRejected]

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.mark.parametrize("hash_name", ["sha1", "sha256", "sha384", "sha512"])
def test_a_cert_id_matches_under_every_hash(
    hash_name: str, ca: CertificateAuthority, leaf: Leaf, target: Target, judge: Judge
) -> None:
    """Whatever hash was asked for; the response's own is told."""
    staple = judge(ca.respond(leaf, hash_name=hash_name))  # type: ignore[arg-type]
    assert staple.cert_id == target.cert_id(hash_name)


def test_a_response_without_any_single_response_matches_nothing(
    ca: CertificateAuthority, leaf: Leaf, refuse: Refuse
) -> None:
    """An empty list is a list."""
    assert refuse(ca.respond(leaf, singles=())).reason is RejectReason.NO_MATCHING_RESPONSE


@pytest.mark.parametrize("field", ["issuer_name_hash", "issuer_key_hash", "serial_number"])
@pytest.mark.parametrize("hash_name", ["sha1", "sha512"])
def test_all_three_parts_of_a_cert_id_must_match(
    field: str, hash_name: str, ca: CertificateAuthority, target: Target, refuse: Refuse
) -> None:
    """A response about something else is never taken for ours; the detail has the serial number that was missing."""
    ours = target.cert_id(hash_name)
    parts = {name: getattr(ours, name) for name in CertID.__slots__}
    parts[field] = ours.serial_number + 1 if field == "serial_number" else bytes(len(parts[field]))
    refusal = refuse(ca.respond(CertID(**parts)))
    assert refusal.reason is RejectReason.NO_MATCHING_RESPONSE
    assert f"{target.serial_number:x}" in refusal.detail


def test_a_cert_id_under_another_hash_is_no_match(ca: CertificateAuthority, leaf: Leaf, refuse: Refuse) -> None:
    """SHA-224 and hashes that nobody knows are not looked at."""
    sha256 = bytes.fromhex("0609608648016503040201")
    response_der = ca.respond(leaf, hash_name="sha256")
    for last in (b"\x04", b"\x0a", b"\x7f"):
        assert refuse(response_der.replace(sha256, sha256[:-1] + last)).reason is RejectReason.NO_MATCHING_RESPONSE


def test_others_may_stand_beside_ours(ca: CertificateAuthority, leaf: Leaf, judge: Judge, now: datetime) -> None:
    """Whatever they say, and wherever ours stands."""
    others = [ca.single(number, "revoked", this_update=now - 90 * DAY) for number in range(1, 40)]
    ours = ca.single(leaf, this_update=now - HOUR)
    for place in (0, 20, 39):
        singles = [*others[:place], ours, *others[place:]]
        assert judge(ca.respond(leaf, singles=singles)).this_update == now - HOUR


STATUSES = ("good", "unknown", "revoked")


@pytest.mark.parametrize("first", STATUSES)
@pytest.mark.parametrize("second", STATUSES)
def test_of_several_the_worst_status_counts(
    first: str, second: str, ca: CertificateAuthority, leaf: Leaf, judge: Judge
) -> None:
    """Revoked before unknown before good, in any order, also under different hashes."""
    singles = [ca.single(leaf, first), ca.single(leaf, second, hash_name="sha256")]  # type: ignore[arg-type]
    worst = max(first, second, key=STATUSES.index)
    assert judge(ca.respond(leaf, singles=singles)).status == worst


def test_of_several_the_cert_id_and_the_times_are_those_of_the_worst(
    ca: CertificateAuthority, leaf: Leaf, target: Target, judge: Judge, now: datetime
) -> None:
    """A newer "good" beside it changes nothing about a "revoked"."""
    revoked = ca.single(leaf, "revoked", this_update=now - DAY, next_update=3 * DAY, hash_name="sha256")
    verdict = judge(ca.respond(leaf, singles=[ca.single(leaf, this_update=now), revoked]))
    assert verdict.status == "revoked"
    assert verdict.this_update == now - DAY
    assert verdict.expires == now + 2 * DAY
    assert verdict.cert_id == target.cert_id("sha256")


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_of_several_good_ones_all_must_hold(
    order: slice, ca: CertificateAuthority, leaf: Leaf, judge: Judge, now: datetime
) -> None:
    """From the latest thisUpdate to the earliest nextUpdate."""
    singles = [
        ca.single(leaf, this_update=now - 2 * DAY, next_update=3 * DAY),
        ca.single(leaf, this_update=now - HOUR, next_update=7 * DAY),
    ]
    staple = judge(ca.respond(leaf, singles=singles[order]))
    assert staple.this_update == now - HOUR
    assert staple.next_update == staple.expires == now + DAY


@pytest.mark.parametrize(
    ("life", "reason"),
    [
        ((-12, -9), RejectReason.STALE),
        ((-9, 0), RejectReason.STALE),
        ((1, 9), RejectReason.FUTURE),
        ((0, -1), RejectReason.INVERTED_TIMES),
        ((-1, None), RejectReason.NO_NEXT_UPDATE),
    ],
)
def test_one_of_several_good_ones_that_does_not_hold_spoils_the_response(
    *,
    life: tuple[int, int | None],
    reason: RejectReason,
    ca: CertificateAuthority,
    leaf: Leaf,
    refuse: Refuse,
    now: datetime,
) -> None:
    """A client might look at just that one."""
    start, end = life
    odd = ca.single(
        leaf, this_update=now + start * DAY, next_update=None if end is None else now + end * DAY, hash_name="sha256"
    )
    good = ca.single(leaf, this_update=now - 8 * DAY, next_update=20 * DAY)
    assert refuse(ca.respond(leaf, singles=[good, odd])).reason is reason


def test_a_missing_next_update_counts_from_its_own_this_update(
    ca: CertificateAuthority, leaf: Leaf, judge: Judge, now: datetime
) -> None:
    """Of two, the one without nextUpdate may be the first to end."""
    singles = [
        ca.single(leaf, this_update=now - HOUR, next_update=None),
        ca.single(leaf, this_update=now, next_update=7 * DAY),
    ]
    staple = judge(ca.respond(leaf, singles=singles), rules=Rules(missing_next_update=DAY))
    assert staple.expires == now - HOUR + DAY
    assert staple.next_update == now + 7 * DAY


single_lists = st.lists(
    st.tuples(st.sampled_from(STATUSES), st.integers(-20, 1), st.none() | st.integers(-21, 20)), min_size=1, max_size=5
)


@given(parts=single_lists)
def test_whatever_is_said_a_staple_is_good_and_current(
    parts: Sequence[tuple[str, int, int | None]], ca: CertificateAuthority, leaf: Leaf, target: Target, now: datetime
) -> None:
    """A staple comes only where every single response says good, has begun, and has not ended."""
    singles = [
        Single(
            target.cert_id("sha1"),
            status,  # type: ignore[arg-type]
            now + start * HOUR,
            None if end is None else now + end * HOUR,
        )
        for status, start, end in parts
    ]
    sound = all(status == "good" and start <= 0 and end is not None and end > 0 for status, start, end in parts)
    try:
        verdict = verify_response(ca.respond(leaf, singles=singles), target, now=now)
    except ResponseRejected:
        assert not sound
    else:
        assert (verdict.status == "good") == sound
        assert verdict.this_update <= now < verdict.cut_off < verdict.expires
