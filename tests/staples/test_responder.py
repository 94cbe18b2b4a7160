"""One question to one responder, on a wire in memory: what is sent, and what becomes of every kind of answer."""

from __future__ import annotations

import gzip
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from staplesrv import __version__
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.responder import Answer, ResponderClient
from staplesrv.staples.settings import Settings
from staplesrv.testing import CertificateAuthority

URL = "http://ocsp.example/"
REQUEST = b"a request"
GET_URL = "http://ocsp.example/YSByZXF1ZXN0"
NOW = 1_800_000_000.0
SMALL = 1000


PIECES = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 302 \r\n",
    b"HTTP/1.1 304 No\r\n",
    b"\r\n",
    b"Content-Length: 4\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Location: /x\r\n",
    b"Location: http://\xc3\xa9:0/\r\n",
    b"Set-Cookie: \xff=\x00\r\n",
    b"Retry-After: x\r\n",
    b"Age: x\r\n",
    b"4\r\nbody\r\n",
    b"0\r\n\r\n",
]
"""What responses are made of."""


class Connection:
    """The far end of a connection that a client made."""

    def __init__(self, reactor: MemoryReactorClock, number: int) -> None:
        self.host, self.port, factory, self.timeout, _ = reactor.tcpClients[number]
        self.transport = StringTransport(lenient=True)
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        self.lost = False

    @property
    def request(self) -> tuple[str, dict[str, str], bytes]:
        """Request line, headers by lower-case name, and body of the last request."""
        head, _, body = self.transport.value().partition(b"\r\n\r\n")
        line, *headers = head.decode().split("\r\n")
        return line, {name.lower(): value for name, value in (header.split(": ", 1) for header in headers)}, body

    @property
    def closed(self) -> bool:
        """Whether the client has closed it."""
        return self.transport.disconnecting

    def send(self, data: bytes) -> None:
        """Let bytes arrive, in pieces as a network has them, unless the client has closed."""
        for start in range(0, len(data), 4096):
            if not self.closed:
                self.protocol.dataReceived(data[start : start + 4096])
        self.settle()

    def lose(self, reason: Exception | None = None) -> None:
        """End the connection."""
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(reason or ConnectionDone()))

    def settle(self) -> None:
        """Let a close by the client take effect."""
        if self.closed:
            self.lose()


class Wire:
    """A client, and the connections that it makes.

    Args:
        options: Settings.
    """

    def __init__(self, **options: Any) -> None:
        self.reactor = MemoryReactorClock()
        self.connections: list[Connection] = []
        self.client = ResponderClient(self.reactor, Settings(**options), wall_clock=lambda: NOW)

    def ask(self, url: str = URL, **options: Any) -> Deferred[Answer]:
        """Start asking."""
        return Deferred.fromCoroutine(self.client.ask(url, REQUEST, **options))

    def accept(self) -> Connection:
        """Take the next connection that the client wants."""
        self.connections.append(Connection(self.reactor, len(self.connections)))
        return self.connections[-1]

    def refuse(self) -> None:
        """Refuse the first connection that the client wants."""
        factory = self.reactor.tcpClients[0][2]
        factory.clientConnectionFailed(None, Failure(ConnectError(string="refused")))

    def close(self) -> None:
        """Close the client; then nothing is left."""
        done = Deferred.fromCoroutine(self.client.close())
        for connection in self.connections:
            connection.settle()
        assert result_of(done) is None
        assert all(connection.closed or connection.lost for connection in self.connections)
        assert not [call for call in self.reactor.getDelayedCalls() if call.func.__name__ != "<lambda>"]


