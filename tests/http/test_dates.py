"""Dates of header fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.http.dates import format_date, parse_date

NOW = 1_800_000_000.0  # in 2027
EXAMPLE = 784_111_777


def test_dates_are_written_as_imf_fixdate() -> None:
    """RFC 9110 §5.6.7's own example; parts of a second do not count."""
    assert format_date(EXAMPLE + 0.999) == b"Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    "text",
    [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"],
)
def test_all_three_forms_are_read(text: bytes) -> None:
    """RFC 9110 §5.6.7: recipients must read the obsolete ones, too."""
    assert parse_date(text, NOW) == EXAMPLE


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"0",
        b"784111777",
        b"Sun, 06 Nov 1994 08:49:37",
        b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sun, 06 Nov 1994 08:49:37 +0000",
        b"sun, 06 nov 1994 08:49:37 gmt",
        b"Sun, 31 Feb 1994 08:49:37 GMT",
        b"Sun, 06 Nov 0000 08:49:37 GMT",
        b"Sun, 06 Nov 1994 24:49:37 GMT",
        b"Sun, 06 Nov 1994 08:60:37 GMT",
        b"Sun, 06 Nov 1994 08:49:61 GMT",
        b" Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, \u0660\u0666 Nov 1994 08:49:37 GMT".encode(),
    ],
)
def test_what_is_no_date_is_none(text: bytes) -> None:
    """A date is taken as a whole, or not at all."""
    assert parse_date(text, NOW) is None


def test_two_digits_of_a_year_are_at_most_fifty_years_ahead() -> None:
    """RFC 9110 §5.6.7: 77 is 2077 in 2027; 78 would be too far ahead and is 1978."""
    assert parse_date(b"Friday, 01-Jan-77 00:00:00 GMT", NOW) == parse_date(b"Fri, 01 Jan 2077 00:00:00 GMT", NOW)
    assert parse_date(b"Sunday, 01-Jan-78 00:00:00 GMT", NOW) == parse_date(b"Sun, 01 Jan 1978 00:00:00 GMT", NOW)


def test_a_leap_second_is_the_next_ones_first() -> None:
    """RFC 9110 §5.6.7 allows for 60 seconds."""
    leap = parse_date(b"Sat, 31 Dec 2016 23:59:60 GMT", NOW)
    assert leap == parse_date(b"Sun, 01 Jan 2017 00:00:00 GMT", NOW)


@given(st.integers(0, 253_402_300_799))
def test_what_is_written_is_read(seconds: int) -> None:
    """Until the end of the year 9999."""
    assert parse_date(format_date(seconds), NOW) == seconds


@given(st.binary(max_size=60))
def test_anything_may_be_read(text: bytes) -> None:
    """No bytes make the reader fail."""
    assert parse_date(text, NOW) is None
