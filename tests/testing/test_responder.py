"""The responder without a network: treq's stub, and a clock that stands still."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ocsp
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from staplesrv.ocsp.certid import CertID
from staplesrv.ocsp.request import encode_request
from staplesrv.testing import Behaviour, CertificateAuthority, Leaf, OCSPResponder

NOW = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
DAY = timedelta(days=1)
URL = "http://ocsp.example/"


class World:
    """A CA under a clock, its responder, and a client without a network."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ca = CertificateAuthority(now=lambda: NOW + timedelta(seconds=self.clock.seconds()))
        self.other_ca = CertificateAuthority("other CA", now=self.ca.now)
        self.responder = OCSPResponder(self.ca, self.other_ca, clock=self.clock)
        self.treq = StubTreq(self.responder)

    def start(self, subject: Leaf | int | CertID, *, method: str = "GET", **options: Any) -> Deferred[Any]:
        """Ask, without waiting for the answer."""
        nonce, hash_name = options.pop("nonce", None), options.pop("hash_name", "sha1")
        der = encode_request(self.ca.cert_id(subject, hash_name), nonce)
        if method == "POST":
            return self.treq.post(URL, data=der, allow_redirects=False, **options)
        return self.treq.get(URL + quote(base64.b64encode(der), safe=""), allow_redirects=False, **options)

    def response(self, subject: Leaf | int | CertID = 7, **options: Any) -> Any:
        """Ask, and return the HTTP response."""
        return self.done(self.start(subject, **options))

    def done(self, waiting: Deferred[Any]) -> Any:
        """What a Deferred has come to."""
        self.treq.flush()
        results: list[Any] = []
        waiting.addCallback(results.append)
        assert results, "there is no answer yet"
        return results[0]

    def body(self, subject: Leaf | int | CertID = 7, **options: Any) -> bytes:
        """Ask, and return the bytes of the answer."""
        return self.done(self.treq.content(self.response(subject, **options)))

    def ask(self, subject: Leaf | int | CertID = 7, **options: Any) -> ocsp.OCSPResponse:
        """Ask, and return the OCSP response."""
        return ocsp.load_der_ocsp_response(self.body(subject, **options))

    def status(self, subject: Leaf | int = 7, **options: Any) -> str:
        """Ask, and return in a word what came."""
        response = self.response(subject, **options)
        if response.code != 200:
            return f"http-{response.code}"
        answer = ocsp.load_der_ocsp_response(self.done(self.treq.content(response)))
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return answer.response_status.name.lower()
        return answer.certificate_status.name.lower()


@pytest.fixture
def world() -> World:
    """A world of one's own."""
    return World()


def test_a_responder_needs_a_ca() -> None:
    """A responder without a CA could answer nothing."""
    with pytest.raises(ValueError, match="at least one CA"):
        OCSPResponder()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_both_methods_get_a_good_answer(world: World, method: str) -> None:
    """GET and POST are answered alike: good, about what was asked, with the media type of RFC 6960."""
    leaf = world.ca.issue("example.org")
    response = world.response(leaf, method=method)
    assert response.code == 200
    assert response.headers.getRawHeaders("Content-Type") == ["application/ocsp-response"]
    answer = ocsp.load_der_ocsp_response(world.done(world.treq.content(response)))
    assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert answer.serial_number == leaf.certificate.serial_number


def test_each_ca_answers_for_its_own(world: World) -> None:
    """Of several CAs the one whose CertID it is signs the answer."""
    answer = world.ask(world.other_ca.cert_id(7))
    assert answer.responder_name == world.other_ca.certificate.subject
    assert world.ask(7).responder_name == world.ca.certificate.subject


def test_a_stranger_s_certificate_is_unauthorized(world: World) -> None:
    """About the certificates of a CA that it does not serve the responder has nothing to say."""
    assert world.status(CertificateAuthority("stranger").cert_id(7)) == "unauthorized"


def test_what_is_no_request_is_malformed(world: World) -> None:
    """A request that can't be read gets that very error, and is recorded."""
    for asking in (world.treq.get(URL + "favicon.ico"), world.treq.post(URL, data=b"garbage")):
        answer = ocsp.load_der_ocsp_response(world.done(world.treq.content(world.done(asking))))
        assert answer.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    assert [asked.cert_id for asked in world.responder.requests] == [None, None]