def result_of(deferred: Deferred[Any]) -> Any:
    """What a Deferred has fired with; it must have."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "there is no result yet"
    if isinstance(results[0], Failure):
        raise results[0].value
    return results[0]


def failure_of(deferred: Deferred[Any]) -> FetchFailed:
    """The failure with which a Deferred has fired."""
    with pytest.raises(FetchFailed) as caught:
        result_of(deferred)
    return caught.value


def pending(deferred: Deferred[Any]) -> bool:
    """Whether a Deferred has not fired yet."""
    return not deferred.called


def ok(body: bytes, *headers: str) -> bytes:
    """A 200 with a body."""
    head = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def status(code: int, *headers: str) -> bytes:
    """A response with a status and no body."""
    return "\r\n".join([f"HTTP/1.1 {code} Said", "Content-Length: 0", *headers]).encode() + b"\r\n\r\n"


@pytest.fixture(autouse=True)
def _nothing_bad_in_the_log() -> Any:
    """No test here leaves a warning or a traceback in the log."""
    bad: list[Any] = []

    def observe(event: Any) -> None:
        if event.get("log_level", LogLevel.info) >= LogLevel.warn or event.get("log_failure"):
            bad.append(event)

    globalLogPublisher.addObserver(observe)
    yield
    globalLogPublisher.removeObserver(observe)
    assert not bad, bad


class TestQuestion:
    """What goes out."""

    def test_get(self) -> None:
        """A GET has the request in its path, offers no encoding, and says who asks."""
        wire = Wire()
        wire.ask()
        connection = wire.accept()
        line, headers, body = connection.request
        assert (connection.host, connection.port) == ("127.0.0.1", 80)
        assert line == "GET /YSByZXF1ZXN0 HTTP/1.1"
        assert headers == {
            "host": "ocsp.example",
            "user-agent": f"staplesrv/{__version__}",
            "accept": "application/ocsp-response",
            "accept-encoding": "identity",
        }
        assert body == b""

    def test_post(self) -> None:
        """A POST has the request as its body."""
        wire = Wire()
        wire.ask("http://ocsp.example:8080/a?b", method="POST", etag='"x"')
        connection = wire.accept()
        line, headers, body = connection.request
        assert connection.port == 8080
        assert line == "POST /a?b HTTP/1.1"
        assert headers["host"] == "ocsp.example:8080"
        assert headers["content-type"] == "application/ocsp-request"
        assert headers["content-length"] == str(len(REQUEST))
        assert headers["accept-encoding"] == "identity"
        assert "if-none-match" not in headers
        assert body == REQUEST

    def test_a_get_that_would_be_too_long_is_a_post(self) -> None:
        """Beyond 255 bytes of URL the request goes by POST."""
        wire = Wire()
        wire.ask(URL + "a" * 230)
        assert wire.accept().request[0].startswith("POST /aaa")

    def test_validators(self) -> None:
        """If-None-Match and If-Modified-Since are sent as they were got."""
        wire = Wire()
        wire.ask(etag='W/"x"', last_modified="Sun, 01 Mar 2026 12:00:00 GMT")
        headers = wire.accept().request[1]
        assert headers["if-none-match"] == 'W/"x"'
        assert headers["if-modified-since"] == "Sun, 01 Mar 2026 12:00:00 GMT"

    def test_escapes_in_the_url_go_out_as_they_are(self) -> None:
        """What treq and hyperlink would tidy up reaches the wire untouched."""
        wire = Wire()
        wire.ask("http://ocsp.example/a//../%2f{|}", method="POST")
        assert wire.accept().request[0] == "POST /a//../%2f{|} HTTP/1.1"

    def test_an_ipv6_address(self) -> None:
        """A responder may be named by its IPv6 address."""
        wire = Wire()
        wire.ask("http://[2001:db8::1]:81/")
        assert wire.accept().request[1]["host"] == "[2001:db8::1]:81"

    @pytest.mark.parametrize("url", ["ftp://ocsp.example/", "http://u@ocsp.example/", "http://", "", "http://a b/"])
    def test_a_url_that_is_not_asked(self, url: str) -> None:
        """A hostile URL is refused before anything is looked up."""
        wire = Wire()
        assert failure_of(wire.ask(url)).kind == FailureKind.REFUSED
        assert not wire.reactor.tcpClients


class TestAnswer:
    """What comes back, when all is well."""

    def test_body_and_headers(self) -> None:
        """The body comes with what its headers say about asking again."""
        wire = Wire()
        asked = wire.ask()
        wire.accept().send(ok(b"body", 'ETag: "x"', "Last-Modified: then", "Cache-Control: max-age=60", "Age: 20"))
        assert result_of(asked) == Answer(b"body", GET_URL, '"x"', "then", timedelta(seconds=40))

    def test_the_media_type_decides_nothing(self) -> None:
        """A body is a body, whatever it is called."""
        wire = Wire()
        asked = wire.ask()
        wire.accept().send(ok(b"body", "Content-Type: text/html"))
        assert result_of(asked).body == b"body"

    def test_chunks(self) -> None:
        """A chunked body is put together."""
        wire = Wire()
        asked = wire.ask()
        wire.accept().send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n")
        assert result_of(asked).body == b"body"

    def test_a_body_that_ends_with_its_connection(self) -> None:
        """HTTP/1.0 without a length is still spoken."""
        wire = Wire()
        asked = wire.ask()
        connection = wire.accept()
        connection.send(b"HTTP/1.0 200 OK\r\n\r\nbody")
        assert pending(asked)
        connection.lose()
        assert result_of(asked).body == b"body"

    def test_not_modified(self) -> None:
        """A 304 to a question with a validator has no body, and may have new validators."""
        wire = Wire()
        asked = wire.ask(etag='"x"')
        wire.accept().send(status(304, 'ETag: "y"', "Cache-Control: max-age=60"))
        assert result_of(asked) == Answer(None, GET_URL, '"y"', None, timedelta(seconds=60))

    def test_identity_is_no_encoding(self) -> None:
        """A Content-Encoding that says "none" is none."""
        wire = Wire()
        asked = wire.ask()
        wire.accept().send(ok(b"body", "Content-Encoding: identity"))
        assert result_of(asked).body == b"body"

    def test_connections_are_used_again(self) -> None:
        """The next question to the same responder goes over the same connection, for a while."""
        wire = Wire()
        first = wire.ask()
        connection = wire.accept()
        connection.send(ok(b"one"))
        assert result_of(first).body == b"one"
        second = wire.ask()
        connection.send(ok(b"two"))
        assert result_of(second).body == b"two"
        assert len(wire.reactor.tcpClients) == 1
        wire.reactor.advance(16)
        assert connection.closed

    def test_no_cookies(self) -> None:
        """What a responder wants remembered is forgotten."""
        wire = Wire()
        first = wire.ask()
        connection = wire.accept()
        connection.send(ok(b"one", "Set-Cookie: a=b", "Set-Cookie: c=d; Path=/"))
        assert result_of(first).body == b"one"
        connection.transport.clear()
        wire.ask()
        assert "cookie" not in connection.request[1]


class TestRefusal:
    """What comes back, when HTTP says no."""

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            (400, FailureKind.REFUSED),
            (401, FailureKind.REFUSED),
            (404, FailureKind.REFUSED),
            (405, FailureKind.REFUSED),
            (407, FailureKind.REFUSED),
            (429, FailureKind.HTTP_STATUS),
            (500, FailureKind.HTTP_STATUS),
            (503, FailureKind.HTTP_STATUS),
            (300, FailureKind.HTTP_STATUS),
            (201, FailureKind.BAD_RESPONSE),
            (204, FailureKind.BAD_RESPONSE),
            (304, FailureKind.BAD_RESPONSE),
            (600, FailureKind.BAD_RESPONSE),
            (-1, FailureKind.BAD_RESPONSE),
        ],
    )
    def test_status(self, code: int, kind: FailureKind) -> None:
        """Each status has its kind; it is named, with the responder's URL."""
        wire = Wire()
        asked = wire.ask()
        wire.accept().send(status(code))
        failure = failure_of(asked)
        assert (failure.kind, failure.status, failure.url) == (kind, code, URL)
        wire.close()

    @pytest.mark.parametrize("url", ["http://ocsp.example/a/b", "http://ocsp.example/a?b"])
    def test_the_url_told_is_the_responders(self, url: str) -> None:
        """A failure names the URL as it was given, by GET and by POST, without the request."""
        wire = Wire()
        asked = wire.ask(url)
        wire.accept().send(status(404))
        assert failure_of(asked).url == url

    def test_the_body_of_a_refusal_is_not_read(self) -> None:
        """An error page costs its connection."""
        wire = Wire()
        asked = wire.ask()
        connection = wire.accept()
        connection.send(b"HTTP/1.1 500 Oh\r\nContent-Length: 1000000\r\n\r\n<html>")
        assert failure_of(asked).status == 500
        assert connection.closed
        wire.close()

    def test_a_closing_connection_is_not_used_again(self) -> None:
        """An error page that is all there with its headers does not leave a connection behind that is being closed."""
        wire = Wire()
        asked = wire.ask()
        first = wire.accept()
        first.protocol.dataReceived(b"HTTP/1.1 500 Oh\r\nContent-Length: 6\r\n\r\n<html>")
        assert failure_of(asked).status == 500
        assert first.closed
        again = wire.ask(method="POST")
        assert len(wire.reactor.tcpClients) == 2
        wire.accept().send(ok(b"body"))
        assert result_of(again).body == b"body"
        wire.close()

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [("120", 120), ("999999999", 6 * 3600), ("Fri, 15 Jan 2027 08:01:00 GMT", 60), ("never", None)],
    )
    def test_retry_after(self, value: str, seconds: int | None) -> None:
        """Retry-After comes along, in seconds or as a date, capped."""
        wire = Wire()
        asked = wire.ask()
        wire.accept().send(status(503, f"Retry-After: {value}"))
        assert failure_of(asked).retry_after == (None if seconds is None else timedelta(seconds=seconds))

    def test_an_empty_body(self) -> None:
        """A 200 without a body is no answer."""
        wire = Wire()
        asked = wire.ask()
        wire.accept().send(ok(b""))
        assert failure_of(asked).kind == FailureKind.BAD_RESPONSE
        wire.close()


