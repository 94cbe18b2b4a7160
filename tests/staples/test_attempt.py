"""One attempt over all of a certificate's responders: order, methods, hashes, races, verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import ocsp
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from staplesrv.ocsp.response import Revoked, Staple, Unknown, VerifiedResponse, verify_response
from staplesrv.sources import utc
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.attempt import Conditional, Fetched, Fetcher
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.responder import Answer
from staplesrv.staples.settings import Settings
from staplesrv.testing import CertificateAuthority, Leaf, make_error

NOW = 1_800_000_000.0
CA = CertificateAuthority(now=utc(NOW))
OTHER_CA = CertificateAuthority("another CA", now=utc(NOW))
A, B, C, D = (f"http://{letter}.example/" for letter in "abcd")
LEAF = CA.issue("site.example", responder_urls=[A, B, C, D])
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Asked:
    """One question that the fetcher put.

    Args:
        url: The responder's.
        method: "GET" or "POST".
        hash_name: Of the CertID.
        nonce: In the request.
        validators: ETag and Last-Modified.
    """

    url: str
    method: str
    hash_name: str
    nonce: bytes | None
    validators: tuple[str | None, str | None]


Reply: TypeAlias = bytes | Answer | FetchFailed | Deferred[Any] | Callable[[Asked], bytes]
"""What a fake responder says: DER, a whole answer, a failure, nothing yet, or what it makes of the question."""


class FakeClient:
    """Stands in for `ResponderClient`: says what it is told to, and records what it was asked.

    `replies` has what each URL says, in turn; the last one stays. `certificates` has what caIssuers URLs hold.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.fetched: list[str] = []
        self.replies: dict[str, list[Reply]] = {}
        self.certificates: dict[str, list[x509.Certificate] | FetchFailed] = {}

    async def ask(
        self,
        url: str,
        request_der: bytes,
        *,
        method: str = "GET",
        etag: str | None = None,
        last_modified: str | None = None,
    ) -> Answer:
        """Answer, fail or keep silent."""
        request = ocsp.load_der_ocsp_request(request_der)
        asked = Asked(url, method, request.hash_algorithm.name, nonce_of(request), (etag, last_modified))
        self.asked.append(asked)
        replies = self.replies[url]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(reply, FetchFailed):
            raise reply
        if isinstance(reply, Deferred):
            reply = await reply
        if callable(reply):
            reply = reply(asked)
        return reply if isinstance(reply, Answer) else Answer(reply, url)

    async def fetch_certificates(self, url: str) -> list[x509.Certificate]:
        """Hand out certificates, or fail."""
        self.fetched.append(url)
        found = self.certificates[url]
        if isinstance(found, FetchFailed):
            raise found
        return found


def nonce_of(request: ocsp.OCSPRequest) -> bytes | None:
    """The nonce in a request."""
    try:
        return request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except (x509.ExtensionNotFound, UnsupportedAlgorithm):
        return None


class Bench:
    """A fetcher over a fake client, with a clock.

    Args:
        leaf: Whose staple is wanted.
        options: Settings.
    """

    def __init__(self, leaf: Leaf = LEAF, **options: Any) -> None:
        self.clock = Clock()
        self.client = FakeClient()
        self.now = NOW
        self.settings = Settings(**options)
        self.nonces = [bytes([number]) * 32 for number in range(1, 9)]
        self.assignment = Assignment.for_leaf(leaf.certificate, leaf.chain, settings=self.settings)
        self.fetcher = Fetcher(
            self.client,  # type: ignore[arg-type]  # a fake
            self.settings,
            self.clock,
            lambda: self.now,
            random_bytes=lambda length: self.nonces.pop(0)[:length],
        )

    def says(self, url: str, *replies: Reply) -> None:
        """Set what a responder says, in turn."""
        self.client.replies[url] = list(replies)

    def start(self, **options: Any) -> Deferred[Fetched]:
        """Start an attempt."""
        return Deferred.fromCoroutine(self.fetcher.fetch(self.assignment, **options))

    def fetch(self, **options: Any) -> Fetched:
        """Make an attempt that is over at once."""
        result: Fetched = result_of(self.start(**options))
        assert not self.clock.getDelayedCalls()
        return result

    def fail(self, **options: Any) -> FetchFailed:
        """Make an attempt that fails at once."""
        with pytest.raises(FetchFailed) as caught:
            self.fetch(**options)
        return caught.value

    @property
    def order(self) -> list[str]:
        """Which responders were asked, in order."""
        return [asked.url for asked in self.client.asked]

    @property
    def ways(self) -> list[tuple[str, str]]:
        """How was asked, in order: method and hash."""
        return [(asked.method, asked.hash_name) for asked in self.client.asked]


