"""The one place where the wall clock and chance come from.

Everything else is handed them as callables, so that a test can move time and choose what chance says.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

WallClock: TypeAlias = Callable[[], float]
"""Seconds since the epoch, as the operator's clock shows them: it may step in both directions."""

Uniform: TypeAlias = Callable[[float, float], float]
"""A number drawn evenly between two others, for jitter."""

RandomBytes: TypeAlias = Callable[[int], bytes]
"""So many bytes that nobody can guess, for nonces."""

wall_clock: WallClock = time.time
monotonic: Callable[[], float] = time.monotonic
"""Seconds since some moment; never steps, so that it is good for measuring how long something takes."""
uniform: Uniform = random.SystemRandom().uniform
random_bytes: RandomBytes = secrets.token_bytes


def utc(seconds: float) -> datetime:
    """Turn seconds since the epoch into an aware datetime in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
