"""What comes up the channel is checked: a worker may be anybody's."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.server.processes import reports

ONES = [
    reports.Prepared(1),
    reports.Failed(1, "a.toml", "is wrong", "mend it", "key"),
    reports.Serving(0),
    reports.Beat(1, 2, 3, {"lost": 4}, [(5, "stapled", 6)]),
    reports.Beat(1, 2, 3, {}, [], [("site 1 (a.example)", 7)]),
    reports.Line("error", "text"),
]


@pytest.mark.parametrize("report", ONES, ids=repr)
def test_reports_come_out_as_they_went_in(report: reports.Report) -> None:
    """All kinds."""
    assert reports.unpacked(reports.packed(report)) == report


def test_the_fullest_report_is_short_enough() -> None:
    """Or it would end the worker."""
    closed = {f"{why}{'x' * 40}": 1 << 52 for why in range(10, 74)}
    handshakes = [(1 << 32, "missing:verify-failed", 1 << 52)] * reports.MOST_HANDSHAKES
    refused = [(f"site 12345 ({'n' * 253})", 1 << 52)] * reports.MOST_REFUSED
    fullest = reports.Beat(1 << 52, 1 << 52, 1 << 52, closed, handshakes, refused)
    assert reports.unpacked(reports.packed(fullest)) == fullest
    assert len(reports.packed(fullest)) <= reports.LONGEST


@given(st.binary())
def test_anything_else_is_no_report(data: bytes) -> None:
    """And nothing is raised for it."""
    got = reports.unpacked(data)
    assert got is None or reports.packed(got)


@pytest.mark.parametrize(
    "said",
    [
        {"type": "prepared", "round": -1},
        {"type": "prepared", "round": 1 << 60},
        {"type": "line", "level": "nonsense", "text": ""},
        {"type": "line", "level": "info", "text": "x" * (reports.LONGEST_LINE + 1)},
        {"type": "failed", "round": 1, "where": "x" * 5000, "problem": "", "advice": "", "key": ""},
        {"type": "beat", "open": 0, "accepted": 0, "requests": 0, "closed": {str(i): 0 for i in range(65)}},
        {"type": "unheard-of"},
        [],
    ],
)
def test_what_is_out_of_bounds_is_no_report(said: object) -> None:
    """By number, length or kind."""
    assert reports.unpacked(msgspec.msgpack.encode(said)) is None