def result_of(deferred: Deferred[Any]) -> Any:
    """What a Deferred has fired with; it must have."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "there is no result yet"
    if isinstance(results[0], Failure):
        raise results[0].value
    return results[0]


def good(**options: Any) -> bytes:
    """A good response about the leaf."""
    return CA.respond(LEAF, **options)


def down(detail: str = "down") -> FetchFailed:
    """What the network says."""
    return FetchFailed(FailureKind.NETWORK, detail)


def http(status: int) -> FetchFailed:
    """What HTTP says."""
    kind = FailureKind.REFUSED if status < 500 and status != 429 else FailureKind.HTTP_STATUS
    return FetchFailed(kind, str(status), status=status)


def held() -> VerifiedResponse:
    """A staple in hand."""
    bench = Bench()
    assert bench.assignment.target is not None
    return verify_response(good(), bench.assignment.target, now=utc(NOW))


class TestVerdicts:
    """A verified answer is the outcome, whatever it says; what does not verify is a failure."""

    @pytest.mark.parametrize(("status", "kind"), [("good", Staple), ("revoked", Revoked), ("unknown", Unknown)])
    def test_a_verified_answer(self, status: Any, kind: type) -> None:
        """Good, revoked and unknown come back alike, and nobody else is asked."""
        bench = Bench()
        bench.says(A, good(status=status))
        fetched = bench.fetch()
        assert isinstance(fetched.response, kind)
        assert (fetched.url, fetched.issuer) == (A, None)
        assert bench.order == [A]

    @pytest.mark.parametrize(
        ("response", "kind"),
        [
            (b"garbage", FailureKind.BAD_RESPONSE),
            (good() + b"\x00", FailureKind.BAD_RESPONSE),
            (make_error("try-later"), FailureKind.TRY_LATER),
            (make_error("internal-error"), FailureKind.TRY_LATER),
            (make_error("sig-required"), FailureKind.REFUSED),
            (make_error("unauthorized"), FailureKind.UNAUTHORIZED),
            (make_error("malformed-request"), FailureKind.MALFORMED_REQUEST),
            (good(corrupt_signature=True), FailureKind.VERIFY_FAILED),
            (good(signer=OTHER_CA.delegate()), FailureKind.VERIFY_FAILED),
            (CA.respond(CA.issue()), FailureKind.VERIFY_FAILED),
            (good(next_update=None), FailureKind.VERIFY_FAILED),
            (good(this_update=utc(NOW) + HOUR), FailureKind.FUTURE),
            (good(this_update=utc(NOW) - 2 * HOUR, next_update=HOUR), FailureKind.STALE),
        ],
    )
    def test_what_does_not_verify(self, response: bytes, kind: FailureKind) -> None:
        """Each reason has its kind; the URL and one line of detail come along."""
        bench = Bench(CA.issue(responder_urls=[A], serial_number=LEAF.certificate.serial_number))
        bench.says(A, response)
        failure = bench.fail()
        assert (failure.kind, failure.url) == (kind, A)
        assert failure.detail

    def test_the_signer_is_named(self) -> None:
        """A signature by somebody else names him."""
        bench = Bench()
        for url in (A, B, C):
            bench.says(url, good(signer=OTHER_CA.delegate("Mallory")))
        assert "Mallory" in bench.fail().detail

    def test_the_clock_of_the_moment_counts(self) -> None:
        """The answer is judged by the wall clock as it stands when it comes."""
        bench = Bench()
        silent: Deferred[Any] = Deferred()
        bench.says(A, silent)
        attempt = bench.start(held=held())
        bench.now += 3 * 3600
        bench.says(B, down())
        bench.says(C, down())
        silent.callback(good(next_update=HOUR))
        with pytest.raises(FetchFailed, match="stale"):
            result_of(attempt)

    def test_settings_rule(self) -> None:
        """The rules of verification are those of the settings."""
        bench = Bench(missing_next_update=HOUR)
        bench.says(A, good(next_update=None))
        response = bench.fetch().response
        assert response is not None
        assert response.expires == utc(NOW) + HOUR


class TestUrls:
    """All URLs in order, the one that worked last first, at most three."""

    def test_the_next_is_asked_when_one_fails(self) -> None:
        """A failure leads to the next URL at once."""
        bench = Bench()
        bench.says(A, down())
        bench.says(B, b"garbage")
        bench.says(C, good())
        assert bench.fetch().url == C
        assert bench.order == [A, B, C]

    def test_at_most_three(self) -> None:
        """A fourth URL is not asked in the same attempt."""
        bench = Bench()
        for url in (A, B, C):
            bench.says(url, down())
        bench.fail()
        assert bench.order == [A, B, C]

    def test_the_one_that_worked_is_first(self) -> None:
        """The next attempt starts where the last one succeeded, and keeps the order of the others."""
        bench = Bench()
        bench.says(A, down())
        bench.says(B, good(), down())
        bench.says(C, down())
        bench.fetch()
        bench.client.asked.clear()
        bench.fail()
        assert bench.order == [B, A, C]

    def test_all_leaves_of_a_ca_learn_from_one(self) -> None:
        """What worked is remembered for all certificates with the same URLs."""
        bench = Bench()
        bench.says(A, down())
        bench.says(B, lambda _: CA.respond(LEAF), lambda _: CA.respond(other))
        bench.fetch()
        other = CA.issue(responder_urls=[A, B, C, D])
        bench.assignment = Assignment.for_leaf(other.certificate, other.chain, settings=bench.settings)
        bench.client.asked.clear()
        bench.fetch()
        assert bench.order == [B]

    def test_nobody_to_ask(self) -> None:
        """Without a URL there is no attempt."""
        bench = Bench(CA.issue())
        assert bench.fail().kind == FailureKind.REFUSED

    def test_the_most_telling_failure_is_raised(self) -> None:
        """A responder that is down does not hide one whose answer does not verify; both are told."""
        bench = Bench()
        bench.says(A, down("nobody home"))
        bench.says(B, good(corrupt_signature=True))
        bench.says(C, down("nobody home either"))
        failure = bench.fail()
        assert (failure.kind, failure.url) == (FailureKind.VERIFY_FAILED, B)
        assert "nobody home" in failure.detail


class TestRace:
    """With nothing to serve the next URL is asked beside a silent one; with a staple in hand it is not."""

    def test_beside_a_silent_one(self) -> None:
        """After 3 s the next is asked, and the first verified answer wins."""
        bench = Bench()
        silent: Deferred[Any] = Deferred()
        bench.says(A, silent)
        bench.says(B, good())
        attempt = bench.start()
        bench.clock.advance(2.9)
        assert bench.order == [A]
        bench.clock.advance(0.1)
        assert result_of(attempt).url == B
        assert silent.called
        assert not bench.clock.getDelayedCalls()

    def test_not_with_a_staple_in_hand(self) -> None:
        """With a staple in hand one is asked after the other."""
        bench = Bench()
        silent: Deferred[Any] = Deferred()
        bench.says(A, silent)
        bench.says(B, good())
        attempt = bench.start(held=held())
        bench.clock.advance(14)
        assert bench.order == [A]
        silent.errback(down())
        assert result_of(attempt).url == B

    def test_an_unverified_answer_does_not_win(self) -> None:
        """Garbage from the quick one leaves the slow one its chance."""
        bench = Bench()
        slow: Deferred[Any] = Deferred()
        bench.says(A, slow)
        bench.says(B, b"garbage")
        bench.says(C, b"garbage")
        attempt = bench.start()
        bench.clock.advance(3)
        assert bench.order == [A, B, C]
        slow.callback(good())
        assert result_of(attempt).url == A

    def test_an_attempt_has_an_end(self) -> None:
        """After 45 s it is over, and what was learnt until then is told."""
        bench = Bench()
        silent: Deferred[Any] = Deferred()
        bench.says(A, good(corrupt_signature=True))
        bench.says(B, silent)
        attempt = bench.start(held=held())
        bench.clock.advance(44)
        assert not silent.called
        bench.clock.advance(1)
        with pytest.raises(FetchFailed) as caught:
            result_of(attempt)
        assert caught.value.kind == FailureKind.VERIFY_FAILED
        assert "no verified answer within 45 s" in caught.value.detail
        assert silent.called

    def test_silence_of_all(self) -> None:
        """Silence alone is a failure of the network."""
        bench = Bench()
        for url in (A, B, C):
            bench.says(url, Deferred())
        attempt = bench.start()
        bench.clock.pump([3, 3, 39])
        with pytest.raises(FetchFailed) as caught:
            result_of(attempt)
        assert caught.value.kind == FailureKind.NETWORK

    def test_cancelled(self) -> None:
        """Cancelling an attempt cancels every question of it."""
        bench = Bench()
        silent: list[Deferred[Any]] = [Deferred(), Deferred()]
        bench.says(A, silent[0])
        bench.says(B, silent[1])
        attempt = bench.start()
        bench.clock.advance(3)
        attempt.cancel()
        with pytest.raises(CancelledError):
            result_of(attempt)
        assert all(deferred.called for deferred in silent)
        assert not bench.clock.getDelayedCalls()


class TestPost:
    """GET where it fits; POST where it does not, or where GET may be the trouble."""

    def test_get_comes_first(self) -> None:
        """A short URL is asked by GET, once."""
        bench = Bench()
        bench.says(A, good())
        bench.fetch()
        assert bench.ways == [("GET", "sha1")]

    def test_a_long_url_is_a_post(self) -> None:
        """Where the GET's URL would be over 255 bytes, there is none."""
        url = A + "x" * 200
        bench = Bench(CA.issue(responder_urls=[url], serial_number=LEAF.certificate.serial_number))
        bench.says(url, good())
        bench.fetch()
        assert bench.ways == [("POST", "sha1")]

    @pytest.mark.parametrize("status", [400, 403, 404, 405, 414, 500, 502])
    def test_a_post_after_an_error(self, status: int) -> None:
        """On 4xx and 5xx the same URL is asked once more, by POST."""
        bench = Bench()
        bench.says(A, http(status), good())
        assert bench.fetch().url == A
        assert bench.ways == [("GET", "sha1"), ("POST", "sha1")]

    @pytest.mark.parametrize("failure", [http(429), http(503), http(302), http(201), down()])
    def test_no_post_after_anything_else(self, failure: FetchFailed) -> None:
        """Who asks to wait, or can't be reached, is not asked twice."""
        bench = Bench()
        bench.says(A, failure)
        bench.says(B, good())
        assert bench.fetch().url == B
        assert bench.order == [A, B]

    def test_a_post_after_malformed_request(self) -> None:
        """A responder that did not understand the GET may understand the POST."""
        bench = Bench()
        bench.says(A, make_error("malformed-request"), good())
        bench.fetch()
        assert bench.ways == [("GET", "sha1"), ("POST", "sha1")]

    def test_one_post_and_no_more(self) -> None:
        """When the POST fails too, the next URL's turn has come."""
        bench = Bench()
        bench.says(A, http(404), http(405))
        bench.says(B, good())
        bench.fetch()
        assert bench.ways == [("GET", "sha1"), ("POST", "sha1"), ("GET", "sha1")]

    def test_of_both_failures_the_gets_is_told_first(self) -> None:
        """That a GET-only responder refuses the POST does not hide why the GET failed."""
        bench = Bench(CA.issue(responder_urls=[A]))
        bench.says(A, http(404), http(405))
        assert bench.fail().status == 404


