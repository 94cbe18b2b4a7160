"""The cases of h2spec 2.6, which is not at hand here: what a client does, and what the server must answer.

Each says the section that it is from; `generic` ones have none of the RFCs' numbers. The server is expected to answer
a request once it is whole, by at least five bytes. Where h2spec takes a closed connection for any error, a GOAWAY with
the right code is asked for here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from http2_client import GET, POST, PREFACE, Speaker
from hyperframe.frame import DataFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

from staplesrv.http.fields import Fields

NO_ERROR, PROTOCOL, _, FLOW_CONTROL, _, CLOSED, FRAME_SIZE, REFUSED, _, COMPRESSION = range(10)

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
UNKNOWN = 0x16
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20
WHOLE = END_HEADERS | END_STREAM

TABLE, PUSH, _, WINDOW, FRAME = range(1, 6)

Do: TypeAlias = Callable[[Speaker], None]


@dataclass(frozen=True)
class Case:
    """One case.

    Args:
        section: Where it is from.
        name: What the client does.
        do: Does it, and checks what comes back.
        greet: Whether the connection begins with a handshake.
    """

    section: str
    name: str
    do: Do
    greet: bool = True


CASES: list[Case] = []


def case(section: str, name: str, *, greet: bool = True) -> Callable[[Do], Do]:
    """Enlist a case."""

    def enlist(do: Do) -> Do:
        CASES.append(Case(section, name, do, greet))
        return do

    return enlist


# What a client sends.


def raw(kind: int, flags: int, number: int, payload: bytes = b"") -> bytes:
    """Make any frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + number.to_bytes(4, "big") + payload


def number32(number: int) -> bytes:
    """Write four bytes."""
    return number.to_bytes(4, "big")


def ask(client: Speaker, fields: Fields = GET, number: int = 1, flags: int = WHOLE, more: bytes = b"") -> None:
    """Send a HEADERS frame."""
    client.send_bytes(raw(HEADERS, flags, number, client.block(fields) + more))


def settings(client: Speaker, *pairs: tuple[int, int]) -> None:
    """Send a SETTINGS frame and wait for the answer."""
    before = len(acknowledged(client))
    client.send_bytes(raw(SETTINGS, 0, 0, b"".join(key.to_bytes(2, "big") + number32(value) for key, value in pairs)))
    client.until(lambda: len(acknowledged(client)) > before)


def dummy(client: Speaker) -> bytes:
    """Make a block of one field."""
    return client.block(((b"x-dummy", b"dummy"),))


# What the server must do.


def acknowledged(client: Speaker) -> list[SettingsFrame]:
    """Return the acknowledgements that came."""
    return [frame for frame in client.got if isinstance(frame, SettingsFrame) and "ACK" in frame.flags]


def expect_end(client: Speaker, *codes: int) -> None:
    """The connection ends with a GOAWAY."""
    client.until(lambda: client.ended)
    assert client.goaway_code in codes


def expect_reset(client: Speaker, *codes: int, number: int = 1) -> None:
    """The stream, or the connection, ends."""
    client.until(lambda: client.reset_code(number) is not None or client.ended)
    assert {client.reset_code(number), client.goaway_code} & set(codes)


def expect_answer(client: Speaker, number: int = 1) -> None:
    """The request is answered."""
    client.until(lambda: client.of(number, HeadersFrame))


def expect_end_of_stream(client: Speaker, number: int = 1) -> None:
    """The request is answered to the end."""
    client.until(lambda: client.ended_stream(number))


def expect_data(client: Speaker, *lengths: int) -> None:
    """DATA comes in frames of such lengths, and no more."""
    client.until(lambda: len(client.of(1, DataFrame)) >= len(lengths))
    assert [len(frame.data) for frame in client.of(1, DataFrame)] == list(lengths)


def expect_pong(client: Speaker) -> None:
    """The connection lives: a PING is answered."""
    client.send_bytes(raw(PING, 0, 0, b"alive???"))
    client.until(lambda: any(isinstance(frame, PingFrame) and frame.opaque_data == b"alive???" for frame in client.got))


