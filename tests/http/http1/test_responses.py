"""Responses over HTTP/1.1: their framing, and the fields that are not the application's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from wire import DATE, Calls, Says, Wire, serve

from staplesrv.http.exchange import Exchange, FieldLines
from staplesrv.http.fields import Fields
from staplesrv.http.response import BadResponse, Response

GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: example.org\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"


def answered(do: Callable[[Exchange], object], data: bytes = GET) -> Wire:
    """Have an application do something with an exchange, as soon as it is given it."""

    def handle(exchange: Exchange) -> None:
        do(exchange)

    wire = Wire(Calls(handle))
    wire.send(data)
    return wire


def streams(exchange: Exchange) -> None:
    """Answer in two pieces of no known length."""
    exchange.start(200, ((b"A", b"b"),))
    exchange.write(b"abc")
    exchange.write(b"")
    exchange.write(b"de")
    exchange.finish(((b"X-Sum", b"1"), (b"Content-Length", b"5")))


def test_server_and_date() -> None:
    """Each response says who sends it and when: RFC 9110 §6.6.1."""
    wire = answered(lambda exchange: exchange.send(Response(200)))
    ours = b"Server: staplesrv\r\nDate: " + DATE
    assert wire.transport.written == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + ours + b"\r\n\r\n"


@pytest.mark.parametrize("name", [b"Server", b"sErVeR", b"date"])
def test_own_server_or_date(name: bytes) -> None:
    """An application's own Server or Date is not doubled, and the other one is still there."""
    for do in (
        lambda exchange: exchange.send(Response(200, ((name, b"x"),))),
        lambda exchange: exchange.start(200, ((name, b"x"),)),
    ):
        lines = answered(do).transport.written.lower().split(b"\r\n")
        assert name.lower() + b": x" in lines
        assert len([line for line in lines if line.startswith((b"server:", b"date:"))]) == 2


@pytest.mark.parametrize("fields", [((b"A", b"b"),), ((b"X-Frame-Options", b"ALLOW"), (b"A", b"b"))])
def test_added_fields(fields: Fields) -> None:
    """A site's fields are added; one of the same name is replaced, and Server can be, too."""
    added = FieldLines(((b"X-Frame-options", b"DENY"), (b"Server", b"mine")))

    def send(exchange: Exchange) -> None:
        exchange.added = added
        exchange.send(Response(200, fields, b"body"))

    def start(exchange: Exchange) -> None:
        exchange.added = added
        exchange.start(200, (*fields, (b"Content-Length", b"4")))
        exchange.write(b"body")
        exchange.finish()

    said = (
        b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 4\r\nX-Frame-options: DENY\r\nServer: mine\r\nDate: "
        + DATE
        + b"\r\n\r\nbody"
    )
    assert answered(send).transport.written == said
    assert answered(start).transport.written == said


def test_added_fields_of_the_usual_kind() -> None:
    """A site's fields stand between the response's and the server's."""

    def send(exchange: Exchange) -> None:
        exchange.added = FieldLines(((b"Strict-Transport-Security", b"max-age=1"),))
        exchange.send(Response(204))

    assert answered(send).answer == b"HTTP/1.1 204 No Content\r\nStrict-Transport-Security: max-age=1\r\n\r\n"


def test_chunked() -> None:
    """A body of no known length is chunked: RFC 9112 §7.1."""
    said = b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    wire = answered(streams)
    assert wire.answer == said
    assert not wire.ended
    assert wire.done[0].sent == 5


def test_trailers() -> None:
    """Trailers go to those who take them, but for fields that may be none: RFC 9110 §6.5.1."""
    wire = answered(streams, GET[:-2] + b"TE: gzip, trailers\r\nConnection: TE\r\n\r\n")
    assert wire.answer.endswith(b"2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n")


def test_close_delimited() -> None:
    """An HTTP/1.0 client gets the end of the connection for an end, whatever it asked for: RFC 9112 §6.3."""
    wire = answered(streams, OLD)
    assert wire.answer == b"HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\nabcde"
    assert wire.ended == "lost"


@pytest.mark.parametrize(("data", "kept"), [(GET, b""), (OLD, b"Connection: keep-alive\r\n")])
def test_known_length(data: bytes, kept: bytes) -> None:
    """A body of known length is sent as it is."""

    def sized(exchange: Exchange) -> None:
        exchange.start(200, ((b"content-length", b"5"), (b"Connection", b"x"), (b"Transfer-Encoding", b"chunked")))
        exchange.write(b"abc")
        exchange.write(b"de")
        exchange.finish()

    wire = answered(sized, data)
    assert wire.answer == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n" + kept + b"\r\nabcde"
    assert not wire.ended


def test_head() -> None:
    """HEAD gets the fields of GET and no body, whichever way it is answered."""
    assert serve(Says(), HEAD) == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n"
    wire = answered(streams, HEAD)
    assert wire.answer == b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
    assert wire.done[0].sent == 0
    assert not wire.ended


@pytest.mark.parametrize("status", [204, 304])
def test_without_content(status: int) -> None:
    """A 204 or 304 has no body, whatever an application writes: RFC 9112 §6.3."""

    def start(exchange: Exchange) -> None:
        exchange.start(status, ())
        exchange.write(b"abc")
        exchange.finish()

    for do in (start, lambda exchange: exchange.send(Response(status, (), b"abc"))):
        wire = answered(do)
        assert wire.answer.endswith(b"\r\n\r\n")
        assert b"ength" not in wire.answer
        assert not wire.ended