def test_one_hash_can_be_all_it_knows(world: World) -> None:
    """Questions under another hash are then unauthorized, as with responders that look CertIDs up."""
    world.responder.only_hash = "sha256"
    assert world.status(7) == "unauthorized"
    assert world.status(7, hash_name="sha256") == "good"


def test_behaviour_can_be_switched_at_any_time(world: World) -> None:
    """What is set counts from the next question on, by name or member."""
    assert world.status() == "good"
    world.responder.behaviour = "revoked"
    assert world.status() == "revoked"
    world.responder.behaviour = Behaviour.TRY_LATER
    assert world.status() == "try_later"
    assert world.responder.behaviour is Behaviour.TRY_LATER


def test_behaviours_in_turn(world: World) -> None:
    """First down, then well, and well it stays."""
    world.responder.behaviour = ["http-500", "unauthorized", "good"]
    assert [world.status() for _ in range(4)] == ["http-500", "unauthorized", "good", "good"]


def test_one_certificate_can_have_its_own_behaviour(world: World) -> None:
    """What is said about a leaf goes before what is said about all, and leaves the others alone."""
    leaf, other = world.ca.issue("a.example"), world.ca.issue("b.example")
    world.responder.behave(["unknown", "revoked"], about=leaf)
    world.responder.behaviour = "http-503"
    assert [world.status(leaf), world.status(other), world.status(leaf)] == ["unknown", "http-503", "revoked"]


def test_a_certificate_can_be_named_in_any_way(world: World) -> None:
    """A leaf, a certificate, a serial number and a CertID name one certificate alike."""
    leaf = world.ca.issue("a.example")
    certificate = leaf.certificate
    for number, subject in enumerate((leaf, certificate, certificate.serial_number, world.ca.cert_id(leaf)), 1):
        world.responder.behave("revoked" if number % 2 else "unknown", about=subject)
        assert world.status(leaf) == ("revoked" if number % 2 else "unknown")
        assert world.responder.count(subject) == number


def test_one_method_can_have_its_own_behaviour(world: World) -> None:
    """A responder that takes POST alone can be had, for all and for one certificate."""
    world.responder.behave("http-405", method="GET")
    assert [world.status(7, method=method) for method in ("GET", "POST")] == ["http-405", "good"]
    world.responder.behave("revoked", about=7, method="POST")
    assert [world.status(7, method=method) for method in ("GET", "POST")] == ["http-405", "revoked"]
    assert world.status(8, method="POST") == "good"


def test_requests_are_counted_and_recorded(world: World) -> None:
    """Method, address, headers, CertID, nonce, behaviour and time of each question are kept."""
    world.clock.advance(60)
    world.responder.behaviour = ["http-500", "good"]
    world.response(7, method="POST", nonce=b"n" * 32, headers={"X-Test": "1"})
    world.response(8, hash_name="sha256")
    first, second = world.responder.requests
    assert (first.method, first.uri, first.behaviour) == ("POST", b"/", "http-500")
    assert (first.cert_id, first.nonce) == (world.ca.cert_id(7), b"n" * 32)
    assert first.headers["x-test"] == "1"
    assert first.at == NOW + timedelta(seconds=60)
    assert (second.method, second.behaviour, second.nonce) == ("GET", "good", None)
    assert second.cert_id == world.ca.cert_id(8, "sha256")
    assert second.uri.startswith(b"/MF")
    assert b"/" not in second.uri[1:]
    assert (world.responder.count(), world.responder.count(7), world.responder.count(9)) == (2, 1, 0)


def test_answers_live_as_long_as_they_are_told(world: World) -> None:
    """`lifetime` is nextUpdate minus thisUpdate."""
    world.responder.lifetime = timedelta(seconds=8)
    answer = world.ask()
    assert answer.this_update_utc == NOW
    assert answer.next_update_utc == NOW + timedelta(seconds=8)


def test_a_change_of_lifetime_counts_at_once(world: World) -> None:
    """An answer held for its stability is not given out for another lifetime."""
    world.body()
    world.responder.lifetime = timedelta(seconds=8)
    assert world.ask().next_update_utc == NOW + timedelta(seconds=8)