def ends(section: str, name: str, *codes: int, frames: bytes) -> None:
    """Enlist a case where bytes end the connection."""

    @case(section, name)
    def _do(client: Speaker) -> None:
        client.send_bytes(frames)
        expect_end(client, *codes)


def malformed(section: str, name: str, fields: Fields) -> None:
    """Enlist a case of a request that is malformed."""

    @case(section, name)
    def _do(client: Speaker) -> None:
        ask(client, fields)
        expect_reset(client, PROTOCOL)
        assert not client.of(1, HeadersFrame)


def lives(section: str, name: str, *, frames: bytes) -> None:
    """Enlist a case where bytes change nothing."""

    @case(section, name)
    def _do(client: Speaker) -> None:
        client.send_bytes(frames)
        expect_pong(client)


# Generic: starting, and streams.


@case("generic 1", "a preface")
def _preface(client: Speaker) -> None:
    client.until(lambda: acknowledged(client))
    assert isinstance(client.got[0], SettingsFrame)
    assert "ACK" not in client.got[0].flags


_PRIORITY_0 = number32(0) + b"\xff"

lives("generic 2", "PRIORITY on an idle stream", frames=raw(PRIORITY, 0, 1, _PRIORITY_0))


@case("generic 2", "WINDOW_UPDATE on a half-closed stream")
def _window_update_half_closed(client: Speaker) -> None:
    settings(client, (WINDOW, 0))
    ask(client)
    client.send_bytes(raw(WINDOW_UPDATE, 0, 1, number32(1)))
    expect_data(client, 1)


@case("generic 2", "PRIORITY on a half-closed stream")
def _priority_half_closed(client: Speaker) -> None:
    settings(client, (WINDOW, 0))
    ask(client)
    client.send_bytes(raw(PRIORITY, 0, 1, _PRIORITY_0), raw(WINDOW_UPDATE, 0, 1, number32(1)))
    expect_data(client, 1)


@case("generic 2", "RST_STREAM on a half-closed stream")
def _reset_half_closed(client: Speaker) -> None:
    settings(client, (WINDOW, 0))
    ask(client)
    client.send(RstStreamFrame(1, error_code=8))
    expect_pong(client)


@case("generic 2", "PRIORITY on a closed stream")
def _priority_closed(client: Speaker) -> None:
    ask(client)
    expect_end_of_stream(client)
    client.send_bytes(raw(PRIORITY, 0, 1, _PRIORITY_0))
    expect_pong(client)


# Generic: frames.


def _post(name: str, *frames: bytes, section: str = "generic 3.1") -> None:
    @case(section, name)
    def _do(client: Speaker) -> None:
        ask(client, POST, flags=END_HEADERS)
        client.send_bytes(*frames)
        expect_answer(client)


_post("DATA", raw(DATA, END_STREAM, 1, b"test"))
_post("several DATA", raw(DATA, 0, 1, b"test"), raw(DATA, END_STREAM, 1, b"test"))
_post("DATA with padding", raw(DATA, END_STREAM | PADDED, 1, b"\x06test" + bytes(6)))


def _asks(section: str, name: str, flags: int, before: bytes = b"", after: bytes = b"") -> None:
    @case(section, name)
    def _do(client: Speaker) -> None:
        client.send_bytes(raw(HEADERS, flags, 1, before + client.block(GET) + after))
        expect_answer(client)


_asks("generic 3.2", "HEADERS", WHOLE)
_asks("generic 3.2", "HEADERS with padding", WHOLE | PADDED, b"\x06", bytes(6))
_asks("generic 3.2", "HEADERS with priority", WHOLE | PRIORITIZED, _PRIORITY_0)
_asks("generic 3.2", "HEADERS with padding and priority", WHOLE | PADDED | PRIORITIZED, b"\x06" + _PRIORITY_0, bytes(6))


