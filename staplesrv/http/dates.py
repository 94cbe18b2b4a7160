"""Dates of HTTP's header fields: RFC 9110 §5.6.7."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime
from email.utils import format_datetime

from staplesrv import sources

_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_NUMBER_OF_MONTH = {name: number for number, name in enumerate(_MONTHS, 1)}
_MONTH = b"(?P<month>" + b"|".join(_MONTHS) + b")"
_TIME = rb"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DAY = b"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = b"(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"

# What is sent today, and the two forms that recipients must still read.
_FORMS = (
    re.compile(_DAY + b", (?P<day>[0-9]{2}) " + _MONTH + b" (?P<year>[0-9]{4}) " + _TIME + b" GMT"),
    re.compile(_LONG_DAY + b", (?P<day>[0-9]{2})-" + _MONTH + b"-(?P<year>[0-9]{2}) " + _TIME + b" GMT"),
    re.compile(_DAY + b" " + _MONTH + b" (?P<day>[ 0-9][0-9]) " + _TIME + b" (?P<year>[0-9]{4})"),
)


def format_date(seconds: float) -> bytes:
    """Write a time as an IMF-fixdate, whole seconds.

    Args:
        seconds: Since the epoch, in the years 1 to 9999.
    """
    return format_datetime(sources.utc(seconds // 1), usegmt=True).encode()


def parse_date(text: bytes, now: float) -> int | None:
    """Read a date in any of the three forms; whether the day of the week fits is not checked.

    Args:
        text: A field's value.
        now: Seconds since the epoch, which tell the century of a year of two digits.

    Returns:
        Seconds since the epoch; None where it is no date.
    """
    match = next(filter(None, (form.fullmatch(text) for form in _FORMS)), None)
    if match is None:
        return None
    part = match.group
    year = int(part("year"))
    if len(part("year")) == len("94"):
        year = _full_year(year, now)
    month, day, hour, minute = _NUMBER_OF_MONTH[part("month")], int(part("day")), int(part("hour")), int(part("minute"))
    try:
        minutes = datetime(year, month, day, hour, minute, tzinfo=UTC)
    except ValueError:
        return None
    # A leap second, 60, is the same as the one after it.
    second = int(part("second"))
    return calendar.timegm(minutes.timetuple()) + second if second <= 60 else None  # noqa: PLR2004 - the same


def _full_year(year: int, now: float) -> int:
    # RFC 9110 §5.6.7: more than 50 years in the future means the past.
    this = sources.utc(now).year
    full = this - this % 100 + year
    return full - 100 if full > this + 50 else full
