"""How often one address may ask of one site."""

from __future__ import annotations

from collections import Counter

import pytest
from fake_exchange import FakeConnection, FakeExchange, Told, request
from twisted.internet.task import Clock

from staplesrv.http.response import Response
from staplesrv.rates import Rate, Rates
from staplesrv.server.hosts import Page
from staplesrv.server.request_rate import Paced, RequestRate

SITE = RequestRate("site 1", Rate(0.4, 2))


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def rates(clock: Clock) -> Rates:
    """Buckets that are full."""
    return Rates(clock.seconds)


class Visitor:
    """Asks from one address."""

    def __init__(self, rates: Rates, network: str = "192.0.2.1", of_site: RequestRate = SITE) -> None:
        self.refused: Counter[str] = Counter()
        self.paced = Paced(Page(Response(200, (), b"hello")), rates, network, of_site, self.refused)

    def ask(self, method: bytes = b"GET") -> Told:
        """Ask once."""
        return FakeExchange(request(method=method), FakeConnection()).give(self.paced)


def test_a_429_says_when_to_come_again(rates: Rates, clock: Clock) -> None:
    """In whole seconds, rounded up; then it is good for one request."""
    visitor = Visitor(rates)
    assert [visitor.ask().status for _ in range(4)] == [200, 200, 429, 429]
    told = visitor.ask()
    assert told.field(b"retry-after") == b"3"
    assert b"429 Too Many Requests" in told.body
    clock.advance(2)
    assert visitor.ask().field(b"retry-after") == b"1"
    clock.advance(1)
    assert [visitor.ask().status for _ in range(2)] == [200, 429]
    assert visitor.refused == {"site 1": 5}


def test_an_address_has_one_rate_over_all_its_connections(rates: Rates) -> None:
    """And others have their own, as have other sites."""
    assert [Visitor(rates).ask().status for _ in range(3)] == [200, 200, 429]
    assert Visitor(rates, "192.0.2.2").ask().status == 200
    assert Visitor(rates, of_site=RequestRate("site 2", SITE.rate)).ask().status == 200