def test_a_stable_answer_is_the_same_until_half_its_life(world: World) -> None:
    """The same question gets the same bytes up to half of the lifetime, then new ones."""
    world.responder.lifetime = timedelta(seconds=100)
    first = world.body()
    world.clock.advance(49)
    assert world.body() == first
    world.clock.advance(1)
    later = ocsp.load_der_ocsp_response(world.body())
    assert later.this_update_utc == NOW + timedelta(seconds=50)


def test_a_stable_answer_is_dropped_when_the_clock_steps_back(world: World) -> None:
    """No answer is from the future only because the clock was."""
    world.clock.advance(1000)
    world.body()
    world.clock.rightNow = 0.0
    assert world.ask().this_update_utc == NOW


def test_an_answer_can_be_new_each_time(world: World) -> None:
    """Where answers are not stable each question gets one of its own time."""
    world.responder.stable = False
    assert world.ask().this_update_utc == NOW
    world.clock.advance(1)
    assert world.ask().this_update_utc == NOW + timedelta(seconds=1)


def test_a_change_of_behaviour_is_not_held_up_by_a_stable_answer(world: World) -> None:
    """Good, then revoked, then good again: and the last one is the first one, byte for byte."""
    first = world.body()
    world.responder.behaviour = "revoked"
    assert world.status() == "revoked"
    world.responder.behaviour = "good"
    assert world.body() == first


def test_a_nonce_comes_back_unless_told_otherwise(world: World) -> None:
    """A nonce is echoed in an answer of its own; `echo_nonce` turns that off."""
    (extension,) = world.ask(7, nonce=b"x" * 32).extensions
    assert extension.value == x509.OCSPNonce(b"x" * 32)
    world.responder.echo_nonce = False
    assert len(list(world.ask(7, nonce=b"x" * 32).extensions)) == 0


def test_a_delay_passes_by_the_clock(world: World) -> None:
    """Nothing comes before the delay is over, and `in_flight` and `peak` tell how many wait."""
    world.responder.delay = 1.5
    waiting = [world.start(7), world.start(8)]
    world.treq.flush()
    world.clock.advance(1.4)
    assert (world.responder.in_flight, world.responder.peak) == (2, 2)
    world.clock.advance(0.2)
    assert [world.done(each).code for each in waiting] == [200, 200]
    assert (world.responder.in_flight, world.responder.peak) == (0, 2)


def test_a_delay_without_a_clock_is_a_mistake(world: World) -> None:
    """A responder that was given no clock can't wait, and says so in its log rather than answer at once."""
    world.responder.clock = None
    world.responder.delay = 1.0
    with capturedLogs() as logs:
        assert world.response().code == 500
    assert any("needs a clock" in str(event.get("log_failure")) for event in logs)


def test_headers_are_sent_where_they_are_set(world: World) -> None:
    """Cache-Control and Retry-After come on every answer, whatever its status."""
    assert not world.response().headers.hasHeader("Cache-Control")
    world.responder.max_age = timedelta(hours=1)
    world.responder.retry_after = timedelta(seconds=90)
    world.responder.behaviour = ["good", "http-503"]
    for _ in range(2):
        headers = world.response().headers
        assert headers.getRawHeaders("Cache-Control") == ["max-age=3600, public, no-transform, must-revalidate"]
        assert headers.getRawHeaders("Retry-After") == ["90"]


@pytest.mark.parametrize(
    ("value", "sent"), [(NOW + DAY, "Mon, 02 Mar 2026 12:30:15 GMT"), ("soon", "soon"), ("-1", "-1")]
)
def test_retry_after_can_be_a_date_or_nonsense(world: World, value: Any, sent: str) -> None:
    """A moment is sent as an HTTP date, a text as it is."""
    world.responder.retry_after = value
    assert world.response().headers.getRawHeaders("Retry-After") == [sent]


def test_who_has_the_answer_gets_304(world: World) -> None:
    """If-None-Match decides where it is there, and If-Modified-Since where it stands alone."""
    response = world.response()
    etag, modified = (response.headers.getRawHeaders(name)[0] for name in ("ETag", "Last-Modified"))
    assert modified == "Sun, 01 Mar 2026 12:30:15 GMT"
    for headers, code in (
        ({"If-None-Match": etag}, 304),
        ({"If-Modified-Since": modified}, 304),
        ({"If-None-Match": etag, "If-Modified-Since": modified}, 304),
        ({"If-None-Match": '"other"', "If-Modified-Since": modified}, 200),
        ({"If-Modified-Since": "Sun, 01 Mar 2026 12:30:14 GMT"}, 200),
        ({"If-Modified-Since": "nonsense"}, 200),
    ):
        response = world.response(headers=headers)
        assert response.code == code, headers
        assert (world.done(world.treq.content(response)) == b"") == (code == 304)