class TestHash:
    """SHA-1 first, SHA-256 for those that refuse it; what they understood is remembered."""

    def test_the_other_hash_after_unauthorized(self) -> None:
        """An older leaf that is unknown under SHA-1 is asked about under SHA-256, once."""
        bench = Bench()
        bench.says(A, make_error("unauthorized"), good())
        assert bench.fetch().url == A
        assert bench.ways == [("GET", "sha1"), ("GET", "sha256")]

    def test_what_was_understood_is_remembered(self) -> None:
        """The next question to the same host starts with the hash that worked."""
        bench = Bench()
        bench.says(A, make_error("unauthorized"), good())
        bench.fetch()
        bench.client.asked.clear()
        bench.fetch()
        assert bench.ways == [("GET", "sha256")]

    def test_and_forgotten(self) -> None:
        """A host that changes its mind is asked the other way again."""
        bench = Bench()
        bench.says(A, make_error("unauthorized"), good(), make_error("unauthorized"), good())
        bench.fetch()
        bench.fetch()
        assert [hash_name for _, hash_name in bench.ways] == ["sha1", "sha256", "sha256", "sha1"]

    def test_both_refused(self) -> None:
        """Refused under both, the next URL's turn has come."""
        bench = Bench()
        bench.says(A, make_error("unauthorized"))
        bench.says(B, good())
        assert bench.fetch().url == B
        assert [url for url in bench.order if url == A] == [A, A]

    def test_a_young_leaf_is_not_asked_about_twice(self) -> None:
        """For a leaf under 60 minutes old unauthorized means "not yet", and the hash does not matter."""
        young = CA.issue(responder_urls=[A, B], not_before=utc(NOW) - timedelta(minutes=59))
        bench = Bench(young)
        bench.says(A, make_error("unauthorized"))
        bench.says(B, make_error("unauthorized"))
        assert bench.fail().kind == FailureKind.UNAUTHORIZED
        assert [hash_name for _, hash_name in bench.ways] == ["sha1", "sha1"]

    def test_malformed_request_is_about_the_request(self) -> None:
        """Whatever its age, a leaf whose request is not understood is asked about by POST, then under SHA-256."""
        young = CA.issue(responder_urls=[A], not_before=utc(NOW), serial_number=LEAF.certificate.serial_number)
        bench = Bench(young)
        bench.says(A, make_error("malformed-request"))
        assert bench.fail().kind == FailureKind.MALFORMED_REQUEST
        assert bench.ways == [("GET", "sha1"), ("POST", "sha1"), ("GET", "sha256"), ("POST", "sha256")]

    def test_a_fixed_hash(self) -> None:
        """Where the operator names the hash there is no other."""
        bench = Bench(CA.issue(responder_urls=[A]), certid="sha384")
        bench.says(A, make_error("unauthorized"))
        bench.fail()
        assert bench.ways == [("GET", "sha384")]


