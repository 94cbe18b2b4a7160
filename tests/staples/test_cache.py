"""What a handshake reads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from staplesrv.ocsp.response import Staple, verify_response
from staplesrv.staples.cache import Entry, Held, Reason, StapleCache


@pytest.fixture
def held(world: Any) -> Held:
    """A staple for a week, just made."""
    assignment = world.assign()
    staple = verify_response(world.good(assignment), assignment.target, now=world.now)
    assert isinstance(staple, Staple)
    return Held.of(staple)


def entry_with(held: Held) -> Entry:
    """An entry as the refresher leaves it."""
    entry = Entry(b"fingerprint")
    entry.held, entry.reason = held, Reason.OK
    return entry


def test_a_staple_is_served_up_to_its_cut_off(held: Held) -> None:
    """A staple is served before its cut-off, and at the cut-off it is not."""
    entry = entry_with(held)
    assert entry.current(held.cut_off - 0.001) is held.response_der
    assert entry.current(held.cut_off) == b""
    assert entry.current(held.cut_off + 1e9) == b""


def test_the_cut_off_is_five_minutes_before_the_end(held: Held) -> None:
    """For a response of a week the cut-off lies 300 s before its end."""
    assert held.cut_off == (held.staple.expires - timedelta(seconds=300)).timestamp()


def test_nothing_held_is_no_staple() -> None:
    """Without a staple a handshake gets empty bytes, never None."""
    assert Entry(b"fingerprint").current(0.0) == b""


def test_a_clock_set_back_serves_again(held: Held) -> None:
    """What is past its cut-off is kept: when the clock turns out to have been wrong, it is served again."""
    entry = entry_with(held)
    assert entry.current(held.cut_off + DAY) == b""
    assert entry.current(held.cut_off - DAY) == held.response_der


def test_reasons(held: Held) -> None:
    """A staple is there until its cut-off, and stale from then on."""
    entry = entry_with(held)
    assert entry.fresh(held.cut_off - 1)
    assert not entry.fresh(held.cut_off)
    assert entry.reason_at(held.cut_off - 1) is Reason.OK
    assert entry.reason_at(held.cut_off) is Reason.STALE


def test_a_failure_is_the_better_reason(held: Held) -> None:
    """Past its cut-off a staple is `stale`, unless something worse has been noticed since."""
    entry = entry_with(held)
    entry.reason = Reason.FETCH_FAILED
    assert entry.reason_at(held.cut_off) is Reason.FETCH_FAILED


def test_an_entry_stays_the_same_until_forgotten() -> None:
    """Contexts may keep an entry: a fingerprint means the same object until it is forgotten."""
    cache = StapleCache()
    entry = cache.entry(b"one")
    assert cache.entry(b"one") is entry
    assert cache.entry(b"two") is not entry
    assert [each.fingerprint for each in cache] == [b"one", b"two"]
    cache.forget(b"one")
    cache.forget(b"one")
    assert len(cache) == 1
    assert cache.entry(b"one") is not entry


def test_reasons_have_their_published_names() -> None:
    """The reasons are those of the documentation, in words."""
    names = "ok no-url short-lived no-issuer disabled pending fetch-failed verify-failed unknown revoked stale"
    assert [str(reason) for reason in Reason] == names.split()


DAY = 86400.0