def test_a_new_answer_is_not_304(world: World) -> None:
    """After a change the old tag does not match any more."""
    etag = world.response().headers.getRawHeaders("ETag")[0]
    world.responder.behaviour = "revoked"
    assert world.status(headers={"If-None-Match": etag}) == "revoked"


def test_a_post_is_never_304(world: World) -> None:
    """RFC 9110 has conditions for GET; a POST is answered in full and without a tag."""
    response = world.response(method="POST", headers={"If-None-Match": "*"})
    assert response.code == 200
    assert not response.headers.hasHeader("ETag")


def test_conditions_can_be_left_alone(world: World) -> None:
    """A responder without conditional requests sends no tag and answers in full."""
    world.responder.conditional = False
    response = world.response(headers={"If-Modified-Since": "Sun, 01 Mar 2030 00:00:00 GMT"})
    assert response.code == 200
    assert not response.headers.hasHeader("ETag")
    assert not response.headers.hasHeader("Last-Modified")


def test_the_issuers_are_served_in_three_forms(world: World) -> None:
    """Each CA's certificate can be fetched as DER, PEM and PKCS#7, without counting as a question."""

    def fetch(name: str) -> bytes:
        return world.done(world.treq.content(world.done(world.treq.get(URL + name))))

    for prefix, ca in (("issuer", world.ca), ("issuer-2", world.other_ca)):
        assert fetch(f"{prefix}.der") == ca.certificate.public_bytes(Encoding.DER)
        assert fetch(f"{prefix}.pem") == ca.pem
        assert pkcs7.load_der_pkcs7_certificates(fetch(f"{prefix}.p7c")) == [ca.certificate]
    assert world.responder.count() == 0
    assert world.responder.issuer_requests[:2] == ["issuer.der", "issuer.pem"]


def named(der: bytes) -> str:
    """The subject of a certificate."""
    return x509.load_der_x509_certificate(der).subject.rfc4514_string()


@pytest.mark.parametrize(
    ("behaviour", "check"),
    [
        ("garbage", lambda body, der: body.startswith(b"<html>")),
        ("empty", lambda body, der: body == b""),
        ("huge", lambda body, der: body.startswith(der) and len(body) > 64 * 1024),
        ("trailing-bytes", lambda body, der: body == der + b"\x00"),
        ("foreign-signer", lambda body, der: named(body) == "CN=foreign CA"),
        ("impostor", lambda body, der: named(body) == named(der)),
        ("http-404", lambda body, der: body == b"no\n"),
    ],
)
def test_the_issuer_can_be_served_badly(world: World, behaviour: str, check: Any) -> None:
    """Issuer files have a behaviour of their own, which leaves the answers alone."""
    world.responder.issuer_behaviour = behaviour
    body = world.done(world.treq.content(world.done(world.treq.get(URL + "issuer.der"))))
    der = world.ca.certificate.public_bytes(Encoding.DER)
    assert check(body, der)
    assert body != der
    assert world.status() == "good"


def test_redirects_say_where_to_go_on(world: World) -> None:
    """Each hop has an address of its own, the last one has the answer, and only the first uses up a turn."""
    world.responder.behaviour = ["redirect-three-times", "revoked"]
    response = world.response()
    addresses = set()
    while response.code == 302:
        location = response.headers.getRawHeaders("Location")[0]
        addresses.add(location)
        response = world.done(world.treq.get(URL.rstrip("/") + location, allow_redirects=False))
    answer = ocsp.load_der_ocsp_response(world.done(world.treq.content(response)))
    assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert len(addresses) == 3
    assert world.responder.count(7) == 4
    assert world.status() == "revoked"


def test_a_made_up_redirect_is_a_question_like_any_other(world: World) -> None:
    """Whatever a client adds to the address is not taken for one of our redirects."""
    for query in ("?after=nonsense", "?after=", "?after=%FF"):
        path = quote(base64.b64encode(encode_request(world.ca.cert_id(7))), safe="")
        assert world.done(world.treq.get(URL + path + query)).code == 200