class TestConditional:
    """What came with the answer held is sent along, and a 304 is good news."""

    def test_validators_come_out(self) -> None:
        """ETag, Last-Modified and max-age of the answer are handed out for the next time."""
        bench = Bench()
        bench.says(A, Answer(good(), A + "asked", '"x"', "then", HOUR))
        fetched = bench.fetch()
        assert fetched.conditional == Conditional(A + "asked", '"x"', "then")
        assert fetched.max_age == HOUR

    def test_none_without(self) -> None:
        """An answer without validators can't be asked about conditionally."""
        bench = Bench()
        bench.says(A, good())
        assert bench.fetch().conditional is None

    def known(self, bench: Bench) -> Conditional:
        """What a first answer leaves behind: the URL that the client asked."""
        bench.says(A, down())
        bench.says(B, down())
        bench.says(C, down())
        bench.fail()
        target = bench.assignment.target
        assert target is not None
        from staplesrv.ocsp.request import encode_request, get_url  # noqa: PLC0415 - here alone

        url = get_url(A, encode_request(target.cert_id("sha1")))
        assert url is not None
        bench.client.asked.clear()
        return Conditional(url, '"x"', "then")

    def test_they_go_in_again(self) -> None:
        """The same GET carries them, and a 304 comes back as "unchanged", with what is new about it."""
        bench = Bench()
        known = self.known(bench)
        bench.says(A, Answer(None, known.url, '"y"', None, HOUR))
        fetched = bench.fetch(held=held(), conditional=known)
        assert bench.client.asked[0].validators == ('"x"', "then")
        assert fetched == Fetched(None, A, Conditional(known.url, '"y"', None), HOUR)

    def test_a_304_without_validators(self) -> None:
        """What a 304 does not say anew stays as it was."""
        bench = Bench()
        known = self.known(bench)
        bench.says(A, Answer(None, known.url))
        assert bench.fetch(held=held(), conditional=known).conditional == known

    def test_not_for_another_url(self) -> None:
        """Another responder's validators, or another hash's, say nothing."""
        bench = Bench()
        known = self.known(bench)
        bench.says(B, good())
        bench.fetch(held=held(), conditional=known)
        assert [asked.validators for asked in bench.client.asked] == [('"x"', "then"), (None, None)]

    def test_not_with_a_post(self) -> None:
        """A POST carries none."""
        bench = Bench()
        known = self.known(bench)
        bench.says(A, http(500), good())
        bench.fetch(held=held(), conditional=known)
        assert [asked.validators for asked in bench.client.asked] == [('"x"', "then"), (None, None)]

    def test_not_with_nothing_in_hand(self) -> None:
        """Without a staple a 304 would be of no use."""
        bench = Bench()
        known = self.known(bench)
        bench.says(A, good())
        bench.fetch(conditional=known)
        assert bench.client.asked[0].validators == (None, None)


