"""What waits to be written to a connection."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from staplesrv.tls.output import PIECE, Data, next_piece

sizes = st.integers(1, 200) | st.sampled_from([PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 5])


def drain(chunks: list[Data]) -> list[bytes]:
    """Take all pieces."""
    pieces = []
    while chunks:
        pieces.append(bytes(next_piece(chunks)))
    return pieces


def stream(start: int, size: int) -> bytes:
    """Bytes that tell where in the stream they are."""
    pattern = bytes(range(251))
    start %= len(pattern)
    return (pattern * (size // len(pattern) + 2))[start : start + size]


@given(st.lists(sizes | st.none(), max_size=30))
def test_the_same_bytes_come_out_in_the_same_order(script: list[int | None]) -> None:
    """Whatever is appended between pieces, each of which is as large as it can be."""
    chunks: list[Data] = []
    appended = taken = 0
    for size in [*script, *[None] * 100]:
        if size is not None:
            chunks.append(stream(appended, size))
            appended += size
        elif chunks:
            piece = next_piece(chunks)
            assert len(piece) == min(PIECE, appended - taken)
            assert bytes(piece) == stream(taken, len(piece))
            taken += len(piece)
    assert taken == appended


def test_small_chunks_are_joined() -> None:
    """One SSL_write for what a protocol wrote in twenty calls."""
    chunks: list[Data] = [bytes([number]) * 100 for number in range(20)]
    joined = b"".join(chunks)
    assert drain(chunks) == [joined]


def test_a_chunk_is_handed_on_as_it_is() -> None:
    """No copy of what a protocol wrote in one call."""
    chunk = bytes(PIECE)
    chunks: list[Data] = [chunk]
    assert next_piece(chunks) is chunk
    assert not chunks


def test_a_large_chunk_is_not_copied() -> None:
    """Its pieces are views of it."""
    chunk = bytes(3 * PIECE + 1)
    chunks: list[Data] = [chunk, b"more"]
    pieces = [next_piece(chunks) for _ in range(3)]
    assert all(isinstance(piece, memoryview) and piece.obj is chunk for piece in pieces)
    assert drain(chunks) == [chunk[-1:] + b"more"]
