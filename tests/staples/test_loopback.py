"""Attempts over real sockets, with a responder that behaves in every way it can."""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from OpenSSL import SSL
from twisted.internet import reactor, ssl, task
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import TestCase
from twisted.web.server import Site

from staplesrv.ocsp.response import Revoked, Staple, Unknown
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.attempt import Fetched, Fetcher
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.responder import ResponderClient
from staplesrv.staples.settings import Settings
from staplesrv.testing import Behaviour, CertificateAuthority, OCSPResponder, listen

SECOND = timedelta(seconds=1)

GOOD = ("good", "delegated", "by-key-hash", "pss", "other-hash", "two-singles", "redirect", "redirect-three-times")
BAD = ("bad-response", "network")

OUTCOMES: dict[str, type | tuple[str, ...]] = {
    **dict.fromkeys(GOOD, Staple),
    "revoked": Revoked,
    "good-and-revoked": Revoked,
    "unknown": Unknown,
    "wrong-nonce": Staple,  # nobody asked for one
    "malformed-request": ("malformed-request",),
    "internal-error": ("try-later",),
    "try-later": ("try-later",),
    "sig-required": ("refused",),
    "unauthorized": ("unauthorized",),
    "garbage": ("bad-response",),
    "empty": ("bad-response",),
    "trailing-bytes": ("bad-response",),
    "huge": ("bad-response",),
    "not-basic": ("bad-response",),
    "wrong-cert-id": ("verify-failed",),
    "no-singles": ("verify-failed", "bad-response"),
    "no-next-update": ("verify-failed",),
    "future": ("future",),
    "expired": ("stale",),
    "nearly-expired": ("stale",),
    "backwards": ("verify-failed",),
    "critical-extension": ("verify-failed",),
    "critical-single-extension": ("verify-failed",),
    "signer-without-eku": ("verify-failed",),
    "signer-without-digital-signature": ("verify-failed",),
    "expired-signer": ("verify-failed",),
    "future-signer": ("verify-failed",),
    "foreign-signer": ("verify-failed",),
    "impostor": ("verify-failed",),
    "signer-not-sent": ("verify-failed",),
    "wrong-responder-id": ("verify-failed",),
    "bad-signature": ("verify-failed",),
    "sha1-signature": ("verify-failed",),
    "gzip": ("bad-response",),
    "endless": ("bad-response",),
    "truncated": BAD,
    "slow-drip": ("network",),
    "silence": ("network",),
    "close": ("network",),
    "reset": ("network",),
    "not-modified": ("bad-response",),
    "http-400": ("refused",),
    "http-403": ("refused",),
    "http-404": ("refused",),
    "http-405": ("refused",),
    "http-429": ("http-status",),
    "http-500": ("http-status",),
    "http-502": ("http-status",),
    "http-503": ("http-status",),
    "redirect-four-times": ("http-status",),
    "redirect-loop": ("http-status",),
    "redirect-to-file": ("http-status",),
}
"""What becomes of each behaviour: a verdict, or one of some kinds of failure."""


class LoopbackCase(TestCase):
    """A CA with a responder on a port, and a fetcher; nothing is left behind, and nothing bad is logged."""

    CA: ClassVar = CertificateAuthority()
    timeout = 20

    async def setUp(self) -> None:
        """Listen."""
        self.responder = OCSPResponder(self.CA)
        self.running = listen(self.responder, reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.running.stop()))
        self.leaf = self.CA.issue(responder_urls=[self.running.url], issuer_urls=[self.running.issuer_url])
        self.use()
        self.logged: list[Any] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(self.check_log)

    def observe(self, event: Any) -> None:
        """Keep what is bad."""
        if event["log_level"] >= LogLevel.warn:
            self.logged.append(event)

    def check_log(self) -> None:
        """Nothing bad is in the log."""
        globalLogPublisher.removeObserver(self.observe)
        assert not self.logged

    def use(self, **options: Any) -> None:
        """Make a client and a fetcher, with settings."""
        self.settings = Settings(**options)
        self.client = ResponderClient(reactor, self.settings, connect_timeout=SECOND)  # type: ignore[arg-type]
        client = self.client
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        self.fetcher = Fetcher(self.client, self.settings, reactor, patience=SECOND / 10)  # type: ignore[arg-type]

    async def fetch(self, *, urls: tuple[str, ...] | None = None, **options: Any) -> Fetched:
        """Make an attempt."""
        leaf = self.leaf if urls is None else self.CA.issue(responder_urls=urls)
        assignment = Assignment.for_leaf(leaf.certificate, leaf.chain, settings=self.settings)
        return await self.fetcher.fetch(assignment, **options)

    async def fail(self, **options: Any) -> FetchFailed:
        """Make an attempt that fails."""
        try:
            fetched = await self.fetch(**options)
        except FetchFailed as failure:
            return failure
        raise AssertionError(fetched)


