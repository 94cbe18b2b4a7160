"""When to ask a responder again: refresh points, jitter, back-off. Pure functions; chance comes as a callable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from staplesrv.ocsp.response import Staple, VerifiedResponse

Uniform: TypeAlias = Callable[[float, float], float]
"""A number drawn evenly between two others."""

SECOND: Final = timedelta(seconds=1)
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far apart two refreshes of a staple in good order are.

    Args:
        max_interval: At most this, give or take 10 %.
        min_interval: At least this, where the response lives an hour or more.
    """

    max_interval: timedelta = timedelta(hours=24)
    min_interval: timedelta = timedelta(seconds=300)


class Backoff(StrEnum):
    """What kind of failure the next question waits for."""

    TRANSIENT = "transient"
    REFUSED = "refused"
    TOO_YOUNG = "too-young"
    UNKNOWN = "unknown"
    REVOKED = "revoked"


def refresh_at(response: VerifiedResponse, *, now: datetime, uniform: Uniform, bounds: Bounds = Bounds()) -> datetime:
    """Say when to refresh a response that was not held before."""
    life = response.lifetime
    wish = response.this_update + life * uniform(0.50, 0.60) - now
    if life >= 16 * HOUR:
        wish = min(wish, response.expires - 8 * HOUR - now)
    wish = min(wish, bounds.max_interval * uniform(0.90, 1.10))
    return later(now, max(wish, _floor(response, now, bounds)))


def unchanged_refresh_at(
    response: VerifiedResponse, *, now: datetime, uniform: Uniform, bounds: Bounds = Bounds()
) -> datetime:
    """Say when to ask again after the same response came once more."""
    life = response.lifetime
    if now < response.this_update + life / 2:
        return refresh_at(response, now=now, uniform=uniform, bounds=bounds)
    floor = _floor(response, now, bounds)
    wait = min(max(floor, life / 8), 12 * HOUR, (response.cut_off - now) / 2)
    return later(now, max(wait, SECOND))


def _floor(response: VerifiedResponse, now: datetime, bounds: Bounds) -> timedelta:
    life = response.lifetime
    floor = max(SECOND, life / 10) if life < HOUR else bounds.min_interval
    return min(floor, life * 0.6, max(SECOND, (response.cut_off - now) / 2))


def retry_delay(
    backoff: Backoff,
    failures: int,
    *,
    held: Staple | None,
    now: datetime,
    uniform: Uniform,
    retry_after: timedelta | None = None,
) -> timedelta:
    """Say how long to wait after a failure."""
    left = held.cut_off - now if held is not None and held.cut_off > now else None
    wait = _wait(backoff, min(max(failures, 1), 32), serving=left is not None)
    if held is not None and left is not None:
        least = held.lifetime / 10 if held.lifetime < HOUR else timedelta(seconds=60)
        wait = max(min(wait, left / 8), least)
    wait *= uniform(0.5, 1.5)
    if retry_after is not None:
        most = 6 * HOUR if left is None else min(6 * HOUR, left / 4)
        wait = max(wait, min(retry_after, most))
    return wait


def _wait(backoff: Backoff, failures: int, *, serving: bool) -> timedelta:
    doubled = 2 ** (failures - 1)
    match backoff:
        case Backoff.REVOKED:
            return HOUR
        case Backoff.UNKNOWN:
            return timedelta(seconds=300)
        case Backoff.TOO_YOUNG:
            return min(timedelta(seconds=60) * doubled, timedelta(seconds=300))
        case _ if not serving:
            return min(SECOND * doubled, timedelta(seconds=300))
        case Backoff.REFUSED:
            return min(HOUR * doubled, 12 * HOUR)
        case Backoff.TRANSIENT:
            return min(timedelta(seconds=60) * doubled, HOUR)


def later(now: datetime, delay: timedelta) -> datetime:
    """Add, and stay within what a datetime can hold."""
    latest = datetime.max.replace(tzinfo=UTC)
    return latest if delay > latest - now else now + delay
