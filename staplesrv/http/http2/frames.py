"""HTTP/2's frames: cut out of what a client sends, and made of what a server says (RFC 9113 §4 and §6)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import TypeAlias

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client says first: RFC 9113 §3.4."""

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20

FRAME_SIZE = 16_384
"""Bytes of payload in a frame, in both directions: RFC 9113 §4.2's least, and as long as a TLS record."""

LARGEST_WINDOW = 2**31 - 1

_HEAD = Struct(">HBBBL")
_NUMBER = 0x7FFF_FFFF

Frame: TypeAlias = tuple[int, int, int, bytes]
"""Type, flags, the stream's number and the payload."""


class Code(IntEnum):
    """Why a stream or a connection ends: RFC 9113 §7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class ConnectionFault(Exception):
    """A client broke the rules so that its connection ends: RFC 9113 §5.4.1.

    Args:
        code: What it is told.
    """

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code


class StreamFault(Exception):
    """A client broke the rules so that one of its streams ends: RFC 9113 §5.4.2.

    Args:
        code: What it is told.
    """

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code


class FrameReader:
    """Cuts frames out of pieces of any length. It holds one incomplete frame at most."""

    def __init__(self) -> None:
        self._rest = b""
        self._greeted = False

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete with some more bytes.

        Raises:
            ConnectionFault: what came is no preface, or a frame is too long.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at, end = 0, len(data)
        if not self._greeted:
            # RFC 9113 §3.4: an invalid preface is a connection error; it is seen as soon as it differs.
            if data[:24] != PREFACE[:end]:
                raise ConnectionFault(Code.PROTOCOL_ERROR)
            if end < len(PREFACE):
                self._rest = data
                return
            self._greeted = True
            at = len(PREFACE)
        while end - at >= _HEAD.size:
            high, low, kind, flags, number = _HEAD.unpack_from(data, at)
            length = high << 8 | low
            if length > FRAME_SIZE:
                # RFC 9113 §4.2. It might be told of the stream alone, but whoever sends such keeps to nothing.
                raise ConnectionFault(Code.FRAME_SIZE_ERROR)
            start = at + _HEAD.size
            if end - start < length:
                break
            at = start + length
            yield kind, flags, number & _NUMBER, data[start:at]
        self._rest = data[at:]


def head(length: int, kind: int, flags: int, number: int) -> bytes:
    """Return the nine bytes before a payload."""
    return _HEAD.pack(length >> 8, length & 0xFF, kind, flags, number)


def frame(kind: int, flags: int, number: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return head(len(payload), kind, flags, number) + payload


def headers(number: int, block: bytes, *, ended: bool) -> bytes:
    """Return a header block as a HEADERS frame and as many CONTINUATION frames as it takes.

    Args:
        number: The stream's.
        block: Encoded.
        ended: Whether nothing follows on the stream.
    """
    flags = END_STREAM if ended else 0
    if len(block) <= FRAME_SIZE:
        return head(len(block), HEADERS, flags | END_HEADERS, number) + block
    parts = [block[at : at + FRAME_SIZE] for at in range(0, len(block), FRAME_SIZE)]
    made = [frame(HEADERS, flags, number, parts[0])]
    made += [frame(CONTINUATION, 0, number, part) for part in parts[1:-1]]
    return b"".join([*made, frame(CONTINUATION, END_HEADERS, number, parts[-1])])


def reset(number: int, code: Code) -> bytes:
    """Return a RST_STREAM frame: a stream ends."""
    return frame(RST_STREAM, 0, number, code.to_bytes(4, "big"))


def window_update(number: int, more: int) -> bytes:
    """Return a WINDOW_UPDATE frame: a stream, or with 0 the connection, may send so many bytes more."""
    return frame(WINDOW_UPDATE, 0, number, more.to_bytes(4, "big"))


def goaway(last: int, code: Code) -> bytes:
    """Return a GOAWAY frame.

    Args:
        last: The highest number of a stream that is or was served.
        code: Why.
    """
    return frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big"))


def unpadded(flags: int, payload: bytes) -> bytes:
    """Take the padding off DATA and HEADERS.

    Raises:
        ConnectionFault: there is more padding than payload.
    """
    if not flags & PADDED:
        return payload
    # RFC 9113 §6.1: padding as long as the payload or longer is a connection error.
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(Code.PROTOCOL_ERROR if payload else Code.FRAME_SIZE_ERROR)
    return payload[1 : len(payload) - payload[0]]