class BehaviourTests(LoopbackCase):
    """Every behaviour of a responder has its outcome."""

    def test_every_behaviour_is_tried(self) -> None:
        """The table below knows them all."""
        assert set(OUTCOMES) == set(map(str, Behaviour))

    async def check(self, behaviour: str) -> None:
        """Try one."""
        # Two of them last until the time-out; others are done long before, but for an RSA key on a busy machine.
        self.use(timeout=SECOND / 4 if behaviour in {"silence", "slow-drip"} else 10 * SECOND)
        self.responder.behaviour = behaviour
        self.responder.drip = 0.05
        outcome = OUTCOMES[behaviour]
        if isinstance(outcome, type):
            assert isinstance((await self.fetch()).response, outcome)
        else:
            failure = await self.fail()
            assert str(failure.kind) in outcome, (behaviour, failure)
            assert failure.url == self.running.url


def _add_tests() -> None:
    """Make a test of each line of the table, so that each one is named in a report."""
    for behaviour in OUTCOMES:

        def test(self: BehaviourTests, behaviour: str = behaviour) -> Deferred[None]:
            return Deferred.fromCoroutine(self.check(behaviour))

        test.__doc__ = f"The outcome of {behaviour!r} is the one in the table."
        setattr(BehaviourTests, f"test_{behaviour.replace('-', '_')}", test)


_add_tests()


class ConversationTests(LoopbackCase):
    """What a responder sees of an attempt."""

    async def test_get(self) -> None:
        """One GET, without an encoding, a cookie or a nonce."""
        await self.fetch()
        [asked] = self.responder.requests
        assert asked.method == "GET"
        assert asked.headers["accept-encoding"] == "identity"
        assert asked.headers["user-agent"].startswith("staplesrv/")
        assert not {"cookie", "authorization", "x-forwarded-for"} & set(asked.headers)
        assert asked.nonce is None

    async def test_not_modified(self) -> None:
        """The second time the validators are sent, and the answer is "unchanged"."""
        self.responder.max_age = timedelta(minutes=9)
        first = await self.fetch()
        second = await self.fetch(held=first.response, conditional=first.conditional)
        assert first.conditional is not None
        assert first.max_age == timedelta(minutes=9)
        assert second.response is None
        assert len(self.responder.requests) == 2

    async def test_post_after_an_error(self) -> None:
        """A responder that takes no GET is asked by POST."""
        self.responder.behave("http-405", method="GET")
        assert isinstance((await self.fetch()).response, Staple)
        assert [asked.method for asked in self.responder.requests] == ["GET", "POST"]

    async def test_the_other_hash(self) -> None:
        """A responder that knows SHA-256 alone is asked that way, from then on at once."""
        self.responder.only_hash = "sha256"
        await self.fetch()
        await self.fetch()
        hashes = [asked.cert_id.hash_name for asked in self.responder.requests if asked.cert_id]
        assert hashes == ["sha1", "sha256", "sha256"]

    async def test_nonce(self) -> None:
        """A nonce goes out and comes back; a wrong one fails."""
        self.use(nonce=True)
        assert isinstance((await self.fetch()).response, Staple)
        asked = self.responder.requests[0]
        assert asked.nonce is not None
        assert len(asked.nonce) == 32
        self.responder.behaviour = "wrong-nonce"
        assert (await self.fail()).kind == FailureKind.VERIFY_FAILED
        self.responder.behaviour = "good"
        self.responder.echo_nonce = False
        assert isinstance((await self.fetch()).response, Staple)

    async def test_retry_after(self) -> None:
        """Retry-After comes along."""
        self.responder.behaviour = "http-503"
        self.responder.retry_after = timedelta(seconds=77)
        assert (await self.fail()).retry_after == timedelta(seconds=77)

    async def test_beside_a_silent_one(self) -> None:
        """A silent responder's place is taken by the next one, and its connection is closed."""
        silent = OCSPResponder(self.CA)
        silent.behaviour = "silence"
        running = listen(silent, reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(running.stop()))
        fetched = await self.fetch(urls=(running.url, self.running.url))
        assert fetched.url == self.running.url
        while silent.in_flight:
            await task.deferLater(reactor, 0.01)
        assert len(silent.requests) == 1

    async def test_a_port_where_nobody_listens(self) -> None:
        """A refused connection is a failure of the network, and the next URL is asked."""
        port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")  # type: ignore[attr-defined]
        nobody = f"http://127.0.0.1:{port.getHost().port}/"
        await port.stopListening()
        failure = await self.fail(urls=(nobody,))
        assert (failure.kind, failure.detail) == (FailureKind.NETWORK, "Connection refused")
        assert (await self.fetch(urls=(nobody, self.running.url))).url == self.running.url

    async def test_a_name_that_does_not_exist(self) -> None:
        """A name that no one knows is a failure of the network."""
        assert (await self.fail(urls=("http://nobody.invalid/",))).kind == FailureKind.NETWORK

    async def test_a_proxy(self) -> None:
        """With a proxy the responder's name is for the proxy to find, and `no_proxy` leads past it."""
        self.use(http_proxy=self.running.url, no_proxy=("127.0.0.0/8",))
        assert isinstance((await self.fetch(urls=("http://ocsp.invalid/",))).response, Staple)
        assert self.responder.requests[-1].uri.startswith(b"http://ocsp.invalid/")
        await self.fetch()
        assert self.responder.requests[-1].uri.startswith(b"/")

    async def test_cancelled(self) -> None:
        """A cancelled attempt leaves no connection."""
        self.responder.behaviour = "silence"
        attempt = Deferred.fromCoroutine(self.fetch())
        while not self.responder.requests:
            await task.deferLater(reactor, 0.01)
        attempt.cancel()
        await self.assertFailure(attempt, CancelledError)
        while self.responder.in_flight:
            await task.deferLater(reactor, 0.01)

    async def test_many_at_once(self) -> None:
        """Forty questions at once are forty answers."""
        fetched = await gatherResults([Deferred.fromCoroutine(self.fetch()) for _ in range(40)])
        assert all(isinstance(one.response, Staple) for one in fetched)


