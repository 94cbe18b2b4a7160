"""Requests that are refused before an application is asked: what the access log is told of them."""

from __future__ import annotations

import pytest
from wire import Calls, Says, Wire

from staplesrv.http.limits import Limits

GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "line", "status"),
    [
        (b"GET /a HTTP/1.1\r\n\r\n", b"GET /a HTTP/1.1", 400),
        (b"\r\n\r\nGET  /a HTTP/1.1\r\n\r\n", b"GET  /a HTTP/1.1", 400),
        (b"GET /a HTTP/1.1\nHost: a\r\n\r\n", b"GET /a HTTP/1.1", 400),
        (b"\x16\x03\x01\n", b"\x16\x03\x01", 400),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"CONNECT a:1 HTTP/1.1", 501),
        (b"GET / HTTP/3.0\r\n\r\n", b"GET / HTTP/3.0", 505),
        (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n", b"GET /" + b"a" * 251, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 2000 + b"\r\n", b"GET / HTTP/1.1", 431),
        (b"\n", b"", 400),
    ],
)
def test_what_there_was_of_it(sent: bytes, line: bytes, status: int) -> None:
    """The request line as it came, as far as it may be long, with the status and the length of the page."""
    wire = Wire(Says(), limits=Limits(request_line=256, headers=1024))
    wire.send(GET + sent)
    (refused,) = wire.refused
    assert (refused.request.line, refused.status, refused.seconds) == (line, status, 0.0)
    assert wire.answer.partition(b"\r\n\r\nhello\n")[2].partition(b"\r\n\r\n")[2].endswith(b"</html>\n")
    assert refused.sent == len(wire.answer.rpartition(b"\r\n\r\n")[2])
    assert (wire.factory.refused, len(wire.done)) == (1, 1)


def test_a_head_that_takes_too_long() -> None:
    """The time runs from its first byte."""
    wire = Wire(Says())
    wire.clock.advance(20)
    wire.send(b"GET /slow HTTP/1.1\r\nHost: a")
    wire.clock.pump([2.5] * 4)
    (refused,) = wire.refused
    assert (refused.request.line, refused.status, refused.seconds) == (b"GET /slow HTTP/1.1", 408, 10.0)


def test_a_client_that_sends_nothing() -> None:
    """There is nothing to tell of it."""
    wire = Wire(Says())
    wire.clock.pump([2.5] * 100)
    assert (wire.ended, wire.refused, wire.factory.refused) == ("lost", [], 0)


def test_a_body_that_is_refused() -> None:
    """The exchange is told of, which has that status; it is counted all the same."""
    wire = Wire(Calls())
    wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")
    assert ([exchange.status for exchange in wire.done], wire.refused, wire.factory.refused) == ([400], [], 1)


@pytest.mark.parametrize("late", [True, False])
def test_the_rest_of_a_body_whose_request_was_answered(late: bool) -> None:  # noqa: FBT001
    """Where it does not come the connection ends; a second answer would pass for that to a later request."""
    wire = Wire(Says())
    wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
    answered = wire.answer
    if late:
        wire.clock.pump([2.5] * 30)
    else:
        wire.half_close()
    assert wire.answer == answered
    assert wire.ended == "lost"
    assert wire.factory.refused == 1
