"""Windows, turns and back-pressure."""

from __future__ import annotations

import itertools

import pytest
from h2spec import WINDOW, raw
from http2_client import GET, POST, Client, data
from hyperframe.frame import DataFrame, HeadersFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame
from wire import Calls, Says

from staplesrv.http.exchange import Exchange
from staplesrv.http.fields import Fields
from staplesrv.http.response import Response


def big(size: int) -> Says:
    """Answers with so many bytes."""
    return Says(Response(200, (), b"x" * size))


def test_a_response_waits_for_both_windows() -> None:
    """DATA stops at the stream's window and at the connection's, and goes on when they open."""
    client = Client(big(100_000))
    client.request(1)
    assert len(client.body(1)) == 65_535
    client.send(WindowUpdateFrame(1, 10))
    assert len(client.body(1)) == 65_535
    client.send(WindowUpdateFrame(0, 10))
    assert len(client.body(1)) == 65_545
    client.send(WindowUpdateFrame(0, 100_000), WindowUpdateFrame(1, 100_000))
    assert client.body(1) == b"x" * 100_000
    assert client.ended_stream(1)


def test_streams_take_turns() -> None:
    """Each stream that has something sends one frame before any of them sends the next."""
    client = Client(big(50_000), {WINDOW: 2**20})
    client.send(WindowUpdateFrame(0, 2**20))
    client.send(*[client.headers(number) for number in (1, 3, 5)])
    order = [frame.stream_id for frame in client.got if isinstance(frame, DataFrame)]
    assert order[:9] == [1, 3, 5] * 3
    assert all(len(client.body(number)) == 50_000 for number in (1, 3, 5))


def test_the_connections_window_is_shared() -> None:
    """Where it is narrow, all streams get on, and none waits for another one's end."""
    client = Client(big(200_000), {WINDOW: 2**20})
    client.send(*[client.headers(number) for number in (1, 3, 5)])
    for _ in range(9):
        client.send(WindowUpdateFrame(0, 16_384))
    sizes = [len(client.body(number)) for number in (1, 3, 5)]
    assert sum(sizes) == 65_535 + 9 * 16_384
    assert max(sizes) - min(sizes) <= 2 * 16_384


def test_a_client_that_does_not_keep_up_pauses_the_handler() -> None:
    """What is written and can't go out is bounded by the handler's patience."""
    application = Calls()
    client = Client(application)
    client.request(1)
    application.exchange.start(200, ())
    application.exchange.write(b"x" * 80_000)
    assert "pause" not in application.names
    application.exchange.write(b"x" * 100_000)
    assert application.names == ["body_end", "pause"]
    client.send(WindowUpdateFrame(0, 60_000), WindowUpdateFrame(1, 60_000))
    assert application.names == ["body_end", "pause"]
    client.send(WindowUpdateFrame(0, 60_000), WindowUpdateFrame(1, 60_000))
    assert application.names == ["body_end", "pause", "resume"]


def test_a_handler_that_is_written_to_before_it_is_known() -> None:
    """One that fills the buffer within `handle` is told to pause once it is there."""

    def handle(exchange: Exchange) -> None:
        exchange.start(200, ())
        exchange.write(b"x" * 300_000)

    application = Calls(handle)
    client = Client(application)
    client.request(1)
    assert application.names == ["pause", "body_end"]


def test_a_full_transport_gets_no_more_data() -> None:
    """While the socket is full nothing is added to it but what was said anyway."""
    client = Client(big(2**20), {WINDOW: 2**30})
    client.send(WindowUpdateFrame(0, 2**30))
    client.wire.transport.slow = True
    client.request(1)
    assert 65_536 < len(client.wire.transport.waiting) < 140_000
    sizes = []
    while client.wire.transport.waiting:
        sizes.append(len(client.wire.transport.waiting))
        client.wire.transport.drain()
    client.read()
    assert max(sizes) < 140_000
    assert len(client.body(1)) == 2**20


def test_what_was_asked_in_one_read_is_not_answered_in_one_write() -> None:
    """A client that opens its windows and asks a thousand times at once has no more written than a socket takes."""
    client = Client(big(16_384), {WINDOW: 2**30})
    client.send(WindowUpdateFrame(0, 2**30))
    client.wire.transport.slow = True
    block = client.block(GET)
    client.send_bytes(b"".join(raw(1, 5, number, block) for number in range(1, 201, 2)))
    assert 65_536 < len(client.wire.transport.waiting) < 160_000
    while client.wire.transport.waiting:
        client.wire.transport.drain()
    client.read()
    assert all(len(client.body(number)) == 16_384 for number in range(1, 201, 2))


