"""What waits to be written to one connection, in the pieces that OpenSSL is offered."""

from __future__ import annotations

PIECE = 128 * 1024
"""Bytes that OpenSSL is offered at a time: eight records."""

Data = bytes | memoryview


def next_piece(chunks: list[Data]) -> Data:
    """Take off what is to be written next: small chunks joined, large ones in slices that are no copies.

    Args:
        chunks: What was written, none of it empty; there must be something. The rest stays.

    Returns:
        `PIECE` bytes, or all that there are.
    """
    if len(chunks) == 1 and len(chunks[0]) <= PIECE:
        return chunks.pop()
    parts: list[Data] = []
    room = PIECE
    for chunk in chunks:
        if len(chunk) > room:
            break
        parts.append(chunk)
        room -= len(chunk)
    del chunks[: len(parts)]
    if chunks and room:
        large = memoryview(chunks[0])
        parts.append(large[:room])
        chunks[0] = large[room:]
    return parts[0] if len(parts) == 1 else b"".join(parts)
