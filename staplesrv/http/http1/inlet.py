"""The client's direction of a connection: what it has sent and nobody has taken yet, and whether more of it is read."""

from __future__ import annotations

from typing import Any

from staplesrv.http.http1.bodies import Body
from staplesrv.http.http1.head import Head
from staplesrv.http.http1.heads import Heads


class Inlet:
    """Keeps what comes until it is somebody's turn.

    Args:
        transport: Twisted's.

    Attributes:
        waiting: What nobody has taken yet.
        over: The client sends no more.
        reading: More is read.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._seen = 0  # bytes of what waits, which hold no head
        self.waiting = b""
        self.over = False
        self.reading = True

    def put(self, data: bytes) -> None:
        """Keep what came."""
        self.waiting = self.waiting + data if self.waiting else data

    def take_head(self, heads: Heads) -> Head | None:
        """Take the head of a request; None as long as it is not whole.

        Raises:
            Refusal: it is none that this server takes; it is left where it is.
        """
        head, self.waiting = heads.take(self.waiting, self._seen)
        self._seen = len(self.waiting) if head is None else 0
        return head

    def take_content(self, body: Body) -> bytes:
        """Take what belongs to a body; return the content in it."""
        content = body.feed(self.waiting)
        self.waiting = body.rest
        return content

    def first_line(self, longest: int) -> bytes:
        """Return what waits, up to the end of its first line that is not empty."""
        return self.waiting.lstrip(b"\r\n").partition(b"\n")[0].removesuffix(b"\r")[:longest]

    def drop(self) -> None:
        """Forget what waits."""
        self.waiting = b""

    def read(self, *, reading: bool) -> None:
        """Read more, or leave it with the client."""
        if reading == self.reading:
            return
        self.reading = reading
        if reading:
            self._transport.resumeProducing()
        else:
            self._transport.pauseProducing()
