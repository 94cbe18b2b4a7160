"""What goes out on a connection: frames put together for one write, and DATA in rounds under the client's windows."""

from __future__ import annotations

from collections import deque
from typing import Any

from staplesrv.http.fields import Fields
from staplesrv.http.http2 import frames, settings
from staplesrv.http.http2.blocks import EMPTY_TABLE, encoded
from staplesrv.http.http2.bodies import LOW_WATER, Piece
from staplesrv.http.http2.frames import DATA, END_STREAM, FRAME_SIZE, LARGEST_WINDOW, Code, ConnectionFault
from staplesrv.http.http2.patience import SENT, SHORT, Patience
from staplesrv.http.http2.stream import Stream

AT_ONCE = 128 * 1024
"""Bytes that are handed to the transport at a time: then it has had the chance to say that it is full. It writes as
many at a time."""

_UNREAD = 64 * 1024
"""Bytes beside DATA that are written to a client that does not read, before nothing more is read from it either."""


class Sender:
    """Sends what streams and their connection have to say.

    While a turn lasts everything is collected. In a round each stream that has something sends one frame.

    Args:
        transport: A Twisted transport; it tells `pause` and `resume` through the connection.
        patience: Gets something back for DATA that the client takes well.

    Attributes:
        window: Bytes of DATA that the client takes on all streams.
        stream_window: With how many a stream begins.
        blocked: The transport is full.
    """

    def __init__(self, transport: Any, patience: Patience) -> None:
        self._transport = transport
        self._patience = patience
        self._out: list[Piece] = []
        self._collected = 0  # bytes of DATA in there
        self._collecting = False
        self._ready: deque[Stream] = deque()
        self._starved: dict[int, Stream] = {}  # ready but for the connection's window
        self._start = b""  # of the next header block
        self._unread = 0  # bytes written since the transport was full
        self._closed = False
        self.window = settings.DEFAULT_WINDOW
        self.stream_window = settings.DEFAULT_WINDOW
        self.blocked = False

    # A turn.

    def begin_turn(self) -> None:
        """Collect what is said from now on."""
        self._collecting = True

    def end_turn(self) -> None:
        """Send DATA as far as it may go, and all else that was collected."""
        try:
            while self._ready and not self.blocked:
                stream = self._ready.popleft()
                stream.queued = False
                if not stream.over:
                    self._send_frame(stream)
                if self._collected >= AT_ONCE:
                    self._flush()
        finally:
            self._collecting = False
        self._flush()

    def put(self, *parts: bytes) -> None:
        """Send frames, or the parts of some."""
        self._out += parts
        if not self._collecting:
            self._flush()

    def close(self) -> None:
        """Send what was collected, and nothing after it."""
        self._flush()
        self._closed = True
        self._ready.clear()
        self._starved.clear()

    def _flush(self) -> None:
        if not self._out:
            return
        out, self._out, self._collected = self._out, [], 0
        if self._closed:
            return
        data = b"".join(out)
        if self.blocked:
            before, self._unread = self._unread, self._unread + len(data)
            if before <= _UNREAD < self._unread:
                self._transport.pauseProducing()
        self._transport.write(data)

    # The transport's pace.

    def pause(self) -> None:
        """Send no more DATA: the transport is full."""
        self.blocked = True
        self._unread = 0

    def resume(self) -> None:
        """Send on."""
        self.blocked = False
        if self._unread > _UNREAD:
            self._transport.resumeProducing()
        self._go_on()

    # The client's windows.

    def take_settings(self, wishes: settings.Wishes, streams: list[Stream]) -> None:
        """Do as the client's settings say: RFC 9113 §6.9.2, RFC 7541 §4.2.

        Raises:
            ConnectionFault: a window becomes too large.
        """
        if wishes.small_table:
            self._start = EMPTY_TABLE
        if wishes.window is None:
            return
        more, self.stream_window = wishes.window - self.stream_window, wishes.window
        for stream in streams:
            if not self.widen_stream(stream, more):
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR)

    def widen(self, more: int) -> None:
        """Widen the connection's window.

        Raises:
            ConnectionFault: it becomes too large.
        """
        self.window += more
        if self.window > LARGEST_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR)
        self._ready.extend(self._starved.values())
        self._starved.clear()
        self._go_on()

    def widen_stream(self, stream: Stream, more: int) -> bool:
        """Widen a stream's window; tell whether it may be so large."""
        stream.window += more
        if stream.outgoing is not None and stream.outgoing.size:
            self.ready(stream)
        return stream.window <= LARGEST_WINDOW

    # What streams call.

    def take_window(self, stream: Stream, size: int) -> bool:
        """Tell whether a stream may send so much at once; it counts as sent then."""
        if self._collected >= AT_ONCE:
            self._flush()  # which may have the transport say that it is full
        if size > self.window or size > stream.window or self._ready or self.blocked:
            return False
        self.window -= size
        stream.window -= size
        self._collected += size
        return True

    def ready(self, stream: Stream) -> None:
        """Take note that a stream has something to send, or came to its end."""
        if not stream.queued:
            stream.queued = True
            self._ready.append(stream)
        self._go_on()

    def forget(self, stream: Stream) -> None:
        """A stream is over."""
        self._starved.pop(stream.number, None)

    def start_block(self) -> bytes:
        """Return what begins the next header block."""
        start, self._start = self._start, b""
        return start

    def _go_on(self) -> None:
        if not self._collecting:
            self._collecting = True
            self.end_turn()

    # A round.

    def _send_frame(self, stream: Stream) -> None:
        """Send a stream's next frame, and its end where that is it."""
        outgoing = stream.outgoing
        if outgoing is None:
            return
        most = min(self.window, stream.window, FRAME_SIZE)
        if outgoing.size and most <= 0:
            if stream.window > 0:
                stream.queued = True
                self._starved[stream.number] = stream
            return
        pieces = outgoing.take(most)
        size = sum(map(len, pieces))
        self.window -= size
        stream.window -= size
        stream.sent += size
        self._collected += size
        if outgoing.ended and not outgoing.size:
            self._send_end(stream, outgoing.trailers, pieces, size)
            return
        self._out.append(frames.head(size, DATA, 0, stream.number))
        self._out += pieces
        if outgoing.size:
            stream.queued = True
            self._ready.append(stream)
        if not outgoing.size or size >= SHORT:
            self._patience.earn(SENT)
        stream.drained(room=outgoing.size <= LOW_WATER)

    def _send_end(self, stream: Stream, trailers: Fields, pieces: list[Piece], size: int) -> None:
        if size or not trailers:
            self._out.append(frames.head(size, DATA, 0 if trailers else END_STREAM, stream.number))
            self._out += pieces
        if trailers:
            block = self.start_block() + encoded(trailers)
            self._out.append(frames.headers(stream.number, block, ended=True))
        stream.sent_all()
