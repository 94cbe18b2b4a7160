"""What comes in on a connection: which frames may come now, and those that are about the connection itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from staplesrv.http.http2 import frames, patience, settings
from staplesrv.http.http2.frames import ACK, CONTINUATION, SETTINGS, Code, ConnectionFault, Frame
from staplesrv.http.http2.stream_frames import PRIORITY_SIZE, StreamFrames, check_priority, check_size

if TYPE_CHECKING:
    from staplesrv.http.http2.connection import HTTP2Connection

# What RFC 9113 §6 says of the length of payloads.
_PING_SIZE = 8
_GOAWAY_SIZE = 8


class Receiver:
    """Takes a client's frames.

    Args:
        connection: What they are about.

    Attributes:
        of_streams: Takes those that are about streams.
        settled: The client's first SETTINGS came.
    """

    def __init__(self, connection: HTTP2Connection) -> None:
        self._connection = connection
        self._sender = connection.sender
        self._patience = connection.patience
        self.of_streams = of_streams = StreamFrames(connection)
        self.settled = False
        # In the order of their numbers.
        self._takers = (
            of_streams.data,
            of_streams.headers,
            self._priority,
            of_streams.rst_stream,
            self._settings,
            self._push_promise,
            self._ping,
            self._goaway,
            of_streams.window_update,
            of_streams.continuation,
        )

    def receive(self, frame: Frame) -> None:
        """Take a frame.

        Raises:
            ConnectionFault: it must not come now, or not in this form.
        """
        kind, flags, number, payload = frame
        # RFC 9113 §6.10: nothing comes between the frames of a header block; §3.4: SETTINGS come first.
        if (kind != CONTINUATION and self.of_streams.in_block) or not (self.settled or kind == SETTINGS):
            raise ConnectionFault(Code.PROTOCOL_ERROR)
        if kind < len(self._takers):
            self._takers[kind](flags, number, payload)
        else:
            self._patience.cost(patience.CHEAP)  # RFC 9113 §4.1: types that are not known are ignored

    def _settings(self, flags: int, number: int, payload: bytes) -> None:
        if number or (flags & ACK and not self.settled):
            raise ConnectionFault(Code.PROTOCOL_ERROR)
        if flags & ACK:
            check_size(payload, 0)
            self._patience.cost(patience.CHEAP)
            return
        wishes = settings.read(payload)
        self._patience.cost(patience.SETTINGS + wishes.count)
        if not self.settled:
            self.settled = True
            self._connection.wait()
        self._sender.take_settings(wishes, list(self._connection.streams.values()))
        self._sender.put(frames.frame(SETTINGS, ACK, 0))

    def _ping(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(Code.PROTOCOL_ERROR)
        check_size(payload, _PING_SIZE)
        self._patience.cost(patience.CHEAP)
        if flags & ACK:
            self._connection.ping_answered(payload)
        else:
            self._sender.put(frames.frame(frames.PING, ACK, 0, payload))

    def _goaway(self, _flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(Code.PROTOCOL_ERROR)
        if len(payload) < _GOAWAY_SIZE:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR)
        self._patience.cost(patience.CHEAP)
        self._connection.leave()

    def _priority(self, _flags: int, number: int, payload: bytes) -> None:
        # RFC 9113 §5.3.2: priorities are of the past, and what is wrong with them is still wrong.
        if not number:
            raise ConnectionFault(Code.PROTOCOL_ERROR)
        check_size(payload, PRIORITY_SIZE)
        check_priority(number, payload)
        self._patience.cost(patience.CHEAP)

    def _push_promise(self, _flags: int, _number: int, _payload: bytes) -> None:
        raise ConnectionFault(Code.PROTOCOL_ERROR)  # RFC 9113 §8.4
