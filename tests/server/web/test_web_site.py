"""Twisted Web's Site as it is used here, over HTTP on a wire in memory."""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime
from typing import Any

import h2.config
import h2.connection
import h2.events
from OpenSSL import SSL
from server.wire import Wire, ask, fake_site, hosts_of, send, web_site
from twisted.internet import reactor
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.static import Data

from staplesrv import sources
from staplesrv.server.web.web_site import SERVER, WebSite, site_shown
from staplesrv.tls.connection import ServerConnection


class Words(Data):
    """Says the same under every path."""

    isLeaf = True


A, B = Words(b"this is a", "text/plain"), Words(b"this is b", "text/plain")
SITES = [fake_site("a.example"), fake_site("b.example")]


class Echo(Resource):
    """Says what was asked for."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        """Answer any method."""
        return b"%s %s %s" % (request.method, request.path, request.getRequestHostname())


class WebSiteTests(TestCase):
    """Two sites behind one listener."""

    def setUp(self) -> None:
        """Make them."""
        hosts = hosts_of(SITES, {"a.example": A, "b.example": B})
        self.site = WebSite(hosts, ["h2", "http/1.1"], reactor)

    def tearDown(self) -> None:
        """Nothing that a client did left a traceback."""
        assert not self.flushLoggedErrors()

    async def test_the_host_header_chooses_the_site(self) -> None:
        """With a port or without; an unknown one gets the first."""
        for host, body in (
            ("a.example", b"this is a"),
            ("b.example", b"this is b"),
            ("B.EXAMPLE:8443", b"this is b"),
            ("c.example", b"this is a"),
            ("[::1]:443", b"this is a"),
        ):
            assert (await ask(self.site, "/", host=host)).body == body, host

    async def test_a_missing_host_gets_the_first_site(self) -> None:
        """HTTP/1.0 has none."""
        answer = await send(self.site, b"GET / HTTP/1.0\r\n\r\n")
        assert answer.endswith(b"this is a")

    async def test_an_overlong_line_is_refused(self) -> None:
        """And the channel leaves the transport before it closes it, since TLS waits for its producer."""
        for start in (b"GET /", b"GET / HTTP/1.1\r\nA: "):
            for end in (b"", b"\r\n\r\n"):
                wire = Wire()
                protocol = self.site.buildProtocol(None)
                assert protocol is not None
                protocol.makeConnection(wire)
                protocol.dataReceived(start + b"x" * 17_000 + end)
                assert wire.value().startswith(b"HTTP/1.1 400 ")
                assert wire.disconnecting
                assert wire.producer is None
                protocol.connectionLost(Failure(ConnectionDone()))

    async def test_odd_hosts_get_the_first_site(self) -> None:
        """Or are a bad request; never a traceback."""
        for host in ("", "a" * 3000, "b.example/../", "\xff\xfe", "b.example:99999999", "[", ":", "%00", "b.example b"):
            answer = await ask(self.site, "/", host=host)
            assert answer.status in (200, 400, 404), host

    async def test_the_absolute_form_names_its_host(self) -> None:
        """RFC 9112 §3.2.2: it counts more than the Host header."""
        assert (await ask(self.site, "http://b.example/", host="a.example")).body == b"this is b"
        assert (await ask(self.site, "https://b.example:8443", host="a.example")).body == b"this is b"

    async def test_the_path_of_the_absolute_form_is_the_path(self) -> None:
        """And not the whole."""
        answer = await ask(web_site(Echo()), "http://x.example/y/z")
        assert answer.body == b"GET /y/z x.example"

    async def test_other_forms_are_bad_requests(self) -> None:
        """There is no proxy here."""
        for target in ("nonsense", "b.example:443", "?"):
            answer = await ask(self.site, target, "CONNECT" if ":" in target else "GET")
            assert answer.status in (400, 404), target

    async def test_the_asterisk_form_is_answered(self) -> None:
        """RFC 9110 §9.3.7, for OPTIONS alone."""
        assert (await ask(self.site, "*", "OPTIONS")).status == 200
        refused = await ask(self.site, "*")
        assert (refused.status, refused.headers["allow"]) == (405, "OPTIONS")

    async def test_the_server_header_is_modest(self) -> None:
        """No version, and nothing of what it is made with."""
        for target, method in (("/", "GET"), ("*", "OPTIONS"), ("*", "GET"), ("b.example:443", "CONNECT")):
            assert (await ask(self.site, target, method)).headers["server"] == SERVER.decode(), target

    async def test_the_date_is_the_wall_clock_s(self) -> None:
        """Whatever clock the reactor goes by."""
        clock = Clock()
        self.site.reactor = clock
        answer = await ask(self.site, "/")
        told = parsedate_to_datetime(answer.headers["date"]).timestamp()
        assert abs(told - sources.wall_clock()) < 60

    async def test_no_input_ends_in_a_traceback(self) -> None:
        """Heads of requests put together at random; the seed is fixed, so that a failure can be had again."""
        draw = random.Random(7)
        pieces = [
            b"GET ",
            b"POST ",
            b"HEAD ",
            b"\x00",
            b"\xff",
            b"/",
            b"*",
            b"%00",
            b"%",
            b"?",
            b"#",
            b"http://",
            b"b.example",
            b" HTTP/1.1",
            b" HTTP/1.0",
            b"\r\n",
            b"Host: b.example\r\n",
            b"Host: \xff\r\n",
            b"Content-Length: 3\r\n",
            b"Content-Length: -1\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Expect: 100-continue\r\n",
            b"Range: bytes=-9\r\n",
            b"Content-Type: multipart/form-data\r\n",
            b"\r\n\r\n",
        ]
        for _ in range(500):
            self.feed(b"".join(draw.choices(pieces, k=draw.randint(1, 20))))

    def feed(self, data: bytes) -> None:
        """Send bytes, then hang up."""
        wire = Wire()
        protocol = self.site.buildProtocol(None)
        assert protocol is not None
        protocol.makeConnection(wire)
        protocol.dataReceived(data)
        protocol.connectionLost(Failure(ConnectionDone()))

    def test_it_offers_its_protocols(self) -> None:
        """In the order of the configuration."""
        assert self.site.acceptableProtocols() == [b"h2", b"http/1.1"]

    def test_no_clock_ticks_for_a_log_that_is_not_written(self) -> None:
        """Twisted's would wake the process each second."""
        clock = Clock()
        site = WebSite(hosts_of(SITES, {}), ["http/1.1"], clock)
        site.doStart()
        assert clock.getDelayedCalls() == []
        site.doStop()