def _prioritized(name: str, number: int, payload: bytes) -> None:
    """Enlist a case of a PRIORITY that changes nothing for a request after it."""

    @case("generic 3.3", name)
    def _do(client: Speaker) -> None:
        client.send_bytes(raw(PRIORITY, 0, number, payload))
        ask(client)
        expect_answer(client)


_prioritized("PRIORITY of weight 1", 1, number32(0) + b"\0")
_prioritized("PRIORITY of weight 256", 1, number32(0) + b"\xff")
_prioritized("PRIORITY with a dependency", 3, number32(1) + b"\0")
_prioritized("an exclusive PRIORITY", 1, number32(0x80000000) + b"\0")
_prioritized("PRIORITY on an idle stream, before an earlier one", 3, _PRIORITY_0)


@case("generic 3.4", "RST_STREAM")
def _rst_stream(client: Speaker) -> None:
    ask(client, POST, flags=END_HEADERS)
    client.send(RstStreamFrame(1, error_code=8))
    expect_pong(client)


@case("generic 3.5", "SETTINGS")
def _settings(client: Speaker) -> None:
    settings(client, (TABLE, 4096), (PUSH, 1), (3, 100), (WINDOW, 65535), (FRAME, 16384), (6, 100))


lives("generic 3.7", "PING", frames=b"")


@case("generic 3.8", "GOAWAY")
def _goaway(client: Speaker) -> None:
    client.send_bytes(raw(GOAWAY, 0, 0, number32(0) + number32(0)))
    expect_end(client, NO_ERROR)


lives("generic 3.9", "WINDOW_UPDATE on the connection", frames=raw(WINDOW_UPDATE, 0, 0, number32(1)))


@case("generic 3.9", "WINDOW_UPDATE on a stream")
def _window_update(client: Speaker) -> None:
    settings(client, (WINDOW, 0))
    ask(client)
    client.send_bytes(raw(WINDOW_UPDATE, 0, 1, number32(4)))
    expect_data(client, 4)


def _continued(section: str, name: str, count: int) -> None:
    @case(section, name)
    def _do(client: Speaker) -> None:
        ask(client, flags=END_STREAM)
        for _ in range(count - 1):
            client.send_bytes(raw(CONTINUATION, 0, 1, dummy(client)))
        client.send_bytes(raw(CONTINUATION, END_HEADERS, 1, dummy(client)))
        expect_answer(client)


_continued("generic 3.10", "a CONTINUATION", 1)
_continued("generic 3.10", "several CONTINUATION", 2)


# Generic: messages and HPACK.


def _request(name: str, fields: Fields) -> None:
    @case("generic 4", name)
    def _do(client: Speaker) -> None:
        ask(client, fields)
        expect_answer(client)


_request("GET", GET)
_request("HEAD", ((b":method", b"HEAD"), *GET[1:]))
_post("POST", raw(DATA, END_STREAM, 1, b"test"), section="generic 4")


@case("generic 4", "POST with trailers")
def _trailers(client: Speaker) -> None:
    ask(client, (*POST, (b"trailer", b"x-test")), flags=END_HEADERS)
    client.send_bytes(raw(DATA, 0, 1, b"test"))
    ask(client, ((b"x-test", b"ok"),))
    expect_answer(client)


_NAME = b"\x0auser-agent"
_HUFFMAN_NAME = b"\x87\xb5\x05\xb1\x61\xcc\x5a\x93"
_NEW_NAME = b"\x06x-test"
_HUFFMAN_NEW_NAME = b"\x85\xf2\xb2\x4a\x84\xff"
_VALUE = b"\x06h2spec"
_HUFFMAN_VALUE = b"\x84\x9c\x48\xac\xa4"


def _representation(name: str, block: bytes, *, before: bool = False) -> None:
    @case("generic 5", name)
    def _do(client: Speaker) -> None:
        if before:
            client.send_bytes(raw(HEADERS, WHOLE, 1, block + client.block(GET)))
        else:
            ask(client, more=block)
        expect_answer(client)


