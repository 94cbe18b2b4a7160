"""What waits to be written to a connection."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from staplesrv.tls.output import PIECE, Output

sizes = st.integers(1, 200) | st.sampled_from([PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 5])


def drain(output: Output) -> bytes:
    """Write all of it."""
    written = []
    while output.size:
        piece = output.piece()
        written.append(bytes(piece))
        output.written(len(piece))
    return b"".join(written)


def stream(start: int, size: int) -> bytes:
    """Bytes that tell where in the stream they are."""
    pattern = bytes(range(251))
    start %= len(pattern)
    return (pattern * (size // len(pattern) + 2))[start : start + size]


@given(st.lists(sizes.map(lambda size: ("append", size)) | sizes.map(lambda size: ("write", size)), max_size=30))
def test_the_same_bytes_come_out_in_the_same_order(script: list[tuple[str, int]]) -> None:
    """Whatever is appended between partial writes, and `size` says how much is left."""
    output, appended, written = Output(), 0, 0
    for act, size in script:
        if act == "append":
            output.append(stream(appended, size))
            appended += size
        elif output.size:
            piece = output.piece()
            assert 0 < len(piece) <= PIECE
            count = min(size, len(piece))
            assert bytes(piece[:count]) == stream(written, count)
            output.written(count)
            written += count
        assert output.size == appended - written
    assert drain(output) == stream(written, appended - written)


@given(st.lists(sizes, min_size=1, max_size=5), st.lists(sizes, max_size=5))
def test_a_piece_that_was_not_written_stays_the_next_one(before: list[int], after: list[int]) -> None:
    """The very same bytes, whatever is appended behind it: SSL_write(3) compares."""
    output = Output()
    for size in before:
        output.append(stream(0, size))
    piece = output.piece()
    content = bytes(piece)
    for size in after:
        output.append(stream(7, size))
        assert output.piece() is piece
    assert bytes(piece) == content


def test_the_rest_of_a_piece_comes_before_what_follows() -> None:
    """Nothing is put behind it, and nothing between."""
    output = Output()
    output.append(b"abcdef")
    output.piece()
    output.append(b"ghi")
    output.written(2)
    assert bytes(output.piece()) == b"cdef"
    output.written(4)
    assert drain(output) == b"ghi"


def test_small_writes_are_joined() -> None:
    """One SSL_write for what a protocol wrote in twenty calls."""
    output = Output()
    for number in range(20):
        output.append(bytes([number]) * 100)
    assert len(output.piece()) == 2000


def test_a_small_chunk_by_itself_is_handed_on_as_it_is() -> None:
    """Neither copied nor wrapped."""
    output, chunk = Output(), bytes(range(100))
    output.append(chunk)
    assert output.piece() is chunk


def test_large_chunks_are_not_copied() -> None:
    """The pieces of a large body lie in the bytes that the protocol wrote."""
    output, body = Output(), bytes(10 * PIECE + 1)
    output.append(body)
    for _ in range(10):
        piece = output.piece()
        assert isinstance(piece, memoryview)
        assert piece.obj is body
        assert len(piece) == PIECE
        output.written(PIECE)
    assert output.size == 1


def test_a_large_chunk_behind_a_small_one_is_copied_up_to_a_piece() -> None:
    """So much, once; the rest of it is not."""
    output, body = Output(), bytes(3 * PIECE)
    output.append(b"HTTP/1.1 200 OK\r\n\r\n")
    output.append(body)
    assert len(output.piece()) == PIECE
    output.written(PIECE)
    piece = output.piece()
    assert isinstance(piece, memoryview)
    assert piece.obj is body


def test_what_is_written_is_let_go() -> None:
    """A large body is not held any longer than it waits."""
    output = Output()
    output.append(bytes(PIECE))
    output.append(b"x")
    output.piece()
    output.written(PIECE)
    output.written(len(output.piece()))
    assert (output.size, output._chunks, output._piece) == (0, [], None)
