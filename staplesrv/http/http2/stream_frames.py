"""Frames about streams: header blocks, DATA, resets and windows, and what they mean in a stream's state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from staplesrv.http.http2 import frames, patience
from staplesrv.http.http2.frames import (
    END_HEADERS,
    END_STREAM,
    LARGEST_WINDOW,
    PRIORITIZED,
    Code,
    ConnectionFault,
    StreamFault,
)
from staplesrv.http.http2.heads import Refused
from staplesrv.http.http2.requests import RequestReader

if TYPE_CHECKING:
    from staplesrv.http.http2.connection import HTTP2Connection

WINDOW = 1024 * 1024
"""Bytes of requests' bodies that may come on all streams before handlers have taken any."""

# What RFC 9113 §6 says of the length of payloads.
PRIORITY_SIZE = 5
_NUMBER_SIZE = 4


class StreamFrames:
    """Takes the frames that are about one stream; of WINDOW_UPDATE also the connection's.

    Args:
        connection: The streams'.

    Attributes:
        last: The highest number of a stream that the client opened.
    """

    def __init__(self, connection: HTTP2Connection) -> None:
        self._connection = connection
        self._sender = connection.sender
        self._patience = connection.patience
        self._streams = connection.streams
        self._limits = connection.limits
        self._requests = RequestReader(connection.limits)
        self._begun: tuple[int, int, bytearray] | None = None  # a header block: stream, flags, what came of it
        self._skipped = range(0)  # numbers that the client passed over, when it last did so
        self._window = WINDOW
        self._credit = 0
        self.last = 0

    @property
    def in_block(self) -> bool:
        """Whether a header block has begun and not ended."""
        return self._begun is not None

    def taken(self, size: int) -> None:
        """Give the client back what it may send on all streams, half a window at a time."""
        self._credit += size
        if self._credit >= WINDOW // 2:
            self._window += self._credit
            self._sender.put(frames.window_update(0, self._credit))
            self._credit = 0

    def headers(self, flags: int, number: int, payload: bytes) -> None:
        """Take HEADERS: a request, its trailers, or the beginning of either; RFC 9113 §6.2.

        Raises:
            ConnectionFault: it must not come now, or not in this form.
        """
        if not number & 1:
            raise ConnectionFault(Code.PROTOCOL_ERROR)  # RFC 9113 §5.1.1; 0 is even
        block = frames.unpadded(flags, payload)
        if flags & PRIORITIZED:
            check_priority(number, block)
            block = block[PRIORITY_SIZE:]
        if flags & END_HEADERS:
            self._on_block(number, block, ended=bool(flags & END_STREAM))
        else:
            self._begun = number, flags, bytearray(block)
            self._connection.wait()

    def continuation(self, flags: int, number: int, payload: bytes) -> None:
        """Take CONTINUATION: RFC 9113 §6.10.

        Raises:
            ConnectionFault: none is due on this stream, or there is no end of them.
        """
        if self._begun is None or self._begun[0] != number:
            raise ConnectionFault(Code.PROTOCOL_ERROR)
        _, first_flags, block = self._begun
        block += payload
        # Any number of empty ones would go into a block (CVE-2024-27316).
        self._patience.cost(patience.CHEAP)
        if len(block) > self._limits.headers:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM)
        if flags & END_HEADERS:
            self._begun = None
            self._on_block(number, bytes(block), ended=bool(first_flags & END_STREAM))

    def _on_block(self, number: int, block: bytes, *, ended: bool) -> None:
        """Take a whole header block: a request's head, or trailers."""
        try:
            if number > self.last:
                self._on_request(number, block, ended=ended)
            else:
                self._on_trailers(number, block, ended=ended)
        except StreamFault as fault:
            self._fault(number, fault.code)

    def _on_request(self, number: int, block: bytes, *, ended: bool) -> None:
        if number > self.last + 2:
            self._skipped = range(self.last + 1, number)
        self.last = number
        try:
            request = self._requests.read(block, ended=ended)
        except Refused as refused:
            self._patience.cost(patience.WASTED)
            self._connection.refuse(number, refused, ended=ended)
            return
        if len(self._streams) >= self._limits.streams or self._connection.said_goodbye:
            raise StreamFault(Code.REFUSED_STREAM)
        self._connection.open_stream(number, request, ended=ended)

    def _on_trailers(self, number: int, block: bytes, *, ended: bool) -> None:
        stream = self._streams.get(number)
        if stream is None:
            self._patience.cost(patience.WASTED)
            self._requests.skip(block)
            self._on_closed(number)
            return
        if stream.client_ended:
            self._requests.skip(block)
            raise StreamFault(Code.STREAM_CLOSED)
        trailers = self._requests.read_trailers(block)
        if not ended:
            raise StreamFault(Code.PROTOCOL_ERROR)  # RFC 9113 §8.1
        stream.receive_end(trailers)

    def data(self, flags: int, number: int, payload: bytes) -> None:
        """Take DATA: RFC 9113 §6.1.

        Raises:
            ConnectionFault: it is more than the connection's window, or on no stream that could have any.
        """
        size = len(payload)
        self._window -= size
        if self._window < 0:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR)
        data, ended = frames.unpadded(flags, payload), flags & END_STREAM
        if not (data or ended):
            self._patience.cost(patience.CHEAP)
        stream = self._streams.get(number)
        if stream is None:
            self._on_closed(number)
            self.taken(size)
            return
        try:
            stream.receive(data, size)
            if ended and not stream.over:
                stream.receive_end(())
        except StreamFault as fault:
            self._fault(number, fault.code)

    def _on_closed(self, number: int) -> None:
        """Judge a frame on a stream that is not open: RFC 9113 §5.1.

        Raises:
            ConnectionFault: it never was, or the client had ended it.
        """
        if number in self._connection.reset_streams:
            return  # it was sent before the client knew
        never = number == 0 or number > self.last or number in self._skipped
        raise ConnectionFault(Code.PROTOCOL_ERROR if never else Code.STREAM_CLOSED)

    def rst_stream(self, _flags: int, number: int, payload: bytes) -> None:
        """Take RST_STREAM: RFC 9113 §6.4.

        Raises:
            ConnectionFault: it must not come now, or not in this form.
        """
        check_size(payload, _NUMBER_SIZE)
        self._check_opened(number)
        stream = self._streams.get(number)
        self._patience.cost(patience.CHEAP if stream is None else patience.WASTED)
        if stream is not None:
            stream.lose()

    def _fault(self, number: int, code: Code) -> None:
        """End a stream for what the client did."""
        self._patience.cost(patience.WASTED)
        self._connection.reset(number, code)
        stream = self._streams.get(number)
        if stream is not None:
            stream.lose()

    def _check_opened(self, number: int) -> None:
        if number == 0 or number > self.last:
            raise ConnectionFault(Code.PROTOCOL_ERROR)

    # Windows.

    def window_update(self, _flags: int, number: int, payload: bytes) -> None:
        """Take WINDOW_UPDATE, also the connection's: RFC 9113 §6.9.

        Raises:
            ConnectionFault: it has not this form, or the connection's window becomes too large.
        """
        check_size(payload, _NUMBER_SIZE)
        self._patience.cost(patience.CHEAP)
        more = int.from_bytes(payload, "big") & LARGEST_WINDOW
        if number:
            self._check_opened(number)
            self._widen_stream(number, more)
        elif more:
            self._sender.widen(more)
        else:
            raise ConnectionFault(Code.PROTOCOL_ERROR)

    def _widen_stream(self, number: int, more: int) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        if not more:
            self._fault(number, Code.PROTOCOL_ERROR)
        elif not self._sender.widen_stream(stream, more):
            self._fault(number, Code.FLOW_CONTROL_ERROR)


def check_size(payload: bytes, size: int) -> None:
    """Check the length of a payload.

    Raises:
        ConnectionFault: it is another one.
    """
    if len(payload) != size:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR)


def check_priority(number: int, payload: bytes) -> None:
    """Check what RFC 9113 §6.3 has in five bytes.

    Raises:
        ConnectionFault: it is shorter, or has a stream depend on itself (RFC 7540 §5.3.1).
    """
    if len(payload) < PRIORITY_SIZE:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR)
    if int.from_bytes(payload[:_NUMBER_SIZE], "big") & LARGEST_WINDOW == number:
        raise ConnectionFault(Code.PROTOCOL_ERROR)
