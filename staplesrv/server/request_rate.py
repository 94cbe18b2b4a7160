"""How often one address may ask of one site."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from staplesrv.http.exchange import Application, Exchange, Handler
from staplesrv.http.pages import page_with
from staplesrv.http.response import Response
from staplesrv.rates import Rate, Rates

TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class RequestRate:
    """What a site lets one address ask.

    Args:
        site: Which site that is: the same over reloads, and in all processes.
        rate: How often.
    """

    site: str
    rate: Rate


class Paced:
    """A site's application, as one client may use it: what is too much gets a 429. 0.4 us a request (timeit).

    Args:
        application: Answers the rest.
        rates: Has the client's bucket.
        network: Of the client; see `network_of`.
        of_site: How often it may ask.
        refused: How many requests were too much, by site; counted on.
    """

    __slots__ = ("_application", "_key", "_rate", "_rates", "_refused", "_site")

    def __init__(
        self, application: Application, rates: Rates, network: str, of_site: RequestRate, refused: Counter[str]
    ) -> None:
        self._application = application
        self._rates = rates
        self._site = of_site.site
        self._key = f"{network} {of_site.site}"
        self._rate = of_site.rate
        self._refused = refused

    def handle(self, exchange: Exchange) -> Handler | None:
        """Have it answered, or refuse it."""
        wait = self._rates.take(self._key, self._rate)
        if wait:
            self._refused[self._site] += 1
            exchange.send(_too_many(math.ceil(wait)))
            return None
        return self._application.handle(exchange)


@lru_cache(64)
def _too_many(seconds: int) -> Response:
    # RFC 6585 §4, RFC 9110 §10.2.3.
    return page_with(TOO_MANY_REQUESTS, ((b"Retry-After", b"%d" % seconds),))
