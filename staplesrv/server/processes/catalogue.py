"""What all workers are to show: the supervisor's sites, each with a number, and their staples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import count

from staplesrv.server.processes import orders, reports
from staplesrv.staples.cache import Held, Reason
from staplesrv.tls.connection import FAULT, NOT_ASKED, RESUMED, STAPLED
from staplesrv.tls.live_site import REFUSED, LiveSite
from staplesrv.tls.stage import Stage

_OUTCOMES = {STAPLED, RESUMED, NOT_ASKED, FAULT, REFUSED, *(f"missing:{reason}" for reason in Reason)}


class Catalogue:
    """Says what to tell workers of a stage, and adds up what they tell of its sites.

    Args:
        stage: The supervisor's, with sites and staples.

    Attributes:
        numbers: Of the sites. A site keeps its number, and no other one ever gets it.
    """

    def __init__(self, stage: Stage) -> None:
        self.numbers: dict[LiveSite, int] = {}
        self._stage = stage
        self._counters: dict[int, Counter[str]] = {}
        self._next_number = count(1)
        self._told: dict[bytes, tuple[Held | None, Reason]] = {}

    @property
    def known(self) -> frozenset[int]:
        """What a worker knows that was told of all sites."""
        return frozenset(self.numbers.values())

    def number(self) -> None:
        """Give numbers to what the stage shows now."""
        before = self.numbers
        self.numbers = {site: before.get(site) or next(self._next_number) for site in self._stage.live}
        # What workers had counted before they were told comes after that.
        self._counters = {number: site.handshakes for sites in (before, self.numbers) for site, number in sites.items()}

    def show(self, known: Collection[int]) -> orders.Show:
        """Make the order to show all sites.

        Args:
            known: Numbers of the sites that the worker has, with their staples.
        """
        sites = tuple((number, None if number in known else site.loaded) for site, number in self.numbers.items())
        fresh = [site for site, number in self.numbers.items() if number not in known]
        staples = (orders.Staple(one.fingerprint, one.held, one.reason) for site in fresh for one in site.entries)
        return orders.Show(sites, tuple(staples))

    def renewed(self) -> tuple[orders.Staple, ...]:
        """Return the staples that are others than at the last look: 1 ms for ten thousand."""
        now = {entry.fingerprint: (entry.held, entry.reason) for entry in self._stage.cache}
        told, self._told = self._told, now
        return tuple(orders.Staple(one, *now[one]) for one in now if one not in told or told[one] != now[one])

    def count(self, beat: reports.Beat) -> None:
        """Add handshakes to their sites: those that there are, and outcomes that there can be."""
        for number, outcome, more in beat.handshakes:
            counter = self._counters.get(number)
            if counter is not None and outcome in _OUTCOMES:
                counter[outcome] += more