_representation("an indexed field", b"\xba")
for _kind, _first in (("with indexing", b"\x40"), ("without indexing", b"\x00"), ("never indexed", b"\x10")):
    _representation(
        f"a literal {_kind}, indexed name",
        bytes([_first[0] | (0x3A if _first[0] == 0x40 else 0x0F)]) + (b"" if _first[0] == 0x40 else b"\x2b") + _VALUE,
    )
    _representation(f"a literal {_kind}, a name known to the table", _first + _NAME + _VALUE)
    _representation(f"a literal {_kind}, the same with Huffman", _first + _HUFFMAN_NAME + _HUFFMAN_VALUE)
    _representation(f"a literal {_kind}, new name", _first + _NEW_NAME + _VALUE)
    _representation(f"a literal {_kind}, new name with Huffman", _first + _HUFFMAN_NEW_NAME + _HUFFMAN_VALUE)
_representation("a new size of the table", b"\x20", before=True)
_representation("several new sizes of the table", b"\x20\x3f\xe1\x1f", before=True)


# HTTP/2.


@case("3.5", "an invalid preface", greet=False)
def _invalid_preface(client: Speaker) -> None:
    client.send_bytes(b"INVALID CONNECTION PREFACE\r\n\r\n")
    expect_end(client, PROTOCOL)


@case("3.5", "no SETTINGS after the preface", greet=False)
def _no_settings(client: Speaker) -> None:
    client.send_bytes(PREFACE + raw(PING, 0, 0, bytes(8)))
    expect_end(client, PROTOCOL)


lives("4.1", "an unknown type", frames=raw(UNKNOWN, 0, 0, bytes(8)))
lives("4.1", "undefined flags", frames=raw(PING, 0x16, 0, bytes(8)))
lives("4.1", "a reserved bit", frames=raw(PING, 0x16, 0x80000000, bytes(8)))


@case("4.2", "DATA of 2^14 bytes")
def _largest_data(client: Speaker) -> None:
    ask(client, POST, flags=END_HEADERS)
    client.send_bytes(raw(DATA, END_STREAM, 1, bytes(16384)))
    expect_answer(client)


@case("4.2", "DATA that is too large")
def _too_large_data(client: Speaker) -> None:
    ask(client, POST, flags=END_HEADERS)
    client.send_bytes(raw(DATA, END_STREAM, 1, bytes(16385)))
    expect_reset(client, FRAME_SIZE)


@case("4.2", "HEADERS that are too large")
def _too_large_headers(client: Speaker) -> None:
    ask(client, (*GET, *((b"x-dummy%d" % index, b"x" * 1000) for index in range(20))))
    expect_end(client, FRAME_SIZE)


ends("4.3", "an invalid block", COMPRESSION, frames=raw(HEADERS, WHOLE, 1, b"\x40"))


def _interrupted(section: str, name: str, other: Callable[[Speaker], bytes]) -> None:
    @case(section, name)
    def _do(client: Speaker) -> None:
        ask(client, flags=0)
        client.send_bytes(other(client) + raw(CONTINUATION, END_HEADERS, 1, dummy(client)))
        expect_end(client, PROTOCOL)


_interrupted("4.3", "PRIORITY within a block", lambda _client: raw(PRIORITY, 0, 1, _PRIORITY_0))
_interrupted(
    "4.3", "HEADERS of another stream within a block", lambda client: raw(HEADERS, WHOLE, 3, client.block(GET))
)

ends("5.1", "idle: DATA", PROTOCOL, frames=raw(DATA, END_STREAM, 1, b"test"))
ends("5.1", "idle: RST_STREAM", PROTOCOL, frames=raw(RST_STREAM, 0, 1, number32(8)))
ends("5.1", "idle: WINDOW_UPDATE", PROTOCOL, frames=raw(WINDOW_UPDATE, 0, 1, number32(100)))
ends("5.1", "idle: CONTINUATION", PROTOCOL, frames=raw(CONTINUATION, END_HEADERS, 1, b"\x82"))


