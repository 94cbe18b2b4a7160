"""Requests and responses over HTTP/2."""

from __future__ import annotations

import pytest
from http2_client import GET, POST, Client, data
from hyperframe.frame import HeadersFrame, RstStreamFrame, WindowUpdateFrame
from wire import DATE, Calls, Echo, Says

from staplesrv.http.exchange import Exchange, FieldLines
from staplesrv.http.response import Response


def test_a_get_is_answered_in_one_write() -> None:
    """A small response, its head and its body, goes out in one write, with the server's own fields."""
    client = Client(Says())
    writes = client.wire.transport.writes
    client.request(1)
    assert client.wire.transport.writes == writes + 1
    assert client.fields(1) == (
        (b":status", b"200"),
        (b"content-type", b"text/plain"),
        (b"content-length", b"6"),
        (b"server", b"staplesrv"),
        (b"date", DATE),
    )
    assert client.body(1) == b"hello\n"
    assert client.ended_stream(1)


def test_requests_in_one_read_are_answered_in_one_write() -> None:
    """What many streams have to say in a turn is put together."""
    client = Client(Says())
    writes = client.wire.transport.writes
    client.send(*[client.headers(number) for number in range(1, 201, 2)])
    assert client.wire.transport.writes == writes + 1
    assert [client.body(number) for number in range(1, 201, 2)] == [b"hello\n"] * 100


def test_an_application_sees_the_request() -> None:
    """Authority and cookies come in the form that HTTP/1.1 has them in, and pseudo-headers not at all."""
    client = Client(Echo())
    fields = (*POST, (b"cookie", b"a=1"), (b"x-y", b"z"), (b"cookie", b"b=2"))
    client.send(client.headers(1, fields, end=False), data(1, b"hel"), data(1, b"lo"))
    client.send(client.headers(1, ((b"x-checksum", b"7"), (b"host", b"evil.example")), end=True))
    said = (
        b"POST",
        b"/",
        b"example.org",
        ((b"host", b"example.org"), (b"x-y", b"z"), (b"cookie", b"a=1; b=2")),
        b"hello",
        ((b"x-checksum", b"7"),),
    )
    assert client.body(1) == repr(said).encode() + b"\n"


@pytest.mark.parametrize("status", [204, 304])
def test_responses_without_a_body(status: int) -> None:
    """A 204 and a 304 are a head alone, without a length."""
    client = Client(Says(Response(status)))
    client.request(1)
    assert [name for name, _ in client.fields(1)] == [b":status", b"server", b"date"]
    assert client.ended_stream(1)
    assert not client.body(1)


def test_head_has_the_length_and_no_body() -> None:
    """HEAD gets the fields of GET and an end."""
    client = Client(Says())
    client.request(1, ((b":method", b"HEAD"), *GET[1:]))
    assert (b"content-length", b"6") in client.fields(1)
    assert client.ended_stream(1)
    assert not client.body(1)


def test_a_site_adds_fields() -> None:
    """Fields of the site replace those of the response, and the server's."""

    def handle(exchange: Exchange) -> None:
        exchange.added = FieldLines(((b"X-A", b"site"), (b"Server", b"site")))
        exchange.send(Response(200, ((b"x-a", b"mine"), (b"Connection", b"close")), b"."))

    client = Client(Calls(handle))
    client.request(1)
    assert client.fields(1) == (
        (b":status", b"200"),
        (b"content-length", b"1"),
        (b"x-a", b"site"),
        (b"server", b"site"),
        (b"date", DATE),
    )


def test_a_response_in_pieces_with_trailers() -> None:
    """What is written later goes out at once, and trailers at the end."""
    application = Calls()
    client = Client(application)
    client.request(1)
    application.exchange.inform(103, ((b"Link", b"</a>; rel=preload"),))
    application.exchange.start(200, ((b"Content-Type", b"text/plain"),))
    application.exchange.write(b"one ")
    client.read()
    assert client.body(1) == b"one "
    application.exchange.write(b"two")
    application.exchange.finish(((b"X-Sum", b"7"), (b"Content-Length", b"7")))
    client.read()
    heads = [frame.fields for frame in client.of(1, HeadersFrame)]
    assert heads[0] == ((b":status", b"103"), (b"link", b"</a>; rel=preload"))
    assert heads[2] == ((b"x-sum", b"7"),)
    assert client.body(1) == b"one two"
    assert client.ended_stream(1)
    assert [exchange.sent for exchange in client.wire.done] == [7]


def test_a_body_that_nobody_reads_is_cut_off() -> None:
    """Answered early, a request is ended with NO_ERROR; what is still on its way is ignored."""
    client = Client(Says())
    client.request(1, POST, end=False)
    assert client.ended_stream(1)
    # Not in one piece with the response, which clients would take for lost.
    assert not client.of(1, RstStreamFrame)
    assert client.reset_code(1) == 0
    assert client.send(data(1, b"more", end=True)) == []
    assert not client.ended


def test_a_body_is_taken_at_the_handlers_pace() -> None:
    """A paused handler is given nothing, and the client no more than a window."""
    application = Calls(lambda exchange: exchange.pause_body())
    client = Client(application)
    client.request(1, POST, end=False)
    for _ in range(16):
        client.send(data(1, b"x" * 16384))
    assert application.calls == []
    assert client.of(1, WindowUpdateFrame) == client.of(0, WindowUpdateFrame)[1:] == []
    client.send(data(1, b"", end=True))
    application.exchange.resume_body()
    client.read()
    assert len(application.content) == 16 * 16384
    assert application.names[-1] == "body_end"


def test_more_than_a_window_is_a_fault() -> None:
    """A client that sends beyond the stream's window loses the stream."""
    application = Calls(lambda exchange: exchange.pause_body())
    client = Client(application)
    client.request(1, POST, end=False)
    for _ in range(17):
        client.send(data(1, b"x" * 16384))
    assert client.reset_code(1) == 3
    assert application.names == ["lost"]


def test_a_long_upload_gets_new_windows() -> None:
    """Bytes that a handler takes are given back, on the stream and on the connection."""
    application = Calls()
    client = Client(application)
    client.request(1, POST, end=False)
    for _ in range(256):
        client.send(data(1, b"x" * 16384))
    assert len(application.content) == 4 * 1024 * 1024
    assert sum(frame.window_increment for frame in client.of(1, WindowUpdateFrame)) == 4 * 1024 * 1024
    assert sum(frame.window_increment for frame in client.of(0, WindowUpdateFrame)[1:]) == 4 * 1024 * 1024


def test_a_client_gives_up() -> None:
    """A reset by the client ends the exchange, once."""
    application = Calls()
    client = Client(application)
    client.request(1, POST, end=False)
    client.send(RstStreamFrame(1, error_code=8))
    application.exchange.send(Response(200, (), b"late"))
    assert application.names == ["lost"]
    assert client.read() == []
    assert client.wire.done == [application.exchange]


def test_a_lost_connection_ends_every_exchange() -> None:
    """Handlers are told when the client is gone."""
    application = Calls()
    client = Client(application)
    client.request(1)
    client.request(3)
    client.wire.vanish()
    assert application.names == ["body_end", "body_end", "lost", "lost"]
    assert len(client.wire.done) == 2
