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
from staplesrv.rates import Rate
from staplesrv.server.hosts import Behind, Hosts, Page
from staplesrv.server.request_rate import RequestRate
from staplesrv.tls.client_policy import ClientPolicy
from staplesrv.tls.sni import SiteTable


@dataclass
class Facts(FakeConnection):
    """The facts of a connection, with what only this room knows."""

    site: FakeSite | None = None
    route: Any = None
    shows_certificate: bool = False


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


def test_an_address_is_held_to_a_site_s_rate(world: World) -> None:
    """Over all of its connections, after a reload too; other sites and other addresses have their own."""
    rate = RequestRate("a", Rate(0.001, 3))
    limited = Behind(A.application, rate=rate)
    world.hosts.sites = {FIRST.loaded.certificate: limited, SECOND.loaded.certificate: B}
    assert [world.again(b"a.example") for _ in range(2)] == [b"a", b"a"]
    world.hosts.sites = {FIRST.loaded.certificate: Behind(A.application, rate=rate), SECOND.loaded.certificate: B}
    assert [world.ask(b"www.a.example") for _ in range(2)] == [b"a", 429]
    assert world.hosts.refused == {"a": 1}
    assert world.again(b"b.example") == b"b"
    world.connection = Facts(client=("2001:db8::1", 1))
    assert [world.again(b"a.example") for _ in range(3)] == [b"a"] * 3
    world.connection = Facts(client=("2001:db8::2", 1))
    assert world.again(b"a.example") == 429
    world.connection = Facts(client=("", 0))
    assert [world.again(b"a.example") for _ in range(5)] == [b"a"] * 5


def test_what_is_refused_is_in_the_access_log(world: World) -> None:
    """With the site's own fields, as every answer of it."""
    lines: list[bytes] = []
    added = FieldLines(((b"X", b"y"),))
    world = World(access_log=AccessLog(lines.append, wall_clock=lambda: 0.0))
    limited = Behind(A.application, added, rate=RequestRate("a", Rate(0.001, 1)))
    world.hosts.sites = {FIRST.loaded.certificate: limited}
    world.again(b"a.example")
    exchange, status = world.exchange(b"a.example")
    assert (status, exchange.added) == (429, added)


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


STAFF, GUESTS = ClientPolicy(True, (b"staff",)), ClientPolicy(False, (b"staff",))


class TestClientCertificates:
    """RFC 9110 §15.5.20: a site that wants other certificates of its clients than the handshake has asked for."""

    def world(self, *sites: FakeSite) -> World:
        """Sites with one certificate, which share connections but for that; the pages are their first names."""
        world = World(FakeFront(SiteTable(sites)))
        world.hosts.sites = {
            site.loaded.certificate: Behind(Page(Response(200, (), site.names[0].encode()))) for site in sites
        }
        return world

    def ask(self, world: World, host: bytes, shown: FakeSite | None, **facts: Any) -> bytes | int:
        """Ask on a connection that the handshake has led to a site."""
        world.connection = Facts(site=shown, **facts)
        return world.again(host)

    @pytest.mark.parametrize("first", [True, False])
    @pytest.mark.parametrize("server_name", [b"open", None])
    @pytest.mark.parametrize("host", [b"guarded", b"GUARDED.:443"])
    def test_no_host_leads_to_a_guarded_site(self, host: bytes, server_name: bytes | None, *, first: bool) -> None:
        """From a handshake for another site, or without TLS; whatever server name the client sent, or none."""
        open_, guarded = fake_site("open", file="one"), fake_site("guarded", file="one", client=STAFF)
        world = self.world(*((guarded, open_) if first else (open_, guarded)))
        for shown in (open_, None):
            assert self.ask(world, host, shown, server_name=server_name) == 421
            # Not even with a certificate: it was verified by nobody, or for another site.
            assert self.ask(world, host, shown, server_name=server_name, shows_certificate=True) == 421
        assert self.ask(world, host, guarded, server_name=server_name, shows_certificate=True) == b"guarded"

    @pytest.mark.parametrize("host", [b"nobody", b"192.0.2.1", b"", b"[::1]"])
    def test_an_unknown_host_does_not_lead_to_it_either(self, host: bytes) -> None:
        """Where the default site is guarded; and a guarded connection does not lead to an open one."""
        open_, guarded = fake_site("open", file="one"), fake_site("guarded", file="one", client=STAFF)
        assert self.ask(self.world(guarded, open_), host, open_) == 421
        assert self.ask(self.world(guarded, open_), host, guarded, shows_certificate=True) == b"guarded"
        assert self.ask(self.world(open_, guarded), host, guarded, shows_certificate=True) == 421

    def test_other_demands(self) -> None:
        """Certificates that were asked for and not required, or of other CAs, open no site that requires them."""
        guarded = fake_site("guarded", file="one", client=STAFF)
        others = [
            fake_site("asks", file="one", client=GUESTS),
            fake_site("other", file="one", client=ClientPolicy(True, (b"other",))),
            fake_site("both", file="one", client=ClientPolicy(True, (b"staff", b"other"))),
        ]
        world = self.world(guarded, *others)
        for other in others:
            assert self.ask(world, b"guarded", other, shows_certificate=True) == 421
            assert self.ask(world, other.names[0].encode(), guarded, shows_certificate=True) == 421

    def test_the_same_demands(self) -> None:
        """They let in the same clients, so that a connection serves both."""
        one, two = (fake_site(name, file="one", client=ClientPolicy(True, (b"staff",))) for name in ("one", "two"))
        assert self.ask(self.world(one, two), b"two", one, shows_certificate=True) == b"two"

    def test_a_required_certificate_that_is_not_there(self) -> None:
        """The handshake can't have come to its end; if it has, by a fault, the site stays closed."""
        guarded = fake_site("guarded", client=STAFF)
        assert self.ask(self.world(guarded), b"guarded", guarded) == 421
        asks = fake_site("asks", client=GUESTS)
        assert self.ask(self.world(asks), b"asks", asks) == b"asks"

    def test_a_reload_closes_connections_of_before(self) -> None:
        """Those that the site has let in by another CA, or without asking; a remembered way does not hold any more."""
        before = fake_site("guarded", client=ClientPolicy(True, (b"old",)))
        world = self.world(before)
        assert self.ask(world, b"guarded", before, shows_certificate=True) == b"guarded"
        world.front.table = SiteTable((fake_site("guarded", client=STAFF),))
        assert world.again(b"guarded") == 421
        open_ = fake_site("guarded")
        world.front.table = SiteTable((open_,))
        assert self.ask(world, b"guarded", open_) == b"guarded"
        world.front.table = SiteTable((fake_site("guarded", client=STAFF),))
        assert world.again(b"guarded") == 421

    def test_a_tunnel(self) -> None:
        """It takes connections that its site has let in, and whose demands are the same still."""
        made = Factory()
        before = fake_site("guarded", client=ClientPolicy(True, (b"old",)))
        world = self.world(before)
        world.hosts.sites = {before.loaded.certificate: Behind(A.application, tunnel=lambda _: made)}
        facts = Facts(site=before, server_name=b"guarded", shows_certificate=True)
        assert world.hosts.tunnel(facts) is made
        assert world.hosts.tunnel(Facts(site=before, server_name=b"guarded")) is None
        assert world.hosts.tunnel(Facts(site=fake_site("open"), server_name=b"guarded")) is None
        world.front.table = SiteTable((fake_site("guarded", client=STAFF),))
        assert world.hosts.tunnel(facts) is None
        world.front.table = None
        assert world.hosts.tunnel(facts) is None
