"""What HTTP headers say about asking again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.staples.asking.freshness import MAX_AGE, MAX_RETRY_AFTER, max_age, retry_after, validator

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADERISH = st.one_of(
    st.text(max_size=300),
    st.text(st.sampled_from(list('0123456789 ,;="-+.:maxgeGMTSunJa')), max_size=60),
    st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,9} [A-Z][a-z]{2} [0-9]{1,9} [0-9]{1,9}:[0-9]{1,4}:[0-9]{1,4} [-+GMT0-9]+"),
)


class TestMaxAge:
    """`max_age` reads Cache-Control, less what Age says is over."""

    @pytest.mark.parametrize(
        ("cache_control", "seconds"),
        [
            (["max-age=600"], 600),
            (["public, no-transform, must-revalidate, max-age=600"], 600),
            (["public", "MAX-AGE=600"], 600),
            (['max-age="600"'], 600),
            (["max-age=0"], 0),
            (["max-age=000600"], 600),
            (["max-age=600, max-age=60"], 60),
            (["s-maxage=600"], None),
            (["max-age=-1"], None),
            (["max-age=6e2"], None),
            (["max-age"], None),
            (["max-age=600, no-cache"], None),
            (["no-store,max-age=600"], None),
            ([], None),
            (["max-age=\u0666"], None),
        ],
    )
    def test_the_directive(self, cache_control: list[str], seconds: int | None) -> None:
        """Seconds are read where they are said, the least of several; what forbids caching makes them void."""
        assert max_age(cache_control) == (None if seconds is None else timedelta(seconds=seconds))

    def test_a_huge_one_is_capped(self) -> None:
        """An absurd max-age is no more than the longest that makes sense."""
        assert max_age(["max-age=" + "9" * 200]) == MAX_AGE

    def test_what_lay_in_a_cache_is_taken_off(self) -> None:
        """Age is time that is over already, down to nothing."""
        assert max_age(["max-age=600"], "100") == timedelta(seconds=500)
        assert max_age(["max-age=600"], "9" * 5000) == timedelta(0)
        assert max_age(["max-age=600"], "soon") == timedelta(seconds=600)

    @given(st.lists(HEADERISH, max_size=3), st.none() | HEADERISH)
    def test_no_header_raises(self, cache_control: list[str], age: str | None) -> None:
        """Whatever the headers are, the outcome is None or between zero and the cap."""
        found = max_age(cache_control, age)
        assert found is None or timedelta(0) <= found <= MAX_AGE


class TestRetryAfter:
    """`retry_after` reads seconds or a date."""

    def test_seconds(self) -> None:
        """Digits are seconds."""
        assert retry_after("120", NOW) == timedelta(seconds=120)
        assert retry_after("0", NOW) == timedelta(0)

    def test_a_date(self) -> None:
        """An HTTP date is compared with now."""
        assert retry_after(format_datetime(NOW + timedelta(minutes=9), usegmt=True), NOW) == timedelta(minutes=9)

    def test_a_date_without_a_zone_is_utc(self) -> None:
        """-0000 says that the zone is not known: it is taken as UTC."""
        assert retry_after("Sun, 01 Mar 2026 12:01:00 -0000", NOW) == timedelta(minutes=1)

    def test_a_date_that_is_over_is_no_wait(self) -> None:
        """A date in the past is zero, not less."""
        assert retry_after(format_datetime(NOW - timedelta(days=9), usegmt=True), NOW) == timedelta(0)

    @pytest.mark.parametrize("value", ["99999999", "9" * 200, "Fri, 31 Dec 9999 23:59:59 GMT"])
    def test_nobody_keeps_us_away_for_long(self, value: str) -> None:
        """An absurd wait is capped."""
        assert retry_after(value, NOW) == MAX_RETRY_AFTER

    @pytest.mark.parametrize(
        "value", [None, "", "-5", "1.5", "soon", "9" * 300, "Sun, 99 Mar 2026 12:00:00 GMT", "\u0661"]
    )
    def test_what_cannot_be_read_says_nothing(self, value: str | None) -> None:
        """Anything else counts as absent."""
        assert retry_after(value, NOW) is None

    @given(HEADERISH)
    def test_no_header_raises(self, value: str) -> None:
        """Whatever the header is, the outcome is None or between zero and the cap."""
        found = retry_after(value, NOW)
        assert found is None or timedelta(0) <= found <= MAX_RETRY_AFTER


class TestValidator:
    """`validator` lets through what is fit to be sent back."""

    @pytest.mark.parametrize("value", ['"abc"', 'W/"abc"', "Sun, 01 Mar 2026 12:00:00 GMT"])
    def test_what_is_fit(self, value: str) -> None:
        """Printable ASCII goes back as it came."""
        assert validator(value) == value

    @pytest.mark.parametrize("value", [None, "", '"a\r\nb"', '"\x00"', '"é"', '"' + "a" * 256])
    def test_what_is_not(self, value: str | None) -> None:
        """What could break a header, or is too long, is forgotten."""
        assert validator(value) is None
