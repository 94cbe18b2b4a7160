"""What stands behind options: numbers and times out of text, and the options that `verify` and `check` share."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import click

from staplesrv.ocsp.response import Rules

_YEARS: Final = range(1970, 9000)
_SHORTEST: Final = 0.1
_LONGEST: Final = 3600.0
_CENTURY: Final = 36525 * 86400
_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])


def parse_serial(value: str) -> int:
    """Read a serial number in hexadecimal as any tool prints it: `0x0a:BC`, `0A BC`, `abc`.

    Raises:
        ValueError: it is none.
    """
    digits = re.sub(r"[\s:]", "", value).lower().removeprefix("0x").lstrip("0")
    # RFC 5280 §4.1.2.2: positive, 20 octets at most. Some CAs went over that; no certificate has 40 octets.
    if not re.fullmatch(r"[0-9a-f]{1,80}", digits):
        raise ValueError(f"{value[:100]!r} is no serial number in hexadecimal")
    return int(digits, 16)


def parse_moment(value: str) -> datetime:
    """Read a date, or a date with a time, in ISO 8601; UTC where it names no zone.

    Returns:
        An aware datetime in UTC.

    Raises:
        ValueError: it is no time, or far from any that a certificate could have.
    """
    try:
        time = datetime.fromisoformat(value.strip())
        moment = (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{value[:100]!r} is no time like 2026-01-31T12:00:00Z") from error
    if moment.year not in _YEARS:
        raise ValueError(f"{value[:100]!r} is not between the years {_YEARS[0]} and {_YEARS[-1]}")
    return moment


def parse_timeout(value: str) -> timedelta:
    """Read a number of seconds to wait for somebody: a tenth to an hour.

    Raises:
        ValueError: it is none.
    """
    seconds = float(value)
    # Put so that NaN fails too.
    if not _SHORTEST <= seconds <= _LONGEST:
        raise ValueError(f"{seconds:g} is not between {_SHORTEST:g} and {_LONGEST:g} seconds")
    return timedelta(seconds=seconds)


def parsed(parse: Callable[[str], _T]) -> Callable[[click.Context, click.Parameter, str | None], _T | None]:
    """Make the callback of an option or argument out of a function that raises ValueError."""

    def callback(ctx: click.Context, param: click.Parameter, value: str | None) -> _T | None:
        try:
            return None if value is None else parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from error

    return callback


def rules_options(command: _F) -> _F:
    """Add the options that loosen the rules, named as the settings in `[staples]`; `rules` reads them."""
    seconds = click.IntRange(1, _CENTURY)
    said = "How long a response without nextUpdate is good for; rejected without this option."
    command = click.option("--missing-next-update", type=seconds, metavar="SECONDS", help=said)(command)
    return click.option("--allow-sha1", is_flag=True, help="Accept signatures with SHA-1.")(command)


def rules(*, allow_sha1: bool, missing_next_update: int | None) -> Rules:
    """What the options of `rules_options` say."""
    length = None if missing_next_update is None else timedelta(seconds=missing_next_update)
    return Rules(allow_sha1=allow_sha1, missing_next_update=length)