class TestBounds:
    """A responder can't make us wait, or take in, more than it may."""

    def test_a_body_up_to_the_cap(self) -> None:
        """A body of just the size allowed is read."""
        wire = Wire(max_response=SMALL)
        asked = wire.ask()
        wire.accept().send(ok(b"x" * SMALL))
        assert len(result_of(asked).body) == SMALL

    def test_a_length_over_the_cap(self) -> None:
        """A Content-Length over the cap ends it before the body comes."""
        wire = Wire(max_response=SMALL)
        asked = wire.ask()
        connection = wire.accept()
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SMALL + 1}\r\n\r\n".encode())
        assert failure_of(asked).kind == FailureKind.BAD_RESPONSE
        assert connection.closed
        wire.close()

    @pytest.mark.parametrize(
        "head", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n"]
    )
    def test_a_body_that_goes_on(self, head: bytes) -> None:
        """A body without a length ends at the cap, with its connection."""
        wire = Wire(max_response=SMALL)
        asked = wire.ask()
        connection = wire.accept()
        connection.send(head + b"x" * SMALL)
        assert pending(asked)
        connection.send(b"x")
        failure = failure_of(asked)
        assert (failure.kind, failure.detail) == (FailureKind.BAD_RESPONSE, "the body has more than 1000 bytes")
        assert connection.closed
        wire.close()

    @pytest.mark.parametrize("line", [b"X: " + b"y" * 1000 + b"\r\n", b" " + b"y" * 100 + b"\r\n", b"y" * 1000])
    def test_headers_that_go_on(self, line: bytes) -> None:
        """Headers without end cost the connection long before they cost memory."""
        wire = Wire()
        asked = wire.ask()
        connection = wire.accept()
        connection.send(b"HTTP/1.1 200 OK\r\nX: y\r\n" + line * (300_000 // len(line)))
        assert connection.closed
        assert failure_of(asked).kind in {FailureKind.BAD_RESPONSE, FailureKind.NETWORK}
        wire.close()

    def test_interim_responses_that_go_on(self) -> None:
        """An endless row of 1xx ends at the cap."""
        wire = Wire(max_response=SMALL)
        asked = wire.ask()
        connection = wire.accept()
        connection.send(b"HTTP/1.1 102 Wait\r\n\r\n" * 2000)
        assert connection.closed
        assert failure_of(asked).kind == FailureKind.BAD_RESPONSE

    @pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "br", "identity, gzip"])
    def test_a_compressed_body(self, encoding: str) -> None:
        """A compressed body is refused without looking at it."""
        wire = Wire()
        asked = wire.ask()
        connection = wire.accept()
        connection.send(ok(gzip.compress(bytes(1_000_000)), f"Content-Encoding: {encoding}"))
        assert failure_of(asked).kind == FailureKind.BAD_RESPONSE
        wire.close()

    @pytest.mark.parametrize(
        "sent", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"]
    )
    def test_a_slow_drip(self, sent: bytes) -> None:
        """A byte a second, of headers or body, is over after 15 s in all."""
        wire = Wire()
        asked = wire.ask()
        connection = wire.accept()
        connection.send(sent)
        for _ in range(14):
            wire.reactor.advance(1)
            connection.send(b"x")
        assert pending(asked)
        wire.reactor.advance(1)
        failure = failure_of(asked)
        assert (failure.kind, failure.detail) == (FailureKind.NETWORK, "no whole answer within 15 s")
        assert connection.closed
        wire.close()

    def test_silence(self) -> None:
        """Silence is over when the time-out of the settings is."""
        wire = Wire(timeout=timedelta(seconds=2))
        asked = wire.ask()
        connection = wire.accept()
        wire.reactor.advance(2)
        assert failure_of(asked).kind == FailureKind.NETWORK
        assert connection.closed

    def test_no_connection(self) -> None:
        """A connection that does not come about is given up after 5 s."""
        wire = Wire()
        asked = wire.ask()
        for _ in range(49):
            wire.reactor.advance(0.1)
        assert pending(asked)
        wire.reactor.advance(0.2)
        failure = failure_of(asked)
        assert (failure.kind, failure.detail) == (FailureKind.NETWORK, "no connection within 5 s")
        wire.close()

    def test_a_refused_connection(self) -> None:
        """A refused connection says so."""
        wire = Wire()
        asked = wire.ask()
        wire.refuse()
        wire.reactor.advance(0.3)
        failure = failure_of(asked)
        assert failure.kind == FailureKind.NETWORK
        assert "refused" in failure.detail