def test_too_short() -> None:
    """A body that ends before its length breaks the connection, so that the client notices."""
    wire = answered(lambda exchange: (exchange.start(200, ((b"Content-Length", b"5"),)), exchange.finish()))
    assert wire.ended == "broken"
    assert len(wire.done) == 1


def test_too_long() -> None:
    """What is over a body's length is not sent, and no next response can be mistaken for it."""

    def longer(exchange: Exchange) -> None:
        exchange.start(200, ((b"Content-Length", b"5"),))
        exchange.write(b"abc")
        exchange.write(b"defgh")
        exchange.write(b"i")
        exchange.finish()

    wire = answered(longer)
    assert wire.answer.endswith(b"\r\n\r\nabcde")
    assert wire.ended == "lost"


@pytest.mark.parametrize("lengths", [(b"x",), (b"-1",), (b"",), (b"1", b"1")])
def test_bad_lengths(lengths: tuple[bytes, ...]) -> None:
    """A Content-Length that is none is the application's fault; nothing of it is sent."""
    fields = tuple((b"Content-Length", length) for length in lengths)

    def start(exchange: Exchange) -> None:
        with pytest.raises(BadResponse):
            exchange.start(200, fields)
        exchange.send(Response(200, (), b"other"))

    assert answered(start).answer.endswith(b"Content-Length: 5\r\n\r\nother")


def test_split_responses() -> None:
    """A field that would end its line is refused everywhere."""
    bad: Fields = ((b"Location", b"/\r\nSet-Cookie: a"),)

    def all_ways(exchange: Exchange) -> None:
        for call in (exchange.start, exchange.inform):
            with pytest.raises(BadResponse):
                call(200, bad)
        exchange.start(200, ())
        with pytest.raises(BadResponse):
            exchange.finish(bad)
        exchange.finish()

    assert b"Cookie" not in answered(all_ways).answer


def test_order_of_calls() -> None:
    """There is one response, and its start comes first."""

    def mixed(exchange: Exchange) -> None:
        for call in (lambda: exchange.write(b"a"), exchange.finish, lambda: exchange.tunnel(())):
            with pytest.raises(RuntimeError):
                call()
        exchange.start(200, ())
        for call in (lambda: exchange.start(200, ()), lambda: exchange.send(Response(200))):
            with pytest.raises(RuntimeError):
                call()
        exchange.inform(103)
        exchange.finish()

    assert answered(mixed).answer == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"


def test_nothing_after_the_end() -> None:
    """Calls on an exchange that is over do nothing."""
    wire = answered(lambda exchange: exchange.send(Response(200)))
    before = wire.transport.written
    exchange = wire.done[0]
    exchange.inform(103)
    exchange.send(Response(404))
    exchange.start(200, ())
    exchange.write(b"a")
    exchange.finish()
    exchange.tunnel(())
    exchange.pause_body()
    exchange.resume_body()
    exchange.abort()
    assert wire.transport.written == before
    assert wire.transport.reading
    assert not wire.ended
    assert len(wire.done) == 1


def test_abort() -> None:
    """An exchange that is broken off takes its connection with it."""
    wire = answered(lambda exchange: (exchange.start(200, ()), exchange.abort()))
    assert wire.ended == "broken"
    assert len(wire.done) == 1


def test_abort_with_something_on_its_way() -> None:
    """What was written before goes out, to a client that takes it in time; then the connection ends out of order."""
    for takes, end in ((True, "broken"), (False, "aborted")):
        application = Calls(lambda exchange: exchange.start(200, ()))
        wire = Wire(application)
        wire.send(GET)
        wire.transport.slow = True
        application.exchange.write(b"a" * 100_000)
        application.exchange.abort()
        assert not wire.ended
        wire.clock.pump([2.5] * 47)
        assert not wire.ended
        if takes:
            wire.transport.drain()
            assert wire.answer.endswith(b"a" * 100_000 + b"\r\n")
        else:
            wire.clock.pump([2.5] * 2)
        assert wire.ended == end


def test_abort_of_what_ends_with_the_connection() -> None:
    """It is a reset: to many clients any other end would pass for that of the response."""
    application = Calls(lambda exchange: exchange.start(200, ()))
    wire = Wire(application)
    wire.send(b"GET / HTTP/1.0\r\n\r\n")
    application.exchange.write(b"a")
    application.exchange.abort()
    assert wire.ended == "aborted"


def test_abort_where_tls_has_no_other_end_than_an_orderly_one() -> None:
    """It shows in the response."""
    application = Calls(lambda exchange: exchange.start(200, ()))
    wire = Wire(application, whole=True)
    wire.send(GET)
    application.exchange.abort()
    assert wire.ended == "lost"
    assert not wire.answer.endswith(b"0\r\n\r\n")


def test_abort_before_the_beginning() -> None:
    """An answer to an earlier request gets through."""
    application = Calls(lambda exchange: exchange.send(Response(200)) if exchange.request.target == b"/one" else None)
    wire = Wire(application)
    wire.transport.slow = True
    wire.send(GET.replace(b"/", b"/one", 1) + GET)
    application.exchange.abort()
    wire.transport.drain()
    assert wire.answer.startswith(b"HTTP/1.1 200 ")
    assert wire.ended == "broken"
