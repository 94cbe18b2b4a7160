"""Requests over HTTP/1.1: one after the other, with and without bodies."""

from __future__ import annotations

import pytest
from wire import Calls, Echo, Says, Wire, serve

from staplesrv.http.exchange import Exchange
from staplesrv.http.limits import Limits
from staplesrv.http.response import Response

GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n"
CLOSING = HELLO.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def post(fields: bytes, body: bytes = b"") -> bytes:
    """Return a POST with a body."""
    return b"POST / HTTP/1.1\r\nHost: example.org\r\n" + fields + b"\r\n" + body


def test_kept() -> None:
    """A connection is kept for the next request; each response is one write."""
    wire = Wire(Says())
    wire.send(GET)
    assert wire.answer == HELLO
    wire.send(GET, b"GET /other HTTP/1.1\r\nHost: example.org\r\n\r\n")
    assert wire.answer == HELLO * 3
    assert wire.transport.writes == 3
    assert not wire.ended
    assert wire.factory.requests == 3


def test_close() -> None:
    """A client that wants the connection closed gets that said, and done."""
    wire = Wire(Says())
    wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n" + GET)
    assert wire.answer == CLOSING
    assert wire.ended == "lost"


def test_old_client() -> None:
    """An HTTP/1.0 client gets a close, unless it asks to keep the connection and hears so."""
    assert serve(Says(), b"GET / HTTP/1.0\r\n\r\n") == CLOSING
    wire = Wire(Says())
    wire.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert wire.answer == HELLO.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
    assert not wire.ended


def test_pipelined() -> None:
    """Requests that come together are answered in order, also where the first answer takes longer."""
    application = Calls()
    wire = Wire(application)
    wire.send(GET + GET.replace(b"/ ", b"/2 ") + GET[:5])
    assert not wire.transport.reading
    assert len(application.exchanges) == 1
    application.exchange.send(Response(200, (), b"1"))
    assert application.exchange.request.target == b"/2"
    application.exchange.send(Response(200, (), b"2"))
    assert wire.transport.reading
    wire.send(GET[5:])
    assert len(application.exchanges) == 3
    assert wire.answer.count(b"HTTP/1.1 200 OK") == 2


def test_many_pipelined_at_once() -> None:
    """A thousand requests in one read need no deep stack."""
    assert serve(Says(), GET * 1000) == HELLO * 1000


def test_reading_goes_on_while_an_answer_is_waited_for() -> None:
    """As long as nothing waits behind a request its client is read from, so that its end is noticed."""
    application = Calls()
    wire = Wire(application)
    wire.send(GET)
    assert wire.transport.reading
    wire.vanish()
    assert application.names == ["body_end", "lost"]
    assert wire.done == application.exchanges


