"""What waits to be written to one connection."""

from __future__ import annotations

PIECE = 128 * 1024
"""Bytes that OpenSSL is offered at a time: eight records."""


class Output:
    """Hands out in pieces what was appended: small writes joined, large ones in slices that are no copies.

    A piece that could not be written stays the next one, unchanged: SSL_write(3) wants to see the same bytes again.

    Attributes:
        size: Bytes that wait.
    """

    __slots__ = ("_chunks", "_offset", "_piece", "size")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._offset = 0  # into the first chunk
        self._piece: bytes | memoryview | None = None
        self.size = 0

    def append(self, data: bytes) -> None:
        """Add data at the end."""
        self._chunks.append(data)
        self.size += len(data)

    def piece(self) -> bytes | memoryview:
        """Return what is to be written next; there must be something."""
        if self._piece is None:
            one = self.size <= PIECE and len(self._chunks) == 1 and not self._offset
            self._piece = self._chunks.pop() if one else self._take()
        return self._piece

    def written(self, count: int) -> None:
        """Take note that so much of the piece is written."""
        piece = self._piece
        self._piece = memoryview(piece)[count:] if piece is not None and count < len(piece) else None
        self.size -= count

    def _take(self) -> bytes | memoryview:
        if len(self._chunks[0]) - self._offset >= PIECE:
            return self._slice(PIECE)
        parts = []
        room = PIECE
        while room and self._chunks:
            parts.append(self._slice(room))
            room -= len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _slice(self, most: int) -> memoryview:
        first = self._chunks[0]
        end = min(self._offset + most, len(first))
        part = memoryview(first)[self._offset : end]
        self._offset = end
        if end == len(first):
            del self._chunks[0]
            self._offset = 0
        return part
