from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.ocsp.response import Rules
from staplesrv.server.commands.option_value import parse_moment, parse_serial, parse_timeout, rules


@pytest.mark.parametrize("text", ["abc", "ABC", "0xabc", "0X0ABC", "0a:bc", "00:00:0A:BC", "0a bc", " abc\n", "000abc"])
def test_a_serial_number_is_read_as_any_tool_prints_it(text: str) -> None:
    """Upper or lower case, colons, 0x, leading zeros."""
    assert parse_serial(text) == 0xABC


@pytest.mark.parametrize("text", ["", "0", "00", "0x", "-1", "+1", "g", "1.0", "0x0x1", "1_0", "٣", "f" * 81])
def test_what_is_no_serial_number_is_refused(text: str) -> None:
    """It is positive, and no certificate has one of more than 40 octets."""
    with pytest.raises(ValueError, match="no serial number"):
        parse_serial(text)


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2026-05-04", 0),
        ("2026-05-04T12:00", 12),
        ("2026-05-04T12:00:00Z", 12),
        ("2026-05-04 12:00:00+02:00", 10),
        ("20260504T120000", 12),
        (" 2026-05-04 ", 0),
    ],
)
def test_a_time_is_read_with_and_without_a_zone(text: str, hour: int) -> None:
    """UTC where there is none; a date alone is its first moment."""
    assert parse_moment(text) == datetime(2026, 5, 4, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026", "2026-13-01", "1777896000", "0001-01-01T00:00+23:59", "9999-12-31T23:59-01:00", "1969-12-31"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """So are times so far away that no sum with them exists."""
    with pytest.raises(ValueError, match=r"is no time|is not between"):
        parse_moment(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "0.09", "3601", "ten", "1e999"])
def test_what_is_no_time_to_wait_is_refused(text: str) -> None:
    """Nobody waits for ever."""
    with pytest.raises(ValueError, match=r"not between|could not convert"):
        parse_timeout(text)


def test_a_time_to_wait_is_a_number_of_seconds() -> None:
    """Fractions too."""
    assert parse_timeout(" 2.5 ") == timedelta(seconds=2.5)


@given(st.text())
def test_any_text_is_a_value_or_refused(text: str) -> None:
    """Nothing but ValueError comes out."""
    for parse in (parse_serial, parse_moment, parse_timeout):
        with contextlib.suppress(ValueError):
            assert parse(text)


def test_options_become_rules() -> None:
    """Without any they are those of the server."""
    assert rules(allow_sha1=False, missing_next_update=None) == Rules()
    assert rules(allow_sha1=True, missing_next_update=60) == Rules(True, timedelta(seconds=60))
