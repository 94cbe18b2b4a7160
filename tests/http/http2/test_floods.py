"""Clients that keep a server busy with nothing are told to calm down, and closed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from h2spec import ACK, END_STREAM, WHOLE, WINDOW, number32, raw
from http2_client import GET, POST, Client, data
from hyperframe.frame import DataFrame, RstStreamFrame, WindowUpdateFrame
from wire import Calls, Echo, Says

from staplesrv.http.response import Response

CALM = 11
MANY = 5000

FLOODS: dict[str, bytes] = {
    "PING": raw(6, 0, 0, bytes(8)),
    "PING answers": raw(6, ACK, 0, bytes(8)),
    "SETTINGS": raw(4, 0, 0),
    "SETTINGS answers": raw(4, ACK, 0),
    "many settings": raw(4, 0, 0, (b"\0\4" + number32(1)) * 2000),
    "PRIORITY": raw(2, 0, 1001, number32(0) + b"\0"),
    "GOAWAY": raw(7, 0, 0, bytes(8)),
    "unknown types": raw(99, 0, 0),
    "WINDOW_UPDATE": raw(8, 0, 0, number32(1)),
    "WINDOW_UPDATE of a stream": raw(8, 0, 1, number32(1)),
    "empty DATA": raw(0, 0, 1),
    "padding": raw(0, 0x8, 1, b"\x10" + bytes(16)),
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods(name: str) -> None:
    """Frames that cost work and bring nothing end the connection; a few of them do not."""
    client = Client(Calls())
    client.request(1, POST, end=False)
    client.send_bytes(FLOODS[name] * 10)
    if name != "many settings":
        assert not client.ended
    client.send_bytes(FLOODS[name] * MANY)
    assert client.goaway_code == CALM
    assert client.ended
    assert len(client.wire.transport.written) < 64_000


def test_time_brings_patience_back() -> None:
    """A PING every tenth of a second is nobody's trouble."""
    client = Client(Says())
    for _ in range(1200):
        client.send_bytes(FLOODS["PING"] * 5)
        client.wire.clock.advance(0.05)
    assert not client.ended


def _requests(client: Client, between: Callable[[int], bytes]) -> int:
    """Send requests, each with something after it; returns how many were taken."""
    for index in range(MANY):
        number = 2 * index + 1
        client.send_bytes(client.headers(number, GET, end=True).serialize() + between(number))
        if client.ended:
            return index
    return MANY


def test_rapid_reset() -> None:
    """Requests that are given up at once cost more than they bring (CVE-2023-44487)."""
    application = Calls()
    client = Client(application)
    assert _requests(client, lambda number: raw(3, 0, number, number32(8))) < 250
    assert client.goaway_code == CALM
    assert application.names.count("lost") == len(application.exchanges)


def test_resets_that_the_server_is_made_to_send() -> None:
    """It does not matter which side resets them (CVE-2025-8671)."""
    client = Client(Calls())
    assert _requests(client, lambda number: raw(8, 0, number, number32(0))) < 250
    assert client.goaway_code == CALM


def test_a_browser_that_leaves_a_page_is_no_flood() -> None:
    """A hundred requests may be given up at once, and again after the next page."""
    application = Calls()
    client = Client(application)
    number = 1
    for _ in range(5):
        numbers = range(number, number + 200, 2)
        client.send(*[client.headers(one) for one in numbers])
        client.send(*[RstStreamFrame(one, error_code=8) for one in numbers])
        client.wire.clock.advance(10)
        number += 200
    assert not client.ended


def test_malformed_requests_without_end() -> None:
    """A client that never says anything sensible is not heard for ever."""
    client = Client(Says())
    for index in range(MANY):
        client.request(2 * index + 1, (*GET, (b"X", b"y")))
        if client.ended:
            break
    assert client.goaway_code == CALM


def test_continuation_without_end() -> None:
    """A header block has a size (CVE-2024-27316), and a number of pieces."""
    client = Client(Says())
    client.send_bytes(raw(1, END_STREAM, 1, client.block(GET)))
    client.send_bytes(*[raw(9, 0, 1, b"\x00\x01a\x7f\x81\x7f" + bytes(16_000))] * 3)
    assert client.goaway_code == CALM
    client = Client(Says())
    client.send_bytes(raw(1, END_STREAM, 1, client.block(GET)) + raw(9, 0, 1) * MANY)
    assert client.goaway_code == CALM


def test_header_blocks_on_a_stream_that_was_reset() -> None:
    """Blocks that are read for the table's sake alone are not read without end."""
    client = Client(Says())
    client.request(1, POST, end=False)
    assert client.reset_code(1) == 0
    block = raw(1, WHOLE, 1, b"\x82" * 100)
    client.send_bytes(block * 10)
    assert not client.ended
    client.send_bytes(block * 250)
    assert client.goaway_code == CALM


def test_hpack_bomb() -> None:
    """One large entry that is named again and again is not made a gigabyte."""
    client = Client(Says())
    bomb = b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000
    client.send_bytes(raw(1, WHOLE, 1, bomb + b"\xbe" * 12_000))
    assert client.goaway_code == CALM


def test_windows_opened_byte_by_byte() -> None:
    """A client that has a response sent in frames of one byte does not have all of it."""
    client = Client(Says(Response(200, (), b"x" * 100_000)), {WINDOW: 0})
    client.request(1)
    for _ in range(MANY):
        client.send(WindowUpdateFrame(1, 1))
        if client.ended:
            break
    assert client.goaway_code == CALM
    assert len(client.of(1, DataFrame)) < 2500


def test_a_client_with_small_windows_is_no_flood() -> None:
    """One that has little memory opens both windows often, and has its file all the same."""
    client = Client(Says(Response(200, (), b"x" * (20 * 2**20))), {WINDOW: 4096})
    client.request(1)
    while not client.ended_stream(1):
        client.send(WindowUpdateFrame(1, 2048), WindowUpdateFrame(0, 2048))
        client.send(WindowUpdateFrame(1, 2048), WindowUpdateFrame(0, 2048))
        client.wire.transport.written = b""
        client._read = 0
        del client.got[:-1]
        assert not client.ended


def test_a_long_download_is_no_flood() -> None:
    """A client that opens both windows for each frame it got has its gigabyte."""
    client = Client(Says(Response(200, (), b"x" * (200 * 2**20))))
    client.request(1)
    sent = 0
    while not client.ended_stream(1):
        size = sum(len(frame.data) for frame in client.got if isinstance(frame, DataFrame))
        client.got.clear()
        assert size
        sent += size
        client.send(WindowUpdateFrame(1, size // 2), WindowUpdateFrame(0, size // 2))
        client.send(WindowUpdateFrame(1, size - size // 2), WindowUpdateFrame(0, size - size // 2))
        client.wire.transport.written = b""
        client._read = 0
        assert not client.ended
    assert sent > 190 * 2**20


def test_small_messages_are_no_flood() -> None:
    """A tunnel with small messages both ways, each with its updates of windows, goes on."""
    application = Calls()
    client = Client(application)
    client.request(1)
    application.exchange.start(200, ())
    for _ in range(MANY):
        application.exchange.write(b"tick")
        client.read()
        client.send(WindowUpdateFrame(1, 4), WindowUpdateFrame(0, 4))
    assert not client.ended


def test_small_pieces_of_a_body_are_no_flood() -> None:
    """A body may come byte by byte: it is its handler's to say what is too slow."""
    client = Client(Echo())
    client.request(1, POST, end=False)
    for _ in range(MANY):
        client.send(data(1, b"x"))
    client.send(data(1, b"", end=True))
    assert client.status(1) == 200
