"""One attempt to get a verified answer about one certificate, from all the responders that can give one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from twisted.internet.interfaces import IReactorTime

from staplesrv import sources
from staplesrv.ocsp.response import VerifiedResponse
from staplesrv.sources import RandomBytes, WallClock
from staplesrv.staples.asking.deadline import within
from staplesrv.staples.asking.dialogue import Dialogue
from staplesrv.staples.asking.fetched import Conditional, Fetched
from staplesrv.staples.asking.published import PublishedIssuers
from staplesrv.staples.asking.race import Race
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.failure import FailureKind, FetchFailed, most_telling
from staplesrv.staples.responder import ResponderClient
from staplesrv.staples.settings import Settings

__all__ = ["ATTEMPT_TIMEOUT", "MAX_URLS", "PATIENCE", "YOUNG", "Conditional", "Fetched", "Fetcher"]

ATTEMPT_TIMEOUT = timedelta(seconds=45)
"""Over all URLs, the issuer's certificate included."""

PATIENCE = timedelta(seconds=3)
"""How long a silent responder is alone, while there is nothing to serve."""

MAX_URLS = 3
"""Responders asked in one attempt."""

YOUNG = timedelta(minutes=60)
"""So long after a certificate's start its CA's responders may not know it yet."""


class Fetcher:
    """Makes attempts, and remembers from one to the next what worked.

    Args:
        client: The way to responders.
        settings: See `Settings`.
        reactor: For time-outs.
        wall_clock: What responses' times are compared with.
        random_bytes: For nonces.
        patience: See `PATIENCE`.
        attempt_timeout: See `ATTEMPT_TIMEOUT`.
    """

    def __init__(
        self,
        client: ResponderClient,
        settings: Settings,
        reactor: IReactorTime,
        wall_clock: WallClock = sources.wall_clock,
        *,
        random_bytes: RandomBytes = sources.random_bytes,
        patience: timedelta = PATIENCE,
        attempt_timeout: timedelta = ATTEMPT_TIMEOUT,
    ) -> None:
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._patience = patience.total_seconds()
        self._seconds = attempt_timeout.total_seconds()
        self._dialogue = Dialogue(client, settings, wall_clock, random_bytes)
        self._issuers = PublishedIssuers(client)
        # By the URLs that a certificate names: all that a CA issued share what was learnt.
        self._worked: dict[tuple[str, ...], str] = {}

    async def fetch(
        self, assignment: Assignment, *, held: VerifiedResponse | None = None, conditional: Conditional | None = None
    ) -> Fetched:
        """Get one verified answer about a certificate.

        Args:
            assignment: The certificate, and whom to ask.
            held: The answer that is served meanwhile. While there is one, responders are asked one after the other;
                without one the next is asked beside a silent one.
            conditional: What came with `held`.

        Returns:
            The first answer that verifies, be it good, revoked or unknown; or the news that `held` has not changed.

        Raises:
            FetchFailed: there was none; of several failures the most telling one (`failure.most_telling`).
            CancelledError: the caller cancelled; every connection of this attempt is closed.
        """
        failures: list[FetchFailed] = []
        attempt = self._attempt(assignment, held, conditional, failures)
        return await within(self._seconds, attempt, self._reactor, lambda: self._late(failures))

    async def _attempt(
        self,
        assignment: Assignment,
        held: VerifiedResponse | None,
        conditional: Conditional | None,
        failures: list[FetchFailed],
    ) -> Fetched:
        if not assignment.responder_urls:
            raise FetchFailed(FailureKind.REFUSED, "there is no responder to ask")
        target = assignment.target or await self._issuers.find(assignment)
        consult = partial(
            self._dialogue.consult,
            target=target,
            young=self._is_young(assignment),
            conditional=conditional if held is not None else None,
        )
        entrants = [partial(consult, url) for url in self._in_order(assignment.responder_urls)]
        try:
            fetched = await Race(entrants, None if held else self._patience, self._reactor, failures).run()
        except FetchFailed:
            raise most_telling(failures) from None
        self._worked[assignment.responder_urls] = fetched.url
        return replace(fetched, issuer=None if assignment.target else target.issuer)

    def _in_order(self, urls: tuple[str, ...]) -> Sequence[str]:
        worked = self._worked.get(urls)
        return sorted(urls, key=lambda url: url != worked)[:MAX_URLS]

    def _is_young(self, assignment: Assignment) -> bool:
        return sources.utc(self._wall_clock()) - assignment.not_before < YOUNG

    def _late(self, failures: Sequence[FetchFailed]) -> FetchFailed:
        late = FetchFailed(FailureKind.NETWORK, f"no verified answer within {self._seconds:g} s")
        return most_telling([*failures, late])