class TestRedirects:
    """Three redirects are followed, to http and https alone."""

    def test_followed(self) -> None:
        """A redirect is followed to the other host, and the answer is the one to what was asked."""
        wire = Wire()
        asked = wire.ask()
        first = wire.accept()
        first.send(status(302, "Location: http://other.example:81/x?y"))
        second = wire.accept()
        assert second.port == 81
        line, headers, _ = second.request
        assert line == "GET /x?y HTTP/1.1"
        assert headers["host"] == "other.example:81"
        second.send(ok(b"body"))
        assert result_of(asked) == Answer(b"body", GET_URL)
        wire.close()

    @pytest.mark.parametrize("code", [301, 302, 307, 308])
    def test_a_post_stays_a_post(self, code: int) -> None:
        """A redirected POST is repeated as it was."""
        wire = Wire()
        wire.ask(method="POST")
        connection = wire.accept()
        connection.transport.clear()
        connection.send(status(code, "Location: /x"))
        line, headers, body = connection.request
        assert (line, body) == ("POST /x HTTP/1.1", REQUEST)
        assert headers["content-type"] == "application/ocsp-request"

    def test_a_303_to_a_post(self) -> None:
        """What a 303 shows after a POST is no OCSP response, and is not asked for."""
        wire = Wire()
        asked = wire.ask(method="POST")
        wire.accept().send(status(303, "Location: /x"))
        assert failure_of(asked).kind == FailureKind.HTTP_STATUS

    def test_the_body_of_a_redirect_is_not_read(self) -> None:
        """A redirect with a body costs its connection, and is followed."""
        wire = Wire()
        asked = wire.ask()
        first = wire.accept()
        first.send(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 100000\r\n\r\n<html>")
        assert first.closed
        wire.accept().send(ok(b"body"))
        assert result_of(asked).body == b"body"

    def test_three_and_no_more(self) -> None:
        """The fourth redirect ends it."""
        wire = Wire()
        asked = wire.ask()
        connection = wire.accept()
        for number in range(3):
            connection.send(status(302, f"Location: /{number}"))
            assert pending(asked)
        connection.send(status(302, "Location: /3"))
        failure = failure_of(asked)
        assert (failure.kind, failure.detail) == (FailureKind.HTTP_STATUS, "more than 3 redirects")
        wire.close()

    @pytest.mark.parametrize(
        "location",
        [
            "Location: file:///etc/passwd",
            "Location: ftp://other.example/",
            "Location: http://u:p@other.example/",
            "Location: http://[",
            "Location: http://other.example:99999/",
            "Location: http://other.example/\x00",
            "Location: ",
            "X: y",
        ],
    )
    def test_elsewhere_is_not_followed(self, location: str) -> None:
        """A redirect to no http or https URL is a failure, and nothing is looked up."""
        wire = Wire()
        asked = wire.ask()
        wire.accept().send(status(302, location))
        assert failure_of(asked).kind == FailureKind.HTTP_STATUS
        assert len(wire.reactor.tcpClients) == 1

    def test_a_location_that_is_no_text(self) -> None:
        """Bytes that are no UTF-8 are nowhere to go."""
        wire = Wire()
        asked = wire.ask()
        wire.accept().send(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /\xff\xfe\r\n\r\n")
        assert failure_of(asked).kind == FailureKind.HTTP_STATUS

    def test_the_time_is_for_all_hops(self) -> None:
        """Redirects don't make the time any longer."""
        wire = Wire()
        asked = wire.ask()
        connection = wire.accept()
        for number in range(3):
            wire.reactor.advance(4)
            connection.send(status(302, f"Location: /{number}"))
        wire.reactor.advance(3)
        assert failure_of(asked).detail == "no whole answer within 15 s"


class TestProxy:
    """`http_proxy` serves http, but for what `no_proxy` names."""

    PROXY = "http://proxy.example:3128"

    def test_http_goes_through_it(self) -> None:
        """The proxy gets the whole URL, and the Host of the responder."""
        wire = Wire(http_proxy=self.PROXY)
        asked = wire.ask()
        connection = wire.accept()
        line, headers, _ = connection.request
        assert connection.port == 3128
        assert line == f"GET {GET_URL} HTTP/1.1"
        assert headers["host"] == "ocsp.example"
        connection.send(ok(b"body"))
        assert result_of(asked).body == b"body"
        wire.close()

    def test_a_post_goes_through_it(self) -> None:
        """A POST too."""
        wire = Wire(http_proxy=self.PROXY)
        wire.ask("http://ocsp.example:8080/a", method="POST")
        line, headers, body = wire.accept().request
        assert line == "POST http://ocsp.example:8080/a HTTP/1.1"
        assert headers["host"] == "ocsp.example:8080"
        assert body == REQUEST

    def test_https_goes_direct(self) -> None:
        """An https responder is asked directly."""
        wire = Wire(http_proxy=self.PROXY)
        wire.ask("https://ocsp.example/").addErrback(lambda _: None)
        assert wire.reactor.tcpClients[0][1] == 443

    def test_no_proxy_goes_direct(self) -> None:
        """What `no_proxy` names is asked directly, also after a redirect from elsewhere."""
        wire = Wire(http_proxy=self.PROXY, no_proxy=(".internal.example",))
        wire.ask()
        connection = wire.accept()
        assert connection.port == 3128
        connection.send(status(302, "Location: http://ocsp.internal.example/x"))
        direct = wire.accept()
        assert direct.port == 80
        assert direct.request[0] == "GET /x HTTP/1.1"


class TestMalformed:
    """Whatever bytes come, the outcome is an answer or a failure, without a word in the log."""

    @pytest.mark.parametrize(
        "sent",
        [
            b"",
            b"hello\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01",
            b"<html><body>It works!</body></html>\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 abc OK\r\n\r\n",
            b"HTTP/x.y 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nbody",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nbody",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbodyandmore",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 2000,
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbody",
            b"HTTP/1.1 200 " + b"K" * 20_000 + b"\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n",
        ],
    )
    def test_it_is_a_failure(self, sent: bytes) -> None:
        """What is no HTTP, or half of it, is a failure of the network or a bad response."""
        wire = Wire()
        asked = wire.ask()
        connection = wire.accept()
        connection.send(sent)
        connection.lose(ConnectionLost())
        failure = failure_of(asked)
        assert failure.kind in {FailureKind.NETWORK, FailureKind.BAD_RESPONSE}
        assert failure.detail
        wire.close()

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.binary(max_size=30) | st.sampled_from(PIECES), max_size=8), st.booleans())
    def test_no_bytes_end_in_anything_else(self, pieces: list[bytes], conditional: bool) -> None:  # noqa: FBT001 - drawn
        """Whatever the bytes are, and wherever they are cut, there is an answer or a `FetchFailed`; nothing is left."""
        wire = Wire()
        asked = wire.ask(etag='"x"' if conditional else None)
        connection = wire.accept()
        for piece in pieces:
            connection.send(piece)
        connection.lose(ConnectionLost())
        while len(wire.reactor.tcpClients) > len(wire.connections):
            wire.accept().lose(ConnectionLost())
        with suppress(FetchFailed):
            assert isinstance(result_of(asked), Answer)
        wire.close()