_AFTER: tuple[tuple[str, Callable[[Speaker], bytes], tuple[int, ...]], ...] = (
    ("DATA", lambda _client: raw(DATA, END_STREAM, 1, b"test"), (CLOSED,)),
    ("HEADERS", lambda client: raw(HEADERS, WHOLE, 1, client.block(GET)), (CLOSED,)),
    ("CONTINUATION", lambda client: raw(CONTINUATION, END_HEADERS, 1, dummy(client)), (CLOSED, PROTOCOL)),
)


def _after(name: str, make: Callable[[Speaker], bytes], codes: tuple[int, ...]) -> None:
    @case("5.1", f"half-closed: {name}")
    def _half_closed(client: Speaker) -> None:
        settings(client, (WINDOW, 0))
        ask(client)
        client.send_bytes(make(client))
        expect_reset(client, *codes)

    @case("5.1", f"closed by RST_STREAM: {name}")
    def _reset(client: Speaker) -> None:
        ask(client, POST, flags=END_HEADERS)
        client.send_bytes(raw(RST_STREAM, 0, 1, number32(8)) + make(client))
        expect_reset(client, *codes)

    @case("5.1", f"closed: {name}")
    def _closed(client: Speaker) -> None:
        ask(client)
        expect_end_of_stream(client)
        client.send_bytes(make(client))
        expect_end(client, *codes)


for _name, _make, _codes in _AFTER:
    _after(_name, _make, _codes)


@case("5.1.1", "an even stream")
def _even(client: Speaker) -> None:
    ask(client, number=2)
    expect_end(client, PROTOCOL)


@case("5.1.1", "a stream smaller than one before")
def _smaller(client: Speaker) -> None:
    ask(client, number=5)
    ask(client, number=3)
    expect_end(client, PROTOCOL)


@case("5.1.2", "more streams than may be")
def _too_many(client: Speaker) -> None:
    client.until(lambda: acknowledged(client))
    most = client.got[0].settings[3]
    settings(client, (WINDOW, 0))
    for index in range(most + 1):
        ask(client, number=2 * index + 1)
    expect_reset(client, PROTOCOL, REFUSED, number=2 * most + 1)


@case("5.3.1", "HEADERS that depend on themselves")
def _depends_on_itself(client: Speaker) -> None:
    client.send_bytes(raw(HEADERS, WHOLE | PRIORITIZED, 1, number32(1) + b"\xff" + client.block(GET)))
    expect_reset(client, PROTOCOL)


@case("5.3.1", "PRIORITY that depends on itself")
def _priority_on_itself(client: Speaker) -> None:
    client.send_bytes(raw(PRIORITY, 0, 1, number32(1) + b"\xff"))
    expect_reset(client, PROTOCOL)


ends("5.4.1", "an invalid PING, and the connection closes", FRAME_SIZE, frames=raw(PING, 0, 0, bytes(6)))
ends("5.4.1", "an invalid PING, and a GOAWAY", FRAME_SIZE, frames=raw(PING, 0, 0, bytes(9)))

lives("5.5", "an extension frame", frames=raw(UNKNOWN, 0, 0, bytes(8)))
_interrupted("5.5", "an extension frame within a block", lambda _client: raw(UNKNOWN, 0, 0, bytes(8)))

ends("6.1", "DATA on 0", PROTOCOL, frames=raw(DATA, END_STREAM, 0, b"test"))


@case("6.1", "DATA on a stream that is not open")
def _data_not_open(client: Speaker) -> None:
    settings(client, (WINDOW, 0))
    ask(client, POST)
    client.send_bytes(raw(DATA, END_STREAM, 1, b"test"))
    expect_reset(client, CLOSED)


@case("6.1", "DATA with too much padding")
def _bad_padding(client: Speaker) -> None:
    ask(client, (*POST, (b"content-length", b"4")), flags=END_HEADERS)
    client.send_bytes(raw(DATA, END_STREAM | PADDED, 1, b"\x06Test"))
    expect_end(client, PROTOCOL)