class IssuerTests(LoopbackCase):
    """The issuer's certificate comes from where the leaf says."""

    async def fetch_bare(self, name: str) -> Fetched:
        """Make an attempt for a leaf without a chain."""
        leaf = self.CA.issue(responder_urls=[self.running.url], issuer_urls=[self.running.url + name])
        return await self.fetcher.fetch(Assignment.for_leaf(leaf.certificate, settings=self.settings))

    async def test_every_form(self) -> None:
        """DER, PEM and PKCS#7 all do."""
        for name in ("issuer.der", "issuer.pem", "issuer.p7c"):
            assert (await self.fetch_bare(name)).issuer == self.CA.certificate

    async def test_what_is_no_certificate(self) -> None:
        """Garbage, nothing, too much: no issuer, and no question to the responder."""
        for behaviour in ("garbage", "empty", "huge", "http-404", "gzip"):
            self.responder.issuer_behaviour = Behaviour(behaviour)
            attempt = Deferred.fromCoroutine(self.fetch_bare("issuer.der"))
            failure = await self.assertFailure(attempt, FetchFailed)
            assert failure.kind == FailureKind.NO_ISSUER, behaviour
        assert not self.responder.requests


class _Tongueless(Protocol):
    """Says nothing."""


class HTTPSTests(LoopbackCase):
    """An https responder is verified like any https server."""

    WEB_CA: ClassVar = CertificateAuthority("web CA")

    def serve(self, factory: Factory, name: str) -> str:
        """Listen with a certificate for a name, and return the URL for "localhost"."""
        files = self.WEB_CA.issue(name).write(self.mktemp_directory())
        context = ssl.DefaultOpenSSLContextFactory(str(files.private_key), str(files.certificate), SSL.TLS_METHOD)
        port = reactor.listenSSL(0, factory, context, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        return f"https://localhost:{port.getHost().port}/"

    def site(self) -> Site:
        """The responder as a site."""
        site = Site(self.responder)
        site.noisy = False
        return site

    def mktemp_directory(self) -> Path:
        """Make a directory."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return Path(directory.name)

    def trust(self) -> None:
        """Let the platform trust the web CA."""
        bundle = self.mktemp_directory() / "ca.pem"
        bundle.write_bytes(self.WEB_CA.pem)
        # OpenSSL reads the process's environment, not Python's copy of it.
        before = os.environ.get("SSL_CERT_FILE")
        os.environ["SSL_CERT_FILE"] = str(bundle)
        self.addCleanup(os.environ.pop if before is None else os.environ.__setitem__, "SSL_CERT_FILE", before)

    async def test_verified(self) -> None:
        """A trusted certificate for the right name is fine; the connection is kept and closed like others."""
        self.trust()
        url = self.serve(self.site(), "localhost")
        assert isinstance((await self.fetch(urls=(url,))).response, Staple)
        await self.client.close()

    async def test_untrusted(self) -> None:
        """A CA that the platform does not trust is a failure of the network."""
        failure = await self.fail(urls=(self.serve(self.site(), "localhost"),))
        assert failure.kind == FailureKind.NETWORK
        assert "certificate" in failure.detail

    async def test_another_name(self) -> None:
        """A certificate for another name is a failure of the network."""
        self.trust()
        failure = await self.fail(urls=(self.serve(self.site(), "other.example"),))
        assert failure.kind == FailureKind.NETWORK

    async def test_plain_http_on_that_port(self) -> None:
        """A server that speaks no TLS is a failure of the network."""
        self.use(timeout=SECOND / 4)
        failure = await self.fail(urls=(self.running.url.replace("http:", "https:"),))
        assert failure.kind == FailureKind.NETWORK

    async def test_a_peer_that_never_says_goodbye(self) -> None:
        """A silent TLS peer is left when the time is over, without waiting for its close_notify."""
        self.trust()
        self.use(timeout=SECOND / 2)
        url = self.serve(Factory.forProtocol(_Tongueless), "localhost")
        failure = await self.fail(urls=(url,))
        assert failure.detail == "no whole answer within 0.5 s"
        await self.client.close()
