"""The settings that the two sides of an HTTP/2 connection tell each other: RFC 9113 §6.5."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from staplesrv.http.http2.frames import FRAME_SIZE, LARGEST_WINDOW, Code, ConnectionFault

HEADER_TABLE_SIZE = 1
ENABLE_PUSH = 2
MAX_CONCURRENT_STREAMS = 3
INITIAL_WINDOW_SIZE = 4
MAX_FRAME_SIZE = 5
MAX_HEADER_LIST_SIZE = 6
ENABLE_CONNECT_PROTOCOL = 8
"""RFC 8441 §3."""

DEFAULT_WINDOW = 65_535
DEFAULT_TABLE = 4_096
"""Bytes of a dynamic table at most, where nobody says otherwise: either side's."""

_LARGEST_FRAME = 2**24 - 1

_SETTING = Struct(">HL")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What of a client's settings concerns a server that never pushes and encodes without a dynamic table.

    Args:
        window: With how many bytes a stream begins that may be sent to the client; None where it did not say.
        small_table: It wants a dynamic table that is smaller than the default.
        count: How many settings there were.
    """

    window: int | None
    small_table: bool
    count: int


def encoded(settings: dict[int, int]) -> bytes:
    """Return a SETTINGS frame's payload."""
    return b"".join([_SETTING.pack(*setting) for setting in settings.items()])


def read(payload: bytes) -> Wishes:
    """Read a SETTINGS frame's payload.

    Raises:
        ConnectionFault: a value is out of range.
    """
    if len(payload) % 6:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR)
    window, small_table = None, False
    # One after the other, and the last one of a kind counts: RFC 9113 §6.5.3. Unknown ones are ignored.
    for key, value in _SETTING.iter_unpack(payload):
        if key == INITIAL_WINDOW_SIZE:
            if value > LARGEST_WINDOW:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR)
            window = value
        elif key == HEADER_TABLE_SIZE:
            small_table = small_table or value < DEFAULT_TABLE
        elif (key == MAX_FRAME_SIZE and not FRAME_SIZE <= value <= _LARGEST_FRAME) or (
            # RFC 8441 §3: the same two values.
            key in {ENABLE_PUSH, ENABLE_CONNECT_PROTOCOL} and value > 1
        ):
            raise ConnectionFault(Code.PROTOCOL_ERROR)
    return Wishes(window, small_table, len(payload) // 6)
