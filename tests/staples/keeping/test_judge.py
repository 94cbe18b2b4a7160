"""Verification of what did not come over the network just now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.ocsp.response import RejectReason, ResponseRejected, Revoked, Rules, Staple, verify_response
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.keeping.judge import Judge, own_times
from staplesrv.testing import make_error

DAY = timedelta(days=1)
DAYS = 86400.0
JUDGE = Judge(Rules(), verify_response)


def test_a_stored_staple_is_verified_again(world: Any) -> None:
    """A stored response is a staple while it is one, and refused from its cut-off on."""
    assignment = world.assign()
    response_der = world.good(assignment)
    assert isinstance(JUDGE.stored(response_der, assignment.target, world.now + 6 * DAY), Staple)
    with pytest.raises(ResponseRejected) as caught:
        JUDGE.stored(response_der, assignment.target, world.now + 7 * DAY - timedelta(seconds=300))
    assert caught.value.reason is RejectReason.STALE


def test_a_stored_revocation_does_not_end(world: Any) -> None:
    """A stored revocation counts years after its end."""
    assignment = world.assign(world.leaf(not_after=world.now + 1000 * DAY))
    response_der = world.respond(assignment, "revoked", life=DAYS)
    assert isinstance(JUDGE.stored(response_der, assignment.target, world.now + 900 * DAY), Revoked)


def test_a_forged_revocation_does_not_count(world: Any) -> None:
    """A revocation that was never sound is refused, also when it is old."""
    assignment, other = world.assign(), world.assign(world.leaf("other.example"))
    for response_der in (world.respond(other, "revoked", life=DAYS), world.respond(assignment, "revoked")[:-1] + b"\0"):
        with pytest.raises(ResponseRejected):
            JUDGE.stored(response_der, assignment.target, world.now + 2 * DAY)


def test_an_old_revocation_must_have_been_sound(world: Any) -> None:
    """What is over now and would not have passed in its own time is no revocation."""
    assignment = world.assign()

    def verify(response_der: bytes, target: Any, *, now: Any, rules: Any) -> Any:
        raise ResponseRejected(RejectReason.STALE if now == world.now else RejectReason.SIGNER_EXPIRED, "no")

    with pytest.raises(ResponseRejected) as caught:
        Judge(Rules(), verify).stored(world.respond(assignment, "revoked", age=60), assignment.target, world.now)
    assert caught.value.reason is RejectReason.STALE


def test_a_filed_response_fails_as_a_fetched_one_would(world: Any) -> None:
    """What is wrong with a file becomes one of the kinds of failure."""
    assignment, other = world.assign(), world.assign(world.leaf("other.example"))
    kinds = {
        world.respond(assignment, age=-3600): FailureKind.FUTURE,
        world.respond(assignment, age=8 * DAYS): FailureKind.STALE,
        world.respond(other): FailureKind.VERIFY_FAILED,
        make_error("unauthorized"): FailureKind.BAD_RESPONSE,
        b"garbage": FailureKind.BAD_RESPONSE,
    }
    for response_der, kind in kinds.items():
        with pytest.raises(FetchFailed) as caught:
            JUDGE.filed(response_der, assignment.target, world.now)
        assert caught.value.kind is kind
    assert isinstance(JUDGE.filed(world.good(assignment), assignment.target, world.now), Staple)


def test_own_times_of_a_response(world: Any) -> None:
    """The times in a response are found without believing in it."""
    assert own_times(world.respond(world.assign(), age=60)) == [world.now - timedelta(seconds=60)]


@given(st.binary(max_size=200))
def test_own_times_of_anything(response_der: bytes) -> None:
    """Bytes that are no response have no times."""
    assert own_times(response_der) == []


def test_own_times_of_an_error() -> None:
    """An error status has none either."""
    assert own_times(make_error("try-later")) == []