class HTTP2Tests(TestCase):
    """The same over HTTP/2."""

    async def test_the_authority_chooses_the_site(self) -> None:
        """It stands for the Host header."""
        assert await self.ask(b"b.example") == (b"200", SERVER, b"this is b")
        assert await self.ask(b"c.example") == (b"200", SERVER, b"this is a")
        assert not self.flushLoggedErrors()

    async def ask(self, authority: bytes) -> tuple[bytes, bytes, bytes]:
        """Send one request; status, Server header and body."""
        hosts = hosts_of(SITES, {"a.example": A, "b.example": B})
        site = WebSite(hosts, ["h2"], reactor)
        wire = Wire()
        wire.negotiatedProtocol = b"h2"
        protocol = site.buildProtocol(None)
        assert protocol is not None
        protocol.makeConnection(wire)
        client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        client.initiate_connection()
        head = [(b":method", b"GET"), (b":path", b"/"), (b":scheme", b"https"), (b":authority", authority)]
        client.send_headers(1, head, end_stream=True)
        # GOAWAY has the server hang up when all is sent.
        protocol.dataReceived(client.data_to_send())
        await self.settle(lambda: b"this is" in wire.value())
        found: dict[bytes, bytes] = {}
        body = b""
        for event in client.receive_data(wire.value()):
            if isinstance(event, h2.events.ResponseReceived):
                found = dict(event.headers or [])
            if isinstance(event, h2.events.DataReceived):
                body += event.data or b""
        protocol.connectionLost(Failure(ConnectionDone()))
        return found[b":status"], found[b"server"], body

    async def settle(self, condition: Any) -> None:
        """Let the reactor turn until a condition holds."""
        for _ in range(1000):
            if condition():
                return
            await deferLater(reactor, 0, lambda: None)
        self.fail("waited in vain")


class Handle:
    """A transport with TLS."""

    def __init__(self, handle: object) -> None:
        self.handle = handle

    def getHandle(self) -> object:
        """As Twisted's TLS has it."""
        return self.handle


class Channel:
    """A channel of HTTP/1.1, or a stream of HTTP/2 with its connection."""

    def __init__(self, transport: object, connection: object = None) -> None:
        self.transport = transport
        if connection is not None:
            self._conn = connection


def test_the_site_of_the_handshake_is_found() -> None:
    """For both versions of HTTP, where the client named one."""
    named = ServerConnection(SSL.Context(SSL.TLS_METHOD))
    named.set_tlsext_host_name(b"b.example")
    named.site = object()  # type: ignore[assignment]
    assert site_shown(Channel(Handle(named))) is named.site
    assert site_shown(Channel(None, Channel(Handle(named)))) is named.site


def test_without_a_server_name_no_site_was_shown() -> None:
    """The client took whatever came."""
    unnamed = ServerConnection(SSL.Context(SSL.TLS_METHOD))
    assert site_shown(Channel(Handle(unnamed))) is None


def test_without_tls_of_ours_no_site_was_shown() -> None:
    """A plain socket, another TLS, nothing at all."""
    assert site_shown(Channel(Handle(object()))) is None
    assert site_shown(Channel(object())) is None
    assert site_shown(Channel(None, Channel(None))) is None
