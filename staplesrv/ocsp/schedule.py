"""When to ask a responder again: refresh points, jitter, back-off.

Pure functions over times; chance comes as a callable. The numbers are in docs/stapling.md. Two things hold for all of
them: no refresh of a staple is planned for after its cut-off, and no responder is asked in a tight loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from staplesrv.ocsp.response import Staple, VerifiedResponse
from staplesrv.sources import Uniform

SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
LATEST: Final = datetime.max.replace(tzinfo=UTC)

LONG_LIFE: Final = 16 * HOUR
"""A response that lives this long is refreshed `RESERVE` before its end, whatever else is set."""
RESERVE: Final = 8 * HOUR

UNCHANGED_CAP: Final = 12 * HOUR
EMPTY_CAP: Final = 300 * SECOND
"""The longest back-off while there is nothing to show."""
RETRY_AFTER_CAP: Final = 6 * HOUR
MOST_DOUBLINGS: Final = 20
"""More would only make numbers large: every cap is reached by then."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far apart two refreshes are while all goes well.

    Args:
        max_interval: At most this, give or take 10 %.
        min_interval: At least this, for a response that lives an hour or more, but at most 60 % of its life.

    Raises:
        ValueError: one of them is not above zero.
    """

    max_interval: timedelta = 24 * HOUR
    min_interval: timedelta = 300 * SECOND

    def __post_init__(self) -> None:
        if min(self.max_interval, self.min_interval) <= timedelta(0):
            raise ValueError("an interval is above zero")


DEFAULT_BOUNDS: Final = Bounds()


class Backoff(StrEnum):
    """What a failure was, as far as the next question is concerned."""

    TRANSIENT = "transient"
    """No answer, a server's error, or an answer that does not verify."""
    REFUSED = "refused"
    """Another 4xx; or unauthorized or malformedRequest, for a leaf older than an hour."""
    TOO_YOUNG = "too-young"
    """Unauthorized or unknown, for a leaf younger than an hour: the responder has not heard of it yet."""
    UNKNOWN = "unknown"
    """A verified answer that says unknown."""
    REVOKED = "revoked"
    """A verified answer that says revoked."""


def refresh_at(
    response: VerifiedResponse, *, now: datetime, uniform: Uniform, bounds: Bounds = DEFAULT_BOUNDS
) -> datetime:
    """Say when to ask for what follows a response that has just come.

    Args:
        response: The response.
        now: The time, aware.
        uniform: Chance.
        bounds: What the operator decided.

    Returns:
        A time after now; before the cut-off, if now is.
    """
    life = response.lifetime
    wait = response.this_update + life * uniform(0.50, 0.60) - now
    wait = min(wait, bounds.max_interval * uniform(0.90, 1.10))
    if life >= LONG_LIFE:
        wait = min(wait, response.expires - RESERVE - now)
    return _after(now, max(wait, _floor(response, now, bounds)))


def unchanged_refresh_at(
    response: VerifiedResponse, *, now: datetime, uniform: Uniform, bounds: Bounds = DEFAULT_BOUNDS
) -> datetime:
    """Say when to ask again after the response that is held came once more.

    Args:
        response: The response.
        now: The time, aware.
        uniform: Chance.
        bounds: What the operator decided.

    Returns:
        A time after now; before the cut-off, if now is.
    """
    life = response.lifetime
    if now < response.this_update + life / 2:
        return refresh_at(response, now=now, uniform=uniform, bounds=bounds)
    wait = max(life / 8, _floor(response, now, bounds))
    wait = min(wait, UNCHANGED_CAP, (response.cut_off - now) / 2)
    # Halving what is left again and again would end in a tight loop.
    return _after(now, max(wait, min(SECOND, life / 10)))


def _floor(response: VerifiedResponse, now: datetime, bounds: Bounds) -> timedelta:
    life = response.lifetime
    floor = max(SECOND, life / 10) if life < HOUR else bounds.min_interval
    # Close to the cut-off the distance gives way: a client without a staple is worse than one more question.
    left = max((response.cut_off - now) * 2 / 3, min(SECOND, life / 10))
    return min(floor, life * 0.6, left)


def retry_delay(
    backoff: Backoff,
    failures: int,
    *,
    held: Staple | None,
    now: datetime,
    uniform: Uniform,
    retry_after: timedelta | None = None,
) -> timedelta:
    """Say how long to wait after a failure.

    Args:
        backoff: What it was.
        failures: How many there were in a row, this one included.
        held: The staple in hand; None for none.
        now: The time, aware.
        uniform: Chance.
        retry_after: What the responder asked for.

    Returns:
        The time to wait, above zero.
    """
    doubled = 1 << min(max(failures - 1, 0), MOST_DOUBLINGS)
    most = RETRY_AFTER_CAP
    if held is not None and held.cut_off > now:
        left = held.cut_off - now
        least = held.lifetime / 10 if held.lifetime < HOUR else MINUTE
        # As the cut-off nears there are ever more tries, down to one a minute.
        wait = max(min(_serving_wait(backoff, doubled), left / 8), least)
        most = min(most, left / 4)
    else:
        wait = _empty_wait(backoff, doubled)
    wait *= uniform(0.5, 1.5)
    # Never sooner than by our own rule, and no responder may talk a staple past its cut-off.
    return wait if retry_after is None else max(wait, min(retry_after, most))


def _serving_wait(backoff: Backoff, doubled: int) -> timedelta:
    if backoff is Backoff.TRANSIENT:
        return min(MINUTE * doubled, HOUR)
    if backoff is Backoff.REFUSED:
        return min(HOUR * doubled, 12 * HOUR)
    return _answered_wait(backoff, doubled)


def _empty_wait(backoff: Backoff, doubled: int) -> timedelta:
    if backoff is Backoff.TRANSIENT or backoff is Backoff.REFUSED:
        return min(SECOND * doubled, EMPTY_CAP)
    return _answered_wait(backoff, doubled)


def _answered_wait(backoff: Backoff, doubled: int) -> timedelta:
    match backoff:
        case Backoff.TOO_YOUNG:
            return min(MINUTE * doubled, 300 * SECOND)
        case Backoff.UNKNOWN:
            return 300 * SECOND
        case _:
            return HOUR


def _after(now: datetime, wait: timedelta) -> datetime:
    return now + min(wait, LATEST - now)