_interrupted("6.2", "HEADERS without END_HEADERS, then PRIORITY", lambda _client: raw(PRIORITY, 0, 1, _PRIORITY_0))
_interrupted("6.2", "HEADERS, then HEADERS of another", lambda client: raw(HEADERS, WHOLE, 3, client.block(GET)))
ends("6.2", "HEADERS on 0", PROTOCOL, frames=raw(HEADERS, WHOLE, 0, b"\x82"))


@case("6.2", "HEADERS with too much padding")
def _bad_headers_padding(client: Speaker) -> None:
    block = client.block(GET)
    client.send_bytes(raw(HEADERS, WHOLE | PADDED, 1, bytes([len(block) + 1]) + block))
    expect_end(client, PROTOCOL)


ends("6.3", "PRIORITY on 0", PROTOCOL, frames=raw(PRIORITY, 0, 0, _PRIORITY_0))


@case("6.3", "PRIORITY of four bytes")
def _short_priority(client: Speaker) -> None:
    ask(client, POST, flags=END_HEADERS)
    client.send_bytes(raw(PRIORITY, 0, 1, number32(0)))
    expect_reset(client, FRAME_SIZE)


ends("6.4", "RST_STREAM on 0", PROTOCOL, frames=raw(RST_STREAM, 0, 0, number32(8)))
ends("6.4", "RST_STREAM on an idle stream", PROTOCOL, frames=raw(RST_STREAM, 0, 1, number32(8)))


@case("6.4", "RST_STREAM of three bytes")
def _short_reset(client: Speaker) -> None:
    ask(client, POST, flags=END_HEADERS)
    client.send_bytes(raw(RST_STREAM, 0, 1, bytes(3)))
    expect_end(client, FRAME_SIZE)


def _setting(key: int, value: int) -> bytes:
    return raw(SETTINGS, 0, 0, key.to_bytes(2, "big") + number32(value))


ends("6.5", "SETTINGS with ACK and a payload", FRAME_SIZE, frames=raw(SETTINGS, ACK, 0, b"\0"))
ends("6.5", "SETTINGS on a stream", PROTOCOL, frames=raw(SETTINGS, 0, 1, b"\0\3\0\0\0\x64"))
ends("6.5", "SETTINGS that are no multiple of six", FRAME_SIZE, frames=raw(SETTINGS, 0, 0, b"\0\3\0\0\0\x64\0\2"))
ends("6.5.2", "ENABLE_PUSH of 2", PROTOCOL, frames=_setting(PUSH, 2))
ends("6.5.2", "INITIAL_WINDOW_SIZE of 2^31", FLOW_CONTROL, frames=_setting(WINDOW, 2**31))
ends("6.5.2", "MAX_FRAME_SIZE of 2^14 - 1", PROTOCOL, frames=_setting(FRAME, 2**14 - 1))
ends("6.5.2", "MAX_FRAME_SIZE of 2^24", PROTOCOL, frames=_setting(FRAME, 2**24))
lives("6.5.2", "an unknown setting", frames=_setting(0xFF, 1))


@case("6.5.3", "two values of INITIAL_WINDOW_SIZE")
def _two_values(client: Speaker) -> None:
    settings(client, (WINDOW, 100), (WINDOW, 1))
    ask(client)
    expect_data(client, 1)


@case("6.5.3", "SETTINGS without ACK")
def _settings_without_ack(client: Speaker) -> None:
    settings(client, (PUSH, 0))


lives("6.7", "PING", frames=raw(PING, 0, 0, b"h2spec\0\0"))


@case("6.7", "PING with ACK")
def _ping_ack(client: Speaker) -> None:
    client.send_bytes(raw(PING, ACK, 0, b"invalid\0"))
    expect_pong(client)
    assert b"invalid\0" not in [frame.opaque_data for frame in client.got if isinstance(frame, PingFrame)]


ends("6.7", "PING on a stream", PROTOCOL, frames=raw(PING, 0, 1, bytes(8)))
ends("6.7", "PING of six bytes", FRAME_SIZE, frames=raw(PING, 0, 0, bytes(6)))
ends("6.8", "GOAWAY on a stream", PROTOCOL, frames=raw(GOAWAY, 0, 1, bytes(8)))
ends("6.9", "WINDOW_UPDATE of 0 on the connection", PROTOCOL, frames=raw(WINDOW_UPDATE, 0, 0, number32(0)))


