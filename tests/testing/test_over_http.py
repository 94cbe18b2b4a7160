"""The responder on a loopback port: what a client meets on the way, and the real `openssl ocsp`."""

from __future__ import annotations

import base64
import socket
import struct
from collections.abc import Awaitable
from typing import Any
from unittest import SkipTest
from urllib.parse import quote

import pytest
import treq
from cryptography.x509 import ocsp
from twisted.internet import defer, error, reactor
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, ResponseDone, ResponseFailed, ResponseNeverReceived

from staplesrv.ocsp.request import encode_request
from staplesrv.testing import Behaviour, CertificateAuthority, OCSPResponder, listen


class _Collect(Protocol):
    """Keeps what comes, until it is enough or over."""

    def __init__(self, enough: float = float("inf")) -> None:
        self.body = b""
        self.enough = enough
        self.over: defer.Deferred[Any] = defer.Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.body += data
        if len(self.body) >= self.enough:
            self.transport.abortConnection()

    def connectionLost(self, reason: Any) -> None:
        self.over.callback(reason.value)


class OverHTTPTests(TestCase):
    """Behaviours that are about the way, as a client of Twisted's meets them."""

    timeout = 20

    def setUp(self) -> None:
        """Start a responder."""
        self.ca = CertificateAuthority()
        self.responder = OCSPResponder(self.ca)
        self.running = listen(self.responder, reactor)
        self.addCleanup(lambda: defer.ensureDeferred(self.running.stop()))
        self.leaf = self.ca.issue("example.org", responder_urls=[self.running.url])
        self.request_der = encode_request(self.ca.cert_id(self.leaf))
        self.client = treq.client.HTTPClient(Agent(reactor))

    def get(self, path: str = "", **options: Any) -> Awaitable[Any]:
        """Ask by GET."""
        path = path or quote(base64.b64encode(self.request_der), safe="")
        return self.client.get(self.running.url + path, **options)

    def post(self, **options: Any) -> Awaitable[Any]:
        """Ask by POST."""
        return self.client.post(self.running.url, data=self.request_der, **options)

    def check_good(self, body: bytes) -> None:
        """Assert that an answer says good about the leaf."""
        response = ocsp.load_der_ocsp_response(body)
        assert response.certificate_status is ocsp.OCSPCertStatus.GOOD
        assert response.serial_number == self.leaf.certificate.serial_number

    async def test_good_by_both_methods(self) -> None:
        """GET and POST are answered with the same bytes."""
        by_get = await (await self.get()).content()
        self.check_good(by_get)
        assert await (await self.post()).content() == by_get

    async def test_the_path_may_hold_plain_slashes(self) -> None:
        """Base64 whose slashes were not encoded is understood, below any path."""
        path = quote(base64.b64encode(self.request_der), safe="/")
        for prefix in ("", "ocsp/", "ocsp/v1/"):
            self.check_good(await (await self.get(prefix + path)).content())

    async def test_http_errors(self) -> None:
        """Each `http-` behaviour is answered with that status."""
        for behaviour in Behaviour:
            if behaviour.startswith("http-"):
                self.responder.behaviour = behaviour
                assert (await self.get()).code == int(behaviour[5:])
                assert (await self.post()).code == int(behaviour[5:])

    async def test_not_modified(self) -> None:
        """304 comes without a body, also to those who did not ask for it."""
        self.responder.behaviour = "not-modified"
        response = await self.get()
        assert (response.code, await response.content()) == (304, b"")

    async def test_huge(self) -> None:
        """The huge answer says how long it is, and all of it comes."""
        self.responder.behaviour = "huge"
        response = await self.get()
        body = await response.content()
        assert len(body) > 64 * 1024
        assert response.length == len(body)

    async def test_gzip(self) -> None:
        """The compressed answer comes so named, to a client that did not offer it, and unpacks to a good one."""
        self.responder.behaviour = "gzip"
        raw = await Agent(reactor).request(b"POST", self.running.url.encode(), bodyProducer=_Body(self.request_der))
        assert raw.headers.getRawHeaders("Content-Encoding") == ["gzip"]
        assert "accept-encoding" not in self.responder.requests[0].headers
        self.check_good(await (await self.get()).content())

    async def test_endless(self) -> None:
        """The endless answer goes on past every limit, and ends when the client leaves."""
        self.responder.behaviour = "endless"
        response = await self.get(unbuffered=True)
        collecting = _Collect(enough=1024 * 1024)
        response.original.deliverBody(collecting)
        assert not isinstance(await collecting.over, ResponseDone)
        assert len(collecting.body) >= 1024 * 1024
        await self.settled()

    async def test_truncated(self) -> None:
        """Half of the promised bytes come, then the connection is closed."""
        self.responder.behaviour = "truncated"
        response = await self.get(unbuffered=True)
        collecting = _Collect()
        response.original.deliverBody(collecting)
        assert isinstance(await collecting.over, ResponseFailed)
        assert len(collecting.body) == response.length // 2

    async def test_slow_drip(self) -> None:
        """The dripping answer comes byte by byte and is good in the end."""
        self.responder.behaviour = "slow-drip"
        self.responder.drip = 0.001
        self.check_good(await (await self.get()).content())

    async def test_leaving_a_slow_drip(self) -> None:
        """A client that leaves ends the drip."""
        self.responder.behaviour = "slow-drip"
        response = await self.get(unbuffered=True)
        collecting = _Collect(enough=1)
        response.original.deliverBody(collecting)
        await collecting.over
        await self.settled()
        assert len(collecting.body) == 1

    async def test_silence(self) -> None:
        """Silence lasts until the client gives up, and then the question is not in flight any more."""
        self.responder.behaviour = "silence"
        with pytest.raises(ResponseNeverReceived):
            await self.get(timeout=0.05)
        assert self.responder.count() == 1
        await self.settled()

    async def test_a_delay(self) -> None:
        """A client that leaves during a delay is not answered, and nothing is left behind."""
        self.responder.delay = 60
        with pytest.raises(ResponseNeverReceived):
            await self.get(timeout=0.05)
        await self.settled()

    async def test_close(self) -> None:
        """A closed connection is closed in good order, without an answer."""
        self.responder.behaviour = "close"
        with pytest.raises(ResponseNeverReceived) as caught:
            await self.get()
        assert caught.value.reasons[0].check(error.ConnectionDone)

    async def test_reset(self) -> None:
        """A reset connection is reset, not closed."""
        self.responder.behaviour = "reset"
        with pytest.raises(ResponseNeverReceived) as caught:
            await self.get()
        assert caught.value.reasons[0].check(error.ConnectionLost)

    async def test_redirects(self) -> None:
        """A client that follows arrives at a good answer, after as many hops as the name says."""
        for behaviour, hops in (("redirect", 1), ("redirect-three-times", 3), ("redirect-four-times", 4)):
            self.responder.requests.clear()
            self.responder.behaviour = behaviour
            self.check_good(await (await self.get()).content())
            assert self.responder.count() == hops + 1

    async def test_a_redirect_loop(self) -> None:
        """The loop has no end."""
        self.responder.behaviour = "redirect-loop"
        with pytest.raises(ResponseFailed):
            await self.get()
        assert self.responder.count() > 5

    async def test_a_redirect_to_a_file(self) -> None:
        """The redirect points to a file of the client's own host."""
        self.responder.behaviour = "redirect-to-file"
        response = await self.get(allow_redirects=False)
        assert response.code == 302
        assert response.headers.getRawHeaders("Location") == ["file:///etc/passwd"]

    async def test_stopping_closes_everything(self) -> None:
        """After `stop` no connection is left, not even a silent one, and the port is closed."""
        self.responder.behaviour = "silence"
        waiting = self.get()
        while not self.responder.in_flight:
            await self.turn()
        await self.running.stop()
        with pytest.raises(ResponseNeverReceived):
            await waiting
        with pytest.raises(error.ConnectionRefusedError):
            await self.get()

    async def test_listening_again_on_the_same_port(self) -> None:
        """A responder that was down comes back where it was."""
        port = self.running.port
        await self.running.stop()
        self.running = listen(self.responder, reactor, port)
        assert self.running.port == port
        self.check_good(await (await self.get()).content())

    async def test_the_issuer_is_where_the_url_says(self) -> None:
        """`issuer_url` leads to the CA's certificate."""
        response = await self.client.get(self.running.issuer_url)
        assert response.headers.getRawHeaders("Content-Type") == ["application/pkix-cert"]
        assert self.responder.issuer_requests == ["issuer.der"]

    async def test_an_ipv6_address_stands_in_brackets(self) -> None:
        """The URL of a responder on ::1 is one that clients can use."""
        try:
            running = listen(self.responder, reactor, interface="::1")
        except error.CannotListenError as reason:
            raise SkipTest("no IPv6 on this host") from reason
        try:
            assert running.url == f"http://[::1]:{running.port}/"
            # treq takes the address for a name and refuses it.
            raw = await Agent(reactor).request(b"POST", running.url.encode(), bodyProducer=_Body(self.request_der))
            collecting = _Collect()
            raw.deliverBody(collecting)
            assert isinstance(await collecting.over, ResponseDone)
            self.check_good(collecting.body)
        finally:
            await running.stop()

    async def test_a_client_that_hangs_up_at_once(self) -> None:
        """A connection that ends before its request leaves nothing behind."""
        with socket.create_connection(("127.0.0.1", self.running.port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf")
        self.check_good(await (await self.get()).content())
        assert self.responder.in_flight == 0

    def turn(self) -> defer.Deferred[None]:
        """Let the reactor turn once."""
        turned: defer.Deferred[None] = defer.Deferred()
        reactor.callLater(0, turned.callback, None)
        return turned

    async def settled(self) -> None:
        """Wait until no question is in flight."""
        while self.responder.in_flight:
            await self.turn()


class _Body:
    """A request body for a bare Agent."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.length = len(body)

    def startProducing(self, consumer: Any) -> defer.Deferred[None]:
        consumer.write(self.body)
        return defer.succeed(None)

    def pauseProducing(self) -> None:
        """Not needed."""

    def stopProducing(self) -> None:
        """Not needed."""