def test_a_client_that_asks_and_does_not_read_is_not_read_either() -> None:
    """Heads of responses are under no window; they pile up for as long as one bound, and no longer."""
    client = Client(Says(Response(204)), {WINDOW: 2**30})
    client.wire.transport.slow = True
    numbers = itertools.count(1, 2)
    block = client.block(GET)
    while client.wire.transport.reading:
        client.send_bytes(b"".join(raw(1, 5, next(numbers), block) for _ in range(20)))
        assert len(client.wire.transport.waiting) < 300_000
    client.wire.transport.drain()
    assert client.wire.transport.reading


class Streams:
    """An application whose handlers write pieces until they are told to pause."""

    def handle(self, exchange: Exchange) -> Streaming:
        """Take a request on."""
        return Streaming(exchange)


class Streaming(Calls):
    """Writes pieces of 64 KiB whenever it may.

    Args:
        exchange: To this.
    """

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange
        self._paused = False
        self._left = 32

    def body_end(self, trailers: Fields) -> None:
        """Begin."""
        self._exchange.start(200, ())
        self.resume()

    def pause(self) -> None:
        """Write no more."""
        self._paused = True

    def resume(self) -> None:
        """Write on."""
        self._paused = False
        while not self._paused and self._left:
            self._left -= 1
            self._exchange.write(b"x" * 65_536)


def test_many_streams_that_are_not_taken_hold_little() -> None:
    """A client that opens all the streams it may, and no window, has a bounded part of the memory."""
    client = Client(Streams(), {WINDOW: 0})
    client.send(*[client.headers(number) for number in range(1, 256, 2)])
    streams = client.wire.protocol._speaker.streams
    assert len(streams) == 128
    assert sum(stream.outgoing.size for stream in streams.values()) == 128 * 65_536


def test_a_small_table_is_heeded() -> None:
    """A client that wants a smaller table hears once that there is none: RFC 7541 §4.2."""
    client = Client(Says(), {SettingsFrame.HEADER_TABLE_SIZE: 0})
    client.request(1)
    client.request(3)
    assert client.of(1, HeadersFrame)[0].data[:1] == b"\x20"
    assert client.of(3, HeadersFrame)[0].data[:1] == b"\x88"


@pytest.mark.parametrize("written", [b"12345", b"123"])
def test_a_body_of_another_length_is_cut_off(written: bytes, logged_errors: list[str]) -> None:
    """The client notices, and the log says it once."""
    application = Calls()
    client = Client(application)
    client.request(1)
    application.exchange.start(200, ((b"Content-Length", b"4"),))
    application.exchange.write(written)
    application.exchange.finish()
    client.read()
    assert client.reset_code(1) == 2
    assert len(logged_errors) == 1


def test_windows_may_become_negative() -> None:
    """A response that ends while its window is below zero still ends."""
    application = Calls()
    client = Client(application, {WINDOW: 10})
    client.request(1)
    application.exchange.start(200, ())
    application.exchange.write(b"x" * 10)
    client.send(SettingsFrame(0, settings={WINDOW: 0}))
    application.exchange.finish()
    client.read()
    assert client.body(1) == b"x" * 10
    assert client.ended_stream(1)


def test_starved_streams_that_are_given_up_are_forgotten() -> None:
    """What waits for the connection's window and is reset leaves nothing behind."""
    client = Client(big(100_000), {WINDOW: 2**20})
    client.request(1)
    for number in range(3, 41, 2):
        client.request(number)
        client.send(RstStreamFrame(number, error_code=8))
    sender = client.wire.protocol._speaker.sender
    assert len(sender._starved) == 1
    assert not sender._ready


def test_a_body_that_is_held_back_is_one_piece() -> None:
    """What comes byte by byte meanwhile takes no more memory than it has bytes."""
    application = Calls(lambda exchange: exchange.pause_body())
    client = Client(application)
    client.request(1, POST, end=False)
    for _ in range(100):
        client.send(data(1, b"xy"))
    assert application.calls == []
    application.exchange.resume_body()
    assert application.calls == [("body", b"xy" * 100)]


def test_uploads_do_not_starve_each_other() -> None:
    """The connection's window goes round: a body that is held back takes its own window and no more."""
    application = Calls(lambda exchange: exchange.pause_body() if exchange.request.target == b"/hold" else None)
    client = Client(application)
    client.request(1, (POST[0], POST[1], (b":path", b"/hold"), POST[3]), end=False)
    for _ in range(16):
        client.send(data(1, b"x" * 16_384))
    client.request(3, POST, end=False)
    for _ in range(200):
        client.send(data(3, b"y" * 16_384))
    assert len(application.content) == 200 * 16_384
    assert not client.ended