@pytest.mark.parametrize("split", [False, True])
def test_bodies(*, split: bool) -> None:
    """Bodies of both framings reach the application, and no byte of the next request with them."""
    wire = Wire(Echo())
    requests = (
        post(b"Content-Length: 3\r\n", b"abc")
        + post(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\nA: b\r\n\r\n")
        + post(b"Content-Length: 0\r\n")
    )
    (wire.send_slowly if split else wire.send)(requests)
    assert b"b'abc', ())" in wire.answer
    assert b"b'abc', ((b'a', b'b'),))" in wire.answer
    assert b"b'', ())" in wire.answer
    assert wire.answer.count(b"200 OK") == 3


def test_small_pieces_of_a_large_body() -> None:
    """A body is handed on as it comes, not kept."""
    application = Calls()
    wire = Wire(application)
    wire.send(post(b"Content-Length: 6\r\n", b"abc"), b"d", b"ef")
    assert application.calls == [("body", b"abc"), ("body", b"d"), ("body", b"ef"), ("body_end", ())]


def test_held_body() -> None:
    """A body that its handler holds back stays with the client, and comes when it may."""
    application = Calls(lambda exchange: exchange.pause_body())
    wire = Wire(application)
    wire.send(post(b"Content-Length: 6\r\n", b"abc"))
    assert not application.content
    assert not wire.transport.reading
    application.exchange.resume_body()
    assert application.content == b"abc"
    wire.send(b"def")
    assert application.names == ["body", "body", "body_end"]


def test_held_in_the_middle() -> None:
    """A handler that holds the body back from within `body` gets no more than it had."""
    application = Calls()
    wire = Wire(application)
    wire.send(post(b"Content-Length: 6\r\n"))
    application.exchange.pause_body()
    application.exchange.resume_body()
    application.exchange.pause_body()
    assert not wire.transport.reading
    wire.half_close()
    assert application.names == []
    application.exchange.resume_body()
    assert application.names == ["lost"]
    assert wire.answer.startswith(b"HTTP/1.1 400 ")


def test_a_body_nobody_held_on_to() -> None:
    """A body held back by a handler that answers in the end does not stay in the way of the next request."""
    application = Calls(lambda exchange: exchange.pause_body())
    wire = Wire(application)
    wire.send(post(b"Content-Length: 6\r\n", b"abc"))
    application.exchange.send(Response(200, (), b"1"))
    wire.send(b"def" + GET)
    assert len(application.exchanges) == 2


def test_continue() -> None:
    """A client that waits for a 100 gets one as soon as somebody takes the body: RFC 9110 §10.1.1."""
    application = Calls()
    wire = Wire(application)
    wire.send(post(b"Content-Length: 3\r\nExpect: 100-continue\r\n"))
    assert wire.answer == CONTINUE
    wire.send(b"abc")
    assert application.content == b"abc"


def test_no_continue() -> None:
    """A client that sends its body, or one that is refused, gets no 100; the refused one is not kept."""
    application = Calls()
    wire = Wire(application)
    wire.send(post(b"Content-Length: 3\r\nExpect: 100-continue\r\n", b"a"))
    assert wire.answer == b""
    wire = Wire(Says())
    wire.send(post(b"Content-Length: 3\r\nExpect: 100-continue\r\n"))
    assert wire.answer == CLOSING


def test_an_application_that_continues_itself() -> None:
    """An application that holds the 100 sends it when it likes; interim responses are for HTTP/1.1 alone."""

    def hold(exchange: Exchange) -> None:
        exchange.holds_continue = True

    application = Calls(hold)
    wire = Wire(application)
    wire.send(post(b"Content-Length: 3\r\nExpect: 100-continue\r\n"))
    assert wire.answer == b""
    application.exchange.inform(100)
    application.exchange.inform(103, ((b"Link", b"</a>"),))
    assert wire.answer == CONTINUE + b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    old = Wire(application)
    old.send(b"GET / HTTP/1.0\r\n\r\n")
    application.exchange.inform(103)
    assert old.answer == b""


def test_too_large_by_its_length() -> None:
    """A body that says that it is over the limit is a 413 before any of it is read, and no 100 asks for it."""

    def limit(exchange: Exchange) -> None:
        exchange.body_limit = 5

    application = Calls(limit)
    wire = Wire(application)
    wire.send(post(b"Content-Length: 6\r\nExpect: 100-continue\r\n"))
    assert wire.answer.startswith(b"HTTP/1.1 413 Content Too Large\r\n")
    assert b"Connection: close\r\n" in wire.answer
    assert application.names == ["lost"]
    wire = Wire(application)
    wire.send(post(b"Content-Length: 5\r\n", b"abcde"))
    assert application.names == ["lost", "body", "body_end"]


def test_too_large_in_the_end() -> None:
    """A chunked body is a 413 once it is over the limit; where the answer has begun it is cut off."""

    def limit(exchange: Exchange) -> None:
        exchange.body_limit = 5

    application = Calls(limit)
    wire = Wire(application)
    wire.send(post(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n"), b"3\r\nabc\r\n")
    assert wire.answer.startswith(b"HTTP/1.1 413 ")
    assert application.names == ["body", "lost"]
    wire = Wire(application)
    wire.send(post(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n"))
    application.exchange.start(200, ())
    wire.send(b"3\r\nabc\r\n")
    assert wire.ended == "broken"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000, 414),
        (GET[:-2] + b"A: " + b"a" * 33_000, 431),
        (GET[:-2] + b"A: b\r\n" * 100 + b"\r\n", 431),
        (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ],
)
def test_refused(data: bytes, status: int) -> None:
    """What is no request gets the status that says why, after what came before it, and the connection ends."""
    wire = Wire(Says())
    wire.send(GET + data + GET)
    assert wire.answer.startswith(HELLO + b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close\r\n" in wire.answer
    assert wire.answer.count(b"HTTP/1.1") == 2
    assert wire.transport.half_closed
    assert wire.factory.refused == 1
    assert wire.factory.requests == 1


def test_bad_chunks() -> None:
    """A chunk that is none ends its exchange with a 400."""
    application = Calls()
    wire = Wire(application)
    wire.send(post(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\nx\r\n"))
    assert wire.answer.startswith(b"HTTP/1.1 400 ")
    assert application.names == ["body", "lost"]
    assert wire.done == application.exchanges


def test_empty_lines_between_requests() -> None:
    """Empty lines between requests are skipped, however many, and not kept."""
    wire = Wire(Says(), limits=Limits(headers=1024))
    wire.send(GET + b"\r\n" * 5000, b"\r\n" + GET)
    assert wire.answer == HELLO * 2
