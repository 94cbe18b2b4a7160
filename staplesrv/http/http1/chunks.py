"""The chunked coding, read: RFC 9112 §7.1."""

from __future__ import annotations

import re
from collections.abc import Callable

from staplesrv.http.fields import Fields, allowed_trailers
from staplesrv.http.http1.head import BAD_REQUEST, TOO_MANY_FIELDS, read_fields
from staplesrv.http.http1.refusal import Refusal
from staplesrv.http.limits import Limits

# Extensions mean nothing to us, and no space may come before them: only some would skip it.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?")
_LONGEST_LINE = 256
"""Bytes of a chunk's size and its extensions."""

_LINE_END = b"\r\n"
_HEAD_FOR_TRAILERS = b"GET / HTTP/1.1\r\n"


class Chunks:
    """Reads one chunked body.

    Args:
        limits: For the trailers.

    Attributes:
        over: The body is complete.
        trailers: They, once it is over; those that may not be among them are left out.
        rest: What followed the body.
        refusal: What followed the content has not the form of chunks.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = 0  # of the chunk
        self._begun = b""  # of a line, or of the trailers
        # Of the class, not of this object: that would keep itself alive until the garbage collector comes.
        self._read: Callable[[Chunks, bytes, int, list[bytes]], int] = Chunks._read_size
        self.over = False
        self.refusal: Refusal | None = None
        self.trailers: Fields = ()
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take what comes next; return the content in it, up to what it may be refused for."""
        content: list[bytes] = []
        position = 0
        data, self._begun = self._begun + data, b""
        try:
            while 0 <= position < len(data) and not self.over:
                position = self._read(self, data, position, content)
        except Refusal as refusal:
            self.refusal = refusal
        if self.over:
            self.rest = data[position:]
        return content[0] if len(content) == 1 else b"".join(content)

    def _wait(self, data: bytes, position: int) -> int:
        """Keep the beginning of something until the rest of it comes; there is nothing more to read now."""
        self._begun = data[position:]
        return -1

    def _read_size(self, data: bytes, position: int, _content: list[bytes]) -> int:
        end = data.find(_LINE_END, position, position + _LONGEST_LINE)
        if end < 0:
            if b"\n" in data[position : position + _LONGEST_LINE]:
                raise Refusal(BAD_REQUEST)
            if len(data) - position >= _LONGEST_LINE:
                raise Refusal(BAD_REQUEST)
            return self._wait(data, position)
        found = _SIZE.fullmatch(data, position, end)
        if found is None:
            raise Refusal(BAD_REQUEST)
        self._left = int(found[1], 16)
        self._read = Chunks._read_content if self._left > 0 else Chunks._read_trailers
        return end + len(_LINE_END)

    def _read_content(self, data: bytes, position: int, content: list[bytes]) -> int:
        piece = data[position : position + self._left]
        content.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._read = Chunks._read_content_end
        return position + len(piece)

    def _read_content_end(self, data: bytes, position: int, _content: list[bytes]) -> int:
        end = data[position : position + len(_LINE_END)]
        if not _LINE_END.startswith(end):
            raise Refusal(BAD_REQUEST)
        if end != _LINE_END:
            return self._wait(data, position)
        self._read = Chunks._read_size
        return position + len(_LINE_END)

    def _read_trailers(self, data: bytes, position: int, _content: list[bytes]) -> int:
        if data.startswith(_LINE_END, position):
            self.over = True
            return position + len(_LINE_END)
        end = data.find(_LINE_END * 2, position)
        # Without an end: what may be the beginning of one does not count.
        if (end if end >= 0 else len(data) - 3) - position > self._limits.headers:
            raise Refusal(TOO_MANY_FIELDS)
        if end < 0:
            return self._wait(data, position)
        end += 2 * len(_LINE_END)
        self.trailers = self._trailers(data[position:end])
        self.over = True
        return end

    def _trailers(self, lines: bytes) -> Fields:
        # The same rules as for a head's fields, so the same reader.
        fields = read_fields(_HEAD_FOR_TRAILERS + lines)
        if len(fields) > self._limits.fields:
            raise Refusal(TOO_MANY_FIELDS)
        return allowed_trailers(fields)

    @property
    def small(self) -> bool:
        """How much is left is not known."""
        return False
