from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from twisted.web.http import stringToDatetime

from staplesrv.testing.delivery import http_date


def test_a_date_is_as_http_has_it() -> None:
    """A moment in any zone becomes GMT, with names in English."""
    moment = datetime(1994, 11, 6, 10, 49, 37, tzinfo=timezone(timedelta(hours=2)))
    assert http_date(moment) == b"Sun, 06 Nov 1994 08:49:37 GMT"


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2199, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_twisted_reads_every_date(moment: datetime) -> None:
    """What is written is read back as the same second."""
    assert stringToDatetime(http_date(moment)) == int(moment.timestamp())