@case("6.9", "WINDOW_UPDATE of 0 on a stream")
def _zero_update(client: Speaker) -> None:
    ask(client, POST, flags=END_HEADERS)
    client.send_bytes(raw(WINDOW_UPDATE, 0, 1, number32(0)))
    expect_reset(client, PROTOCOL)


ends("6.9", "WINDOW_UPDATE of three bytes", FRAME_SIZE, frames=raw(WINDOW_UPDATE, 0, 0, bytes(3)))


@case("6.9.1", "a window of 1")
def _window_of_one(client: Speaker) -> None:
    settings(client, (WINDOW, 1))
    ask(client)
    expect_data(client, 1)


ends(
    "6.9.1",
    "WINDOW_UPDATE beyond 2^31-1 on the connection",
    FLOW_CONTROL,
    frames=2 * raw(WINDOW_UPDATE, 0, 0, number32(2**31 - 1)),
)


@case("6.9.1", "WINDOW_UPDATE beyond 2^31-1 on a stream")
def _beyond_on_stream(client: Speaker) -> None:
    ask(client, POST, flags=END_HEADERS)
    client.send_bytes(2 * raw(WINDOW_UPDATE, 0, 1, number32(2**31 - 1)))
    expect_reset(client, FLOW_CONTROL)
    assert not client.ended


@case("6.9.2", "INITIAL_WINDOW_SIZE changes after HEADERS")
def _changed_window(client: Speaker) -> None:
    settings(client, (WINDOW, 0))
    ask(client)
    settings(client, (WINDOW, 1))
    expect_data(client, 1)


@case("6.9.2", "a window becomes negative")
def _negative_window(client: Speaker) -> None:
    settings(client, (WINDOW, 3))
    ask(client)
    expect_data(client, 3)
    settings(client, (WINDOW, 2))
    client.send_bytes(raw(WINDOW_UPDATE, 0, 1, number32(2)))
    expect_data(client, 3, 1)


ends("6.9.2", "INITIAL_WINDOW_SIZE beyond 2^31-1", FLOW_CONTROL, frames=_setting(WINDOW, 2**31))

_continued("6.10", "several CONTINUATION after HEADERS", 2)


def _continuation(name: str, *steps: tuple[int, int, int], data: bool = False) -> None:
    """Enlist a case of a block that goes wrong: of each frame the type, flags and stream."""

    @case("6.10", name)
    def _do(client: Speaker) -> None:
        for kind, flags, number in steps:
            block = client.block(POST if data else GET) if kind == HEADERS else dummy(client)
            client.send_bytes(raw(kind, flags, number, b"test" if kind == DATA else block))
        expect_end(client, PROTOCOL)


_continuation("CONTINUATION, then DATA", (HEADERS, 0, 1), (CONTINUATION, 0, 1), (DATA, END_STREAM, 1))
_continuation("CONTINUATION on 0", (HEADERS, END_STREAM, 1), (CONTINUATION, END_HEADERS, 0))
_continuation("CONTINUATION after END_HEADERS", (HEADERS, WHOLE, 1), (CONTINUATION, END_HEADERS, 1))
_continuation(
    "CONTINUATION after a last one",
    (HEADERS, END_STREAM, 1),
    (CONTINUATION, END_HEADERS, 1),
    (CONTINUATION, END_HEADERS, 1),
)
_continuation(
    "CONTINUATION after DATA", (HEADERS, END_HEADERS, 1), (DATA, END_STREAM, 1), (CONTINUATION, 0, 1), data=True
)


@case("7", "GOAWAY with an unknown code")
def _unknown_goaway(client: Speaker) -> None:
    client.send_bytes(raw(GOAWAY, 0, 0, number32(0) + number32(0xFF)))
    expect_end(client, NO_ERROR)


