"""How connections end: in order, too early, too late."""

from __future__ import annotations

import gc
import weakref

import pytest
from wire import Calls, Says, Wire, serve

from staplesrv.http.factory import STOP_SECONDS
from staplesrv.http.http1.chunks import Chunks
from staplesrv.http.response import Response

GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 100000\r\n\r\n"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n"


def test_half_close_after_a_request() -> None:
    """A client that sends no more after its requests gets all answers, then the connection ends."""
    application = Calls()
    wire = Wire(application)
    wire.send(GET + GET)
    wire.half_close()
    application.exchange.start(200, ())
    application.exchange.write(b"a")
    application.exchange.finish()
    assert not wire.ended
    application.exchange.send(Response(200, (), b"b"))
    assert wire.answer.endswith(b"\r\n\r\nb")
    assert wire.ended == "lost"
    assert application.names == ["body_end", "body_end"]


def test_half_close_while_idle() -> None:
    """A client that sends no more without having asked for anything is let go."""
    wire = Wire(Says())
    wire.half_close()
    assert wire.ended == "lost"
    assert serve(Says(), GET + GET[:7]) == HELLO


def test_half_close_in_a_body() -> None:
    """A request that ends before its body does is refused: RFC 9112 §8."""
    application = Calls()
    wire = Wire(application)
    wire.send(POST + b"abc")
    wire.half_close()
    assert wire.answer.startswith(b"HTTP/1.1 400 ")
    assert wire.ended == "lost"
    assert application.names == ["body", "lost"]


def test_early_answer() -> None:
    """An answer that comes before a large body closes our direction; what still comes is dropped for a while."""
    wire = Wire(Says())
    wire.send(POST + b"abc")
    assert b"Connection: close\r\n\r\nhello\n" in wire.answer
    assert wire.transport.half_closed
    assert wire.transport.reading
    assert not wire.ended
    wire.send(GET, b"d" * 70_000)
    assert wire.factory.requests == 1
    wire.clock.pump([2.5] * 4)
    assert wire.ended == "lost"


def test_client_that_is_done_with_an_early_answer() -> None:
    """A client that ends its upload at an early answer is not kept waiting."""
    wire = Wire(Says())
    wire.send(POST)
    wire.half_close()
    assert wire.ended == "lost"


def test_early_answer_to_a_small_body() -> None:
    """A small body that nobody wants is read to its end, and the connection kept."""
    wire = Wire(Says())
    wire.send(POST.replace(b"100000", b"65536") + b"a" * 65_535)
    assert wire.answer == HELLO
    wire.send(b"b" + GET)
    assert wire.answer == HELLO * 2


def test_early_answer_while_the_body_is_held_back() -> None:
    """What a handler has held back is read and dropped once it has answered early."""
    application = Calls(lambda exchange: exchange.pause_body())
    wire = Wire(application)
    wire.send(POST + b"abc")
    assert not wire.transport.reading
    application.exchange.send(Response(200, (), b"enough"))
    assert wire.transport.reading
    assert wire.transport.half_closed


def test_idle() -> None:
    """A connection without a request is closed without a word, first and later."""
    wire = Wire(Says())
    wire.clock.pump([2.5] * 20)
    wire.send(GET)
    wire.clock.pump([2.5] * 23)
    assert not wire.ended
    wire.clock.pump([2.5] * 2)
    assert wire.ended == "lost"
    assert wire.answer == HELLO


def test_slow_head() -> None:
    """A head has ten seconds from its first byte, however regularly the others come."""
    wire = Wire(Says())
    wire.clock.pump([2.5] * 10)
    for at in range(4):
        wire.send(GET[at : at + 1])
        assert not wire.ended
        wire.clock.advance(2.5)
    wire.clock.advance(2.5)
    assert wire.answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert wire.transport.half_closed


def test_each_head_has_its_own_time() -> None:
    """What one head has taken is not taken from the next."""
    wire = Wire(Says())
    for _ in range(5):
        wire.send(GET[:5])
        wire.clock.pump([2.5] * 3)
        wire.send(GET[5:] + GET[:5])
        wire.clock.pump([2.5] * 3)
        wire.send(GET[5:])
    assert wire.answer == HELLO * 10


def test_stalled_body() -> None:
    """A body of which nothing comes for a minute is given up."""
    application = Calls()
    wire = Wire(application)
    wire.send(POST)
    for _ in range(20):
        wire.send(b"a")
        wire.clock.pump([2.5] * 22)
    assert not wire.ended
    wire.clock.pump([2.5] * 3)
    assert wire.answer.startswith(b"HTTP/1.1 408 ")
    assert application.names[-1] == "lost"


