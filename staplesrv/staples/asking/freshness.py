"""What a response's HTTP headers say about asking again: max-age, Retry-After, and the validators of a 304.

RFC 9111 and RFC 9110, from the asking side. Every value is a stranger's: what can't be read counts as absent, what is
absurd is capped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER = timedelta(hours=6)
"""No responder keeps us away for longer than this."""

MAX_AGE = timedelta(days=30)
"""Beyond the life of any OCSP response, so a longer max-age says no more than this."""

_MAX_VALUE = 256
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_MAX_AGE_DIRECTIVE = re.compile(r'max-age\s*=\s*"?([0-9]+)"?', re.ASCII | re.IGNORECASE)
_NOT_CACHED = frozenset({"no-cache", "no-store"})


def max_age(cache_control: Sequence[str], age: str | None = None) -> timedelta | None:
    """Read how long an answer stays fresh (RFC 9111 §5.2.2.1).

    Args:
        cache_control: The Cache-Control headers' values.
        age: The Age header's: how long it lay in a cache on the way already (RFC 9111 §5.1).

    Returns:
        Zero to `MAX_AGE`; None where it is not said, or not to be relied on.
    """
    directives = [directive.strip() for value in cache_control for directive in value[:_MAX_VALUE].split(",")]
    if any(directive.lower() in _NOT_CACHED for directive in directives):
        return None
    found = [match.group(1) for directive in directives if (match := _MAX_AGE_DIRECTIVE.fullmatch(directive))]
    if not found:
        return None
    fresh = min(_seconds(digits, MAX_AGE) for digits in found)
    spent = _seconds(age, MAX_AGE) if age is not None and _DIGITS.fullmatch(age) else timedelta(0)
    return max(fresh - spent, timedelta(0))


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Read how long a responder wants to be left alone (RFC 9110 §10.2.3).

    Args:
        value: The header's value, seconds or an HTTP date; None where there is none.
        now: Aware, UTC; what a date is compared with.

    Returns:
        Zero to `MAX_RETRY_AFTER`; None where nothing readable is said.
    """
    if value is None or len(value) > _MAX_VALUE:
        return None
    if _DIGITS.fullmatch(value):
        return _seconds(value, MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        wait = aware - now
    # The parser of e-mail dates lets its own slips out: each has been seen on made-up dates.
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), MAX_RETRY_AFTER)


def validator(value: str | None) -> str | None:
    """Return an ETag or a Last-Modified value if it is fit to be sent back: short, printable ASCII."""
    if not value or len(value) > _MAX_VALUE or not (value.isascii() and value.isprintable()):
        return None
    return value


def _seconds(digits: str, most: timedelta) -> timedelta:
    # Compared by length first: int() refuses thousands of digits, and timedelta overflows well before.
    significant = digits.lstrip("0") or "0"
    limit = int(most.total_seconds())
    return most if len(significant) > len(str(limit)) else timedelta(seconds=min(int(significant), limit))
