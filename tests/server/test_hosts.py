"""Which site answers a request."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass, field
from typing import Any

import pytest
from fake_exchange import FakeConnection, FakeExchange, request
from server.fake_site import FakeSite, fake_site
from twisted.internet.protocol import Factory

from staplesrv.http.access_log import AccessLog
from staplesrv.http.exchange import FieldLines
from staplesrv.http.response import Response
from staplesrv.server.hosts import Behind, Hosts, Page
from staplesrv.tls.sni import SiteTable


@dataclass
class Facts(FakeConnection):
    """The facts of a connection, with what only this room knows."""

    site: FakeSite | None = None
    route: Any = None


@dataclass
class FakeFront:
    """Where the sites are."""

    table: Any = None


FIRST, SECOND = fake_site("a.example", "www.a.example"), fake_site("b.example", "*.b.example")
A, B = Behind(Page(Response(200, (), b"a"))), Behind(Page(Response(200, (), b"b")))


@dataclass
class World:
    """Two sites, each with something behind it."""

    front: FakeFront = field(default_factory=lambda: FakeFront(SiteTable((FIRST, SECOND))))
    access_log: AccessLog | None = None
    connection: Facts = field(default_factory=Facts)

    def __post_init__(self) -> None:
        sites = {FIRST.loaded.certificate: A, SECOND.loaded.certificate: B}
        self.hosts = Hosts(self.front, sites, self.access_log)

    def ask(self, host: bytes, shown: FakeSite | None = None) -> bytes | int:
        """Ask on a new connection; what came back, or its status where that is no 200."""
        self.connection = Facts(site=shown)
        return self.again(host)

    def again(self, host: bytes) -> bytes | int:
        """Ask on the same connection."""
        return self.exchange(host)[1]

    def exchange(self, host: bytes) -> tuple[FakeExchange, bytes | int]:
        """The same, with the exchange."""
        exchange = FakeExchange(request(fields=((b"host", host),)), self.connection)
        told = exchange.give(self.hosts)
        return exchange, told.body if told.status == 200 else told.status


@pytest.fixture
def world() -> World:
    """Two sites."""
    return World()


@pytest.mark.parametrize("host", [b"b.example", b"B.Example:8443", b"b.example.", b"www.b.example", b"b.example:"])
def test_a_host_leads_to_its_site(world: World, host: bytes) -> None:
    """Whatever its case and port, with a dot at its end, by a wildcard."""
    assert world.ask(host) == b"b"


@pytest.mark.parametrize("host", [b"", b"c.example", b"192.0.2.1", b"a.b.b.example", b"\xff\x00", b"[::1]:443", b":"])
def test_an_unknown_host_leads_to_the_first_site(world: World, host: bytes) -> None:
    """As an unknown server name does."""
    assert world.ask(host) == b"a"


def test_before_there_are_sites_nothing_is_found() -> None:
    """No listener is open by then."""
    assert World(FakeFront()).ask(b"a.example") == 404


def test_a_site_without_anything_behind_it_is_not_found(world: World) -> None:
    """It is on its way in or out."""
    world.hosts.sites = {}
    assert world.ask(b"a.example") == 404


def test_the_handshake_s_site_answers(world: World) -> None:
    """The usual case: server name and host are the same."""
    assert world.ask(b"b.example", SECOND) == b"b"


def test_another_certificate_s_site_is_misdirected(world: World) -> None:
    """The staple that the client saw says nothing about this one, be it the first site's."""
    assert world.ask(b"b.example", FIRST) == 421
    assert world.ask(b"a.example", SECOND) == 421


def test_a_client_that_named_no_server_asks_for_what_it_likes(world: World) -> None:
    """It took whatever certificate came."""
    world.connection = Facts(site=FIRST, server_name=None)
    assert world.again(b"b.example") == b"b"


def test_two_sites_with_one_certificate_share_connections() -> None:
    """The client saw the staple of both."""
    other = fake_site("other.example", file="a.example")
    world = World(FakeFront(SiteTable((FIRST, other))))
    world.hosts.sites = {FIRST.loaded.certificate: A, other.loaded.certificate: B}
    assert world.ask(b"other.example", FIRST) == b"b"


def test_an_older_connection_goes_on_after_a_reload(world: World) -> None:
    """The site is another object then, of the same files."""
    assert world.ask(b"b.example", fake_site("b.example", "new.b.example")) == b"b"


def test_the_first_site_answers_for_whatever_is_unknown(world: World) -> None:
    """Also on a connection for another site."""
    assert world.ask(b"c.example", SECOND) == b"a"


def test_one_connection_may_ask_for_several_sites(world: World) -> None:
    """The last one is remembered, and not taken for the next."""
    world.connection = Facts(server_name=None)
    assert [world.again(host) for host in (b"a.example", b"b.example", b"a.example", b"A.example")] == [
        b"a",
        b"b",
        b"a",
        b"a",
    ]


def test_a_reload_shows_on_connections_that_are_open(world: World) -> None:
    """Both what is behind a site, and which sites there are."""
    assert world.ask(b"b.example", SECOND) == b"b"
    world.hosts.sites = {SECOND.loaded.certificate: A}
    assert world.again(b"b.example") == b"a"
    world.front.table = SiteTable((FIRST,))
    assert world.again(b"b.example") == 404
    world.hosts.sites = {FIRST.loaded.certificate: B}
    assert world.again(b"b.example") == b"b"


def test_a_connection_at_rest_keeps_no_sites_alive(world: World) -> None:
    """After a reload there may be thousands of old ones."""
    assert world.ask(b"b.example", SECOND) == b"b"
    old = weakref.ref(world.front.table)
    world.front.table = SiteTable((FIRST, SECOND))
    assert World().ask(b"a.example") == b"a"
    other, world.connection = world.connection, Facts(site=FIRST)
    assert world.again(b"a.example") == b"a"
    gc.collect()
    assert old() is None
    assert other.route is not None


def test_a_site_s_fields_and_its_limit_go_to_the_exchange(world: World) -> None:
    """Set before the application sees it."""
    added = FieldLines(((b"Strict-Transport-Security", b"max-age=1"),))
    world.hosts.sites = {FIRST.loaded.certificate: Behind(A.application, added, 5)}
    exchange, _ = world.exchange(b"a.example")
    assert exchange.added is added
    assert exchange.body_limit == 5


def test_every_exchange_is_in_the_access_log() -> None:
    """Those that were refused, too."""
    lines: list[bytes] = []
    world = World(access_log=AccessLog(lines.append))
    world.ask(b"a.example")
    world.ask(b"b.example", FIRST)
    assert [line.split(b'" ')[1].split()[0] for line in lines] == [b"200", b"421"]


def test_a_tunnel_takes_connections_whose_handshake_was_for_its_site(world: World) -> None:
    """Whatever the client named; others speak HTTP."""
    made = Factory()
    tunnel = Behind(A.application, tunnel=lambda _: made)
    world.hosts.sites = {FIRST.loaded.certificate: tunnel, SECOND.loaded.certificate: B}
    assert world.hosts.tunnel(Facts(site=FIRST, server_name=None)) is made
    assert world.hosts.tunnel(Facts(site=SECOND)) is None
    assert world.hosts.tunnel(Facts(site=fake_site("c.example"))) is None
    assert world.hosts.tunnel(Facts()) is None


def test_a_tunnel_s_site_has_no_answer_to_requests(world: World) -> None:
    """They came on a connection for another site."""
    world.hosts.sites = {FIRST.loaded.certificate: Behind(A.application, tunnel=lambda _: Factory())}
    assert world.ask(b"a.example") == 421
