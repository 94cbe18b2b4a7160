"""Clients that read more slowly than they ask."""

from __future__ import annotations

from wire import Calls, Says, Wire

from staplesrv.http.exchange import Exchange
from staplesrv.http.response import Response

GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"


def slow(application: Calls | Says) -> Wire:
    """Connect a client that takes nothing by itself."""
    wire = Wire(application)
    wire.transport.slow = True
    return wire


def test_stream() -> None:
    """A handler is paused while a client does not keep up, and goes on when it does."""
    application = Calls()
    wire = slow(application)
    wire.send(GET)
    application.exchange.start(200, ())
    application.exchange.write(b"a" * 60_000)
    assert application.names == ["body_end"]
    application.exchange.write(b"a" * 60_000)
    assert application.names == ["body_end", "pause"]
    wire.transport.drain()
    assert application.names == ["body_end", "pause", "resume"]
    application.exchange.finish()
    assert wire.transport.producer is None


def test_pause_from_within_handle() -> None:
    """A handler that was not there yet when the transport was full is paused as soon as it is."""

    def large(exchange: Exchange) -> None:
        exchange.start(200, ())
        exchange.write(b"a" * 100_000)

    application = Calls(large)
    wire = slow(application)
    wire.send(GET)
    assert application.names == ["pause", "body_end"]
    wire.transport.drain()
    assert application.names == ["pause", "body_end", "resume"]


def test_pipelined() -> None:
    """A client that asks and does not read gets no more answers made for it than the transport holds."""
    wire = slow(Says(Response(200, (), b"a" * 10_000)))
    wire.send(GET * 100)
    assert not wire.transport.reading
    assert len(wire.transport.waiting) < 150_000
    asked = wire.factory.requests
    assert asked < 20
    for _ in range(30):
        wire.transport.drain()
    assert wire.factory.requests == 100
    assert wire.transport.reading
    assert wire.transport.producer is None


def test_one_by_one() -> None:
    """The same holds for requests that come one by one."""
    wire = slow(Says(Response(200, (), b"a" * 10_000)))
    for _ in range(100):
        if wire.transport.reading:
            wire.send(GET)
    assert len(wire.transport.waiting) < 150_000
    wire.transport.drain()
    wire.transport.drain()
    assert wire.transport.reading
    assert wire.transport.producer is None


def test_answer_larger_than_the_transport() -> None:
    """After a large answer the next request waits until that is sent."""
    application = Calls()
    wire = slow(application)
    wire.send(GET)
    application.exchange.send(Response(200, (), b"a" * 1_000_000))
    wire.send(GET)
    assert len(application.exchanges) == 1
    assert not wire.transport.reading
    wire.transport.drain()
    assert len(application.exchanges) == 2
    assert application.names == ["body_end", "body_end"]


def test_close_after_a_large_answer() -> None:
    """A connection that is to be closed is not kept by its being the transport's producer."""
    application = Calls()
    wire = slow(application)
    wire.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    application.exchange.send(Response(200, (), b"a" * 1_000_000))
    assert wire.transport.producer is None
    wire.transport.drain()
    assert wire.ended == "lost"
    assert wire.answer.endswith(b"a" * 1_000_000)


def test_answer_in_another_turn() -> None:
    """The end of an answer goes out at once where the transport can do that, together with what came before it."""
    application = Calls()
    wire = Wire(application, at_once=True)
    wire.send(GET)
    application.exchange.start(200, ((b"Content-Length", b"2"),))
    application.exchange.write(b"a")
    application.exchange.write(b"b")
    assert not wire.transport.written
    application.exchange.finish()
    assert wire.transport.written.endswith(b"\r\n\r\nab")


def test_fast_client() -> None:
    """A client that keeps up is never made to wait."""
    wire = Wire(Says(Response(200, (), b"a" * 100_000)))
    wire.send(GET * 3)
    assert wire.factory.requests == 3
    assert wire.transport.producer is None