@pytest.mark.parametrize("hold", [False, True])
def test_slow_application(*, hold: bool) -> None:
    """An application takes its time, and a client that is held back by it does not pay for that."""
    application = Calls((lambda exchange: exchange.pause_body()) if hold else None)
    wire = Wire(application)
    wire.send(POST if hold else GET)
    wire.clock.pump([2.5] * 1000)
    assert not wire.ended
    assert not wire.transport.written


def test_client_that_does_not_read() -> None:
    """A client that takes nothing of its answer for a minute per 64 KiB is reset."""
    application = Calls()
    wire = Wire(application)
    wire.transport.slow = True
    wire.send(GET)
    application.exchange.start(200, ())
    application.exchange.write(b"a" * 100_000)
    assert application.names == ["body_end", "pause"]
    wire.clock.pump([2.5] * 47)
    assert not wire.ended
    wire.clock.pump([2.5] * 2)
    assert wire.ended == "aborted"
    assert application.names == ["body_end", "pause", "lost"]


def test_client_that_does_not_read_its_last_answer() -> None:
    """A connection that is to be closed does not wait for its client for ever."""
    wire = Wire(Says())
    wire.transport.slow = True
    wire.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    wire.clock.pump([2.5] * 23)
    assert not wire.ended
    wire.clock.pump([2.5] * 2)
    assert wire.ended == "aborted"


def test_graceful_stop() -> None:
    """A server that stops closes connections after their answer, which says so."""
    application = Calls()
    wire = Wire(application)
    wire.send(GET)
    wire.factory.stop()
    assert not wire.ended
    application.exchange.send(Response(200, (), b"last"))
    assert b"Connection: close\r\n" in wire.answer
    assert wire.ended == "lost"
    assert wire.clock.getDelayedCalls() == []


def test_stop_while_idle() -> None:
    """Nothing is left of connections that were idle when the server stopped."""
    wire = Wire(Says())
    wire.send(GET)
    wire.factory.stop()
    assert not wire.ended
    wire.clock.advance(STOP_SECONDS)
    assert wire.ended == "lost"
    assert wire.factory.connections == 0
    assert wire.clock.getDelayedCalls() == []


def test_stop_just_before_a_request() -> None:
    """A request that was on its way to a server that stops is answered, and the answer says that it is the last."""
    wire = Wire(Says())
    wire.send(GET)
    wire.factory.stop()
    assert b"Connection: close\r\n" in wire.send(GET)
    assert wire.ended == "lost"
    assert wire.clock.getDelayedCalls() == []


def test_stop_in_a_body_that_nobody_reads() -> None:
    """The connection is idle only when the body is over, and ends then."""
    wire = Wire(Says())
    wire.send(POST.replace(b"100000", b"10"))
    assert wire.answer
    wire.factory.stop()
    wire.clock.advance(STOP_SECONDS)
    assert not wire.ended
    wire.send(b"0123456789")
    wire.clock.advance(STOP_SECONDS)
    assert wire.ended == "lost"
    assert wire.clock.getDelayedCalls() == []


def test_stop_in_a_head() -> None:
    """A request that is on its way when the server stops is answered."""
    wire = Wire(Says())
    wire.send(GET[:9])
    wire.factory.stop()
    wire.send(GET[9:])
    assert wire.answer == HELLO.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert wire.ended == "lost"


def test_nothing_is_left_for_the_garbage_collector() -> None:
    """A connection that is over is gone at once, and its last body with it."""
    application = Calls()
    wire = Wire(application)
    gc.collect()
    gc.disable()
    try:
        wire.send(POST.replace(b"Content-Length: 100000", b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n\r\n")
        application.exchange.send(Response(200, (), b"a"))
        connection = weakref.ref(wire.protocol._speaker)
        wire.vanish()
        application.exchanges.clear()
        wire.done.clear()
        assert connection() is None
        assert not [one for one in gc.get_objects() if isinstance(one, Chunks)]
    finally:
        gc.enable()


def test_what_comes_after_the_end() -> None:
    """Bytes that come after the last answer are no request."""
    wire = Wire(Says())
    wire.transport.slow = True
    wire.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), GET, GET[:5])
    wire.transport.drain()
    assert wire.factory.requests == 1
    assert wire.ended == "lost"
