from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.ops.text import columns, iso, moment, plain, span, when

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def test_what_would_steer_a_terminal_appears_as_an_escape() -> None:
    """A certificate's name may hold anything."""
    assert plain("CN=\x1b[31mé\r\n\x85\u202e") == r"CN=\x1b[31mé\r\n\x85\u202e"


@given(st.text())
def test_escaped_text_is_one_printable_line(text: str) -> None:
    """Whatever went in."""
    assert plain(text).isprintable()


def test_columns_line_up_and_leave_out_what_is_empty() -> None:
    """Labels may have any length."""
    assert columns([("a", "1"), ("long", "2"), ("none", "")]) == ["  a      1", "  long   2"]
    assert columns([]) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (-59, "59 s"),
        (60, "1 min"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (86399.6, "1 d"),
        (90000, "1 d 1 h"),
        (86400 + 59, "1 d"),
        (86400 * 1000, "1000 d"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    """Without a sign: before or after is said elsewhere."""
    assert span(timedelta(seconds=seconds)) == text


def test_times_are_told_in_utc() -> None:
    """To the second, also in years before 1000."""
    local = NOON.astimezone(timezone(timedelta(hours=2)))
    assert moment(local) == "2026-05-04 12:00:00 UTC"
    assert iso(local.replace(microsecond=999)) == "2026-05-04T12:00:00Z"
    assert moment(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01 00:00:00 UTC"


def test_a_time_is_told_with_its_distance() -> None:
    """Ahead or behind."""
    assert when(NOON + timedelta(hours=1), NOON) == "2026-05-04 13:00:00 UTC, in 1 h"
    assert when(NOON, NOON + timedelta(days=1, hours=2)) == "2026-05-04 12:00:00 UTC, 1 d 2 h ago"
