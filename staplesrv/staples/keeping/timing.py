"""When to ask about one certificate again, drawn from the rules of `ocsp.schedule` with this server's settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from staplesrv.ocsp.response import Staple, VerifiedResponse
from staplesrv.ocsp.schedule import LONG_LIFE, RESERVE, Backoff, Bounds, refresh_at, retry_delay, unchanged_refresh_at
from staplesrv.sources import Uniform

SPREAD = timedelta(seconds=60)
"""Over so long a start spreads the questions about certificates that have a staple already."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The schedule of one server.

    Args:
        bounds: From its settings.
        uniform: Chance.
    """

    bounds: Bounds
    uniform: Uniform

    def after_new(self, response: VerifiedResponse, now: datetime, max_age: timedelta | None = None) -> datetime:
        """When to ask again after an answer that was not held before."""
        return polite(refresh_at(response, now=now, uniform=self.uniform, bounds=self.bounds), response, now, max_age)

    def after_same(self, response: VerifiedResponse, now: datetime, max_age: timedelta | None = None) -> datetime:
        """When to ask again after the answer held came once more, or an older one."""
        due = unchanged_refresh_at(response, now=now, uniform=self.uniform, bounds=self.bounds)
        return polite(due, response, now, max_age)

    def after_start(self, staple: Staple, now: datetime) -> datetime:
        """When to ask about a staple that was found in the store: when its time has come, but not all at once."""
        due = refresh_at(staple, now=staple.this_update, uniform=self.uniform, bounds=self.bounds)
        spread = min(SPREAD, (staple.cut_off - now) / 8)
        return max(due, now + spread * self.uniform(0, 1))

    def after_failure(
        self, backoff: Backoff, failures: int, held: Staple | None, now: datetime, retry_after: timedelta | None = None
    ) -> datetime:
        """When to ask again after `failures` failures of one kind."""
        return now + retry_delay(backoff, failures, held=held, now=now, uniform=self.uniform, retry_after=retry_after)


def polite(due: datetime, response: VerifiedResponse, now: datetime, max_age: timedelta | None) -> datetime:
    """Put a question off until HTTP's max-age has passed: till then a cache on the way would answer, not the responder.

    Args:
        due: When it would be asked otherwise.
        response: The answer that the max-age came with.
        now: When it came.
        max_age: None where nothing was said. Nothing is put off beyond three quarters of the answer's life, nor into
            the last 8 hours of one that lives 16 or more.
    """
    if max_age is None:
        return due
    latest = response.this_update + 0.75 * response.lifetime
    if response.lifetime >= LONG_LIFE:
        latest = min(latest, response.expires - RESERVE)
    return max(due, min(now + max_age, latest))
