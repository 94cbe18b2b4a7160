"""What of a stream's bodies waits: to go out, or to be taken by its handler."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from staplesrv.http.fields import Fields
from staplesrv.http.http2.frames import Code

HIGH_WATER = 32 * 1024
"""Bytes that wait to go out on one stream from which on its handler is asked to pause: a client has many streams, and
may take nothing of any of them."""

LOW_WATER = 16 * 1024
"""Bytes from which on it may go on."""

WINDOW = 256 * 1024
"""Bytes of a request's body that may come before the handler has taken any: what one paused stream can hold."""

Piece: TypeAlias = bytes | memoryview


class Outgoing:
    """What an application wrote, and the client's windows or the socket do not take yet.

    Args:
        now: The reactor's clock.

    Attributes:
        size: Bytes that wait.
        ended: Nothing is to be added.
        trailers: To be sent at the end.
        paused: The handler was asked to pause.
        moved: When bytes last went out, or began to wait.
    """

    __slots__ = ("_pieces", "ended", "moved", "paused", "size", "trailers")

    def __init__(self, now: float) -> None:
        self._pieces: deque[Piece] = deque()
        self.size = 0
        self.ended = False
        self.trailers: Fields = ()
        self.paused = False
        self.moved = now

    def add(self, data: bytes) -> None:
        """Add some bytes, which are not copied."""
        self._pieces.append(data)
        self.size += len(data)

    def take(self, most: int) -> list[Piece]:
        """Take bytes from the beginning, at most so many; none where that is less than none."""
        pieces, taken = self._pieces, []
        left = max(0, min(most, self.size))
        self.size -= left
        while left:
            piece = pieces.popleft()
            if len(piece) > left:
                view = memoryview(piece)
                pieces.appendleft(view[left:])
                piece = view[:left]
            left -= len(piece)
            taken.append(piece)
        return taken


class Incoming:
    """A request's body as far as it is not with its handler.

    Args:
        length: Content-Length; None where the client gave none.
        now: The reactor's clock.

    Attributes:
        received: Bytes so far, without padding.
        window: Bytes that the client may still send.
        paused: By the application.
        ended: The client sends no more.
        trailers: What came after it.
        moved: When bytes last came, or began to be awaited.
    """

    __slots__ = ("_credit", "_held", "ended", "length", "moved", "paused", "received", "trailers", "window")

    def __init__(self, length: int | None, now: float) -> None:
        self._held = bytearray()  # of pieces that are as small as clients like to make them
        self.length = length
        self.received = 0
        self.window = WINDOW
        self._credit = 0  # what was taken, and the client is not yet told of
        self.paused = False
        self.ended = False
        self.trailers: Fields = ()
        self.moved = now

    @property
    def misfits(self) -> bool:
        """Whether it is not what Content-Length said, nor can become it: RFC 9113 §8.1.1."""
        if self.length is None:
            return False
        return self.received != self.length if self.ended else self.received > self.length

    def receive(self, data: bytes, size: int, now: float) -> Code:
        """Count what came; returns what is wrong with that, or `NO_ERROR`.

        Args:
            data: The content.
            size: Bytes with padding.
            now: The reactor's clock.
        """
        self.moved = now
        self.received += len(data)
        self.window -= size
        if self.ended:
            return Code.STREAM_CLOSED
        if self.window < 0:
            return Code.FLOW_CONTROL_ERROR
        return Code.PROTOCOL_ERROR if self.misfits else Code.NO_ERROR

    def awaited_for(self, now: float) -> float:
        """Return for how many seconds the client has been waited for; 0 where it is not."""
        return 0.0 if self.ended or self.paused or self._held else now - self.moved

    def hold(self, data: bytes) -> None:
        """Keep bytes until the application wants them."""
        self._held += data

    def next(self) -> bytes | None:
        """Return the bytes that were held; None where there are none, or the application does not want them."""
        if self.paused or not self._held:
            return None
        data = bytes(self._held)
        self._held.clear()
        return data

    def taken(self, size: int) -> int:
        """Take note that bytes are with the handler; returns how many more the client is to be told that it may send.

        It is told half a window at a time.
        """
        self._credit += size
        if self.ended or self._credit < WINDOW // 2:
            return 0
        more, self._credit = self._credit, 0
        self.window += more
        return more

    def drop(self) -> int:
        """Forget what is held; returns how many bytes that were."""
        dropped = len(self._held)
        self._held.clear()
        return dropped