@case("7", "RST_STREAM with an unknown code")
def _unknown_reset(client: Speaker) -> None:
    ask(client, POST, flags=END_HEADERS)
    client.send(RstStreamFrame(1, error_code=0xFF))
    expect_pong(client)


@case("8.1", "a second HEADERS without END_STREAM")
def _second_headers(client: Speaker) -> None:
    ask(client, POST, flags=END_HEADERS)
    ask(client, ((b"x-test", b"ok"),), flags=END_HEADERS)
    expect_reset(client, PROTOCOL)


malformed("8.1.2", "an upper-case name", (*GET, (b"X-TEST", b"ok")))
malformed("8.1.2.1", "an unknown pseudo-header", (*GET, (b":test", b"ok")))
malformed("8.1.2.1", "a pseudo-header of responses", (*GET, (b":status", b"200")))


@case("8.1.2.1", "a pseudo-header in trailers")
def _pseudo_trailers(client: Speaker) -> None:
    ask(client, POST, flags=END_HEADERS)
    client.send_bytes(raw(DATA, 0, 1, b"test"))
    ask(client, ((b":method", b"POST"),))
    expect_reset(client, PROTOCOL)


malformed("8.1.2.1", "a pseudo-header after a field", ((b"x-test", b"ok"), *GET))
malformed("8.1.2.2", "a connection field", (*GET, (b"connection", b"keep-alive")))
malformed("8.1.2.2", "TE that is not trailers", (*GET, (b"trailers", b"test"), (b"te", b"trailers, deflate")))
malformed("8.1.2.3", "an empty :path", (*GET[:2], (b":path", b""), GET[3]))
malformed("8.1.2.3", "no :method", GET[1:])
malformed("8.1.2.3", "no :scheme", (GET[0], *GET[2:]))
malformed("8.1.2.3", "no :path", (*GET[:2], GET[3]))
for _index, _twice in enumerate((b":method", b":scheme", b":path")):
    malformed("8.1.2.3", f"{_twice.decode()} twice", (*GET, GET[_index]))


@case("8.1.2.6", "content-length that is not DATA's")
def _wrong_length(client: Speaker) -> None:
    ask(client, (*POST, (b"content-length", b"1")), flags=END_HEADERS)
    client.send_bytes(raw(DATA, END_STREAM, 1, b"test"))
    expect_reset(client, PROTOCOL)


@case("8.1.2.6", "content-length that is not that of several DATA")
def _wrong_length_of_several(client: Speaker) -> None:
    ask(client, (*POST, (b"content-length", b"1")), flags=END_HEADERS)
    client.send_bytes(raw(DATA, 0, 1, b"test") + raw(DATA, END_STREAM, 1, b"test"))
    expect_reset(client, PROTOCOL)


ends("8.2", "PUSH_PROMISE", PROTOCOL, frames=raw(PUSH_PROMISE, END_HEADERS, 1, number32(3) + b"\x82"))


# HPACK.


def _bad_block(section: str, name: str, block: bytes, *, before: bool = False) -> None:
    @case(section, name)
    def _do(client: Speaker) -> None:
        good = client.block(GET)
        client.send_bytes(raw(HEADERS, WHOLE, 1, block + good if before else good + block))
        expect_end(client, COMPRESSION)


_bad_block("hpack 2.3.3", "an indexed field beyond the table", b"\xfe")
_bad_block("hpack 2.3.3", "a literal whose name is beyond the table", b"\x7f\x07\x06h2spec")
_bad_block("hpack 4.2", "a new size at the end of a block", b"\x21")
_bad_block("hpack 5.2", "Huffman padding of more than seven bits", b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")
_bad_block("hpack 5.2", "Huffman padding of zeros", b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")
_bad_block("hpack 5.2", "Huffman EOS", b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\xff\xff\xff\xfd\x25\x42\x7f")
_bad_block("hpack 6.1", "index 0", b"\x80")
_bad_block("hpack 6.3", "a size beyond the setting", b"\x3f\xe2\x1f", before=True)
