"""The HTTP server as other programs embed it."""

from __future__ import annotations

from fake_exchange import FakeExchange, request
from twisted.internet.task import Clock
from twisted.web.static import Data

from staplesrv.http.response import Response
from staplesrv.server.configuration.listener import DEFAULT_PROTOCOLS
from staplesrv.server.hosts import Page
from staplesrv.server.http_site import HTTPSite


def test_a_resource_is_served() -> None:
    """As by Twisted's own Site."""
    leaf = Data(b"hello", "text/plain")
    leaf.isLeaf = True
    told = FakeExchange(request()).give(HTTPSite(leaf, Clock()).application)
    assert (told.status, told.body) == (200, b"hello")


def test_an_application_is_served() -> None:
    """With a limit for bodies, or none."""
    for limit in (5, None):
        exchange = FakeExchange(request())
        site = HTTPSite(Page(Response(200, (), b"hello")), Clock(), max_body=limit)
        assert exchange.give(site.application).body == b"hello"
        assert exchange.body_limit == limit


def test_both_versions_are_offered() -> None:
    """Where HTTP/2 is installed, as by the server itself."""
    site = HTTPSite(Page(Response(204)), Clock())
    assert site.acceptableProtocols() == [name.encode() for name in DEFAULT_PROTOCOLS]
    assert HTTPSite(Page(Response(204)), Clock(), protocols=["http/1.1"]).acceptableProtocols() == [b"http/1.1"]
