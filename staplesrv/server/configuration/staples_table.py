"""The `[staples]` table: durations in seconds become spans of time, and errors get the file's name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.schema import ELSEWHERE, StaplesTable
from staplesrv.server.configuration.table import read_given
from staplesrv.staples.settings import Settings

YEAR = 366 * 86400.0
LONGEST: Mapping[str, float] = {
    "max_interval": YEAR,
    "min_interval": YEAR,
    "missing_next_update": 100 * YEAR,
    "start_wait": 86400.0,
    "timeout": 86400.0,
}
"""Seconds that each duration may last at most; what is beyond is a slip, and would overflow somewhere."""


def read_settings(value: object, place: Place) -> Settings:
    """Make the settings out of the table.

    Args:
        value: The table as it stands in the file.
        place: The file as a whole, for errors.

    Raises:
        OperatorError: a key is unknown, or its value can't be used.
    """
    here = place.within("[staples]")
    given = read_given(value, StaplesTable, here, elsewhere=ELSEWHERE)
    settings = {key: _setting(key, item, here) for key, item in given.items()}
    with here.explaining():
        return Settings(**settings)


def _setting(key: str, item: Any, here: Place) -> Any:
    if key in LONGEST:
        return None if item == "reject" else _span(key, item, here)
    return tuple(item) if isinstance(item, list) else item


def _span(key: str, seconds: float, here: Place) -> timedelta:
    if math.isnan(seconds):
        raise here.error(key, "is no number", "give a number of seconds")
    if seconds < 0:
        raise here.error(key, "is negative", "give a number of seconds")
    if seconds > LONGEST[key]:
        raise here.error(key, "is too long", f"give at most {LONGEST[key]:.0f} seconds")
    return timedelta(seconds=seconds)