class TestCancel:
    """Cancelling closes the connection, whatever the state."""

    def test_while_connecting(self) -> None:
        """Before there is a connection, none comes of it."""
        wire = Wire()
        asked = wire.ask()
        asked.cancel()
        with pytest.raises(CancelledError):
            result_of(asked)
        assert wire.reactor.connectors[0].stoppedConnecting
        wire.close()

    @pytest.mark.parametrize(
        "sent", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody"]
    )
    def test_while_it_comes(self, sent: bytes) -> None:
        """Before, in the midst of headers, in the midst of the body."""
        wire = Wire()
        asked = wire.ask()
        connection = wire.accept()
        connection.send(sent)
        asked.cancel()
        with pytest.raises(CancelledError):
            result_of(asked)
        assert connection.closed
        connection.settle()
        wire.close()

    def test_by_closing(self) -> None:
        """Closing the client cancels what is under way, and closes what is idle."""
        wire = Wire()
        idle = wire.ask()
        connection = wire.accept()
        connection.send(ok(b"body"))
        assert result_of(idle).body == b"body"
        busy = wire.ask("http://other.example/")
        wire.accept()
        wire.close()
        with pytest.raises(CancelledError):
            result_of(busy)


class TestCertificates:
    """`fetch_certificates` reads what a CA publishes."""

    CA = CertificateAuthority()

    def fetch(self, sent: bytes) -> Deferred[Any]:
        """Fetch, and get these bytes."""
        wire = Wire()
        fetched = Deferred.fromCoroutine(wire.client.fetch_certificates("http://ca.example/ca.p7c"))
        connection = wire.accept()
        assert connection.request[0] == "GET /ca.p7c HTTP/1.1"
        connection.send(sent)
        wire.close()
        return fetched

    def test_it_is_read(self) -> None:
        """A certificate comes out."""
        assert result_of(self.fetch(ok(self.CA.pem))) == [self.CA.certificate]

    def test_it_is_something_else(self) -> None:
        """What is no certificate is a bad response."""
        failure = failure_of(self.fetch(ok(b"<html>")))
        assert (failure.kind, failure.url) == (FailureKind.BAD_RESPONSE, "http://ca.example/ca.p7c")

    def test_the_same_bounds_hold(self) -> None:
        """A huge one is refused like any other body."""
        assert failure_of(self.fetch(ok(bytes(100_000)))).kind == FailureKind.BAD_RESPONSE
        assert failure_of(self.fetch(status(404))).kind == FailureKind.REFUSED