class TestNonce:
    """A nonce is off by default; when on, a wrong one fails and none passes."""

    def test_off(self) -> None:
        """Nobody asked for one."""
        bench = Bench()
        bench.says(A, good())
        bench.fetch()
        assert bench.client.asked[0].nonce is None

    def test_on(self) -> None:
        """32 bytes go out, new ones each time, and come back."""
        bench = Bench(nonce=True)
        bench.says(A, lambda asked: good(nonce=asked.nonce))
        bench.fetch()
        bench.fetch()
        assert [asked.nonce for asked in bench.client.asked] == [b"\x01" * 32, b"\x02" * 32]

    def test_a_wrong_one(self) -> None:
        """Another nonce than ours is another answer than ours."""
        bench = Bench(CA.issue(responder_urls=[A], serial_number=LEAF.certificate.serial_number), nonce=True)
        bench.says(A, good(nonce=b"\x09" * 32))
        assert bench.fail().kind == FailureKind.VERIFY_FAILED

    def test_none(self) -> None:
        """A responder that sends none may have made its answer beforehand, which is fine."""
        bench = Bench(nonce=True)
        bench.says(A, good())
        assert isinstance(bench.fetch().response, Staple)


class TestIssuer:
    """An issuer that no chain holds is fetched, must verify the leaf, and is remembered."""

    URL = "http://ca.example/ca"
    OTHER = "http://ca.example/other"

    def bench(self, *urls: str) -> Bench:
        """A fetcher for a leaf whose issuer is not at hand."""
        leaf = CA.issue(responder_urls=[A], issuer_urls=urls, serial_number=LEAF.certificate.serial_number)
        bench = Bench(leaf)
        bench.assignment = Assignment.for_leaf(leaf.certificate, settings=bench.settings)
        bench.says(A, good())
        return bench

    def test_it_is_fetched(self) -> None:
        """It comes back with the answer, for the chain that clients get."""
        bench = self.bench(self.URL)
        bench.client.certificates[self.URL] = [OTHER_CA.certificate, CA.certificate]
        assert bench.fetch().issuer == CA.certificate

    def test_it_is_remembered(self) -> None:
        """The second attempt does not fetch it again."""
        bench = self.bench(self.URL)
        bench.client.certificates[self.URL] = [CA.certificate]
        bench.fetch()
        assert bench.fetch().issuer == CA.certificate
        assert bench.client.fetched == [self.URL]

    def test_it_must_have_signed_the_leaf(self) -> None:
        """A certificate that did not issue the leaf is none, and the next URL is tried."""
        bench = self.bench(self.URL, self.OTHER)
        bench.client.certificates[self.URL] = [OTHER_CA.certificate]
        bench.client.certificates[self.OTHER] = [CA.certificate]
        assert bench.fetch().issuer == CA.certificate

    def test_it_is_not_to_be_had(self) -> None:
        """What goes wrong is told, and no responder is asked."""
        bench = self.bench(self.URL, self.OTHER)
        bench.client.certificates[self.URL] = down("nobody home")
        bench.client.certificates[self.OTHER] = down("nobody home either")
        failure = bench.fail()
        assert (failure.kind, failure.url) == (FailureKind.NO_ISSUER, "")
        assert "nobody home" in failure.detail
        assert bench.order == []

    def test_there_is_no_url(self) -> None:
        """Without caIssuers there is no way to it."""
        assert self.bench().fail().kind == FailureKind.NO_ISSUER
