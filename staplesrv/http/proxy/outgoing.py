"""The content of a request on its way to a backend: framed, and never more or less than was announced."""

from __future__ import annotations

from staplesrv.http.fields import Fields
from staplesrv.http.proxy.request_head import trailer_lines


class Outgoing:
    """Frames a request's content.

    Args:
        length: What the head announced, in bytes; None where it announced chunks.
    """

    __slots__ = ("_left", "complete")

    def __init__(self, length: int | None) -> None:
        self._left = length
        self.complete = length == 0

    def data(self, data: bytes) -> bytes | None:
        """Return content as it is sent; None where it is more than was announced, and must not be sent."""
        if self._left is None:
            return b"%x\r\n%s\r\n" % (len(data), data)
        self._left -= len(data)
        return data if self._left >= 0 else None

    def end(self, trailers: Fields) -> bytes | None:
        """Return what is sent at the end; None where it is less than was announced, and the backend still waits."""
        if self._left is None:
            self.complete = True
            return b"0\r\n%s\r\n" % trailer_lines(trailers)
        self.complete = not self._left
        return b"" if self.complete else None
