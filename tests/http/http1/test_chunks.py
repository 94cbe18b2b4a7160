"""The chunked coding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.http.fields import Fields
from staplesrv.http.http1.chunks import Chunks
from staplesrv.http.limits import Limits

LIMITS = Limits(headers=1024, fields=10)
END = b"0\r\n\r\n"


def read(*pieces: bytes) -> tuple[bytes, Chunks]:
    """Read pieces of a body; return the content."""
    chunks = Chunks(LIMITS)
    return b"".join([chunks.feed(piece) for piece in pieces]), chunks


def outcome(*pieces: bytes) -> tuple[bytes, bool, Fields, bytes] | tuple[bytes, int]:
    """Return what came of pieces, or what they were refused with."""
    chunks = Chunks(LIMITS)
    content = rest = b""
    for piece in pieces:
        if chunks.over:
            rest += piece
        elif piece and chunks.refusal is None:
            content += chunks.feed(piece)
            rest = chunks.rest
    if chunks.refusal is not None:
        return content, chunks.refusal.status
    return content, chunks.over, chunks.trailers, rest


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (END, b""),
        (b"00000\r\n\r\n", b""),
        (b"3\r\nabc\r\n" + END, b"abc"),
        (b"3\r\nabc\r\n2\r\nde\r\n" + END, b"abcde"),
        (b"A\r\n0123456789\r\n" + END, b"0123456789"),
        (b"a\r\n0123456789\r\n" + END, b"0123456789"),
        (b"000000000000003\r\nabc\r\n" + END, b"abc"),
        (b'3;a;b=c;d="e f"\r\nabc\r\n0;x\r\n\r\n', b"abc"),
        (b"2\r\n\r\n\r\n" + END, b"\r\n"),
    ],
)
def test_content(data: bytes, content: bytes) -> None:
    """The content is that of the chunks, however they come; what follows is kept apart."""
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        assert outcome(*pieces, b"rest") == (content, True, (), b"rest")
    assert outcome(data + b"rest") == (content, True, (), b"rest")


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"x\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b" 1\r\n",
        b"1 \r\n",
        b"1 ;a\r\n",
        b"1_0\r\n",
        b"1\n",
        b"1\r\r\n",
        b"1;a\nb\r\n",
        b"1;a\rb\r\n",
        b"1;\x00\r\n",
        b"1;\x7f\r\n",
        b"1;" + b"a" * 300,
        b"1;" + b"a" * 300 + b"\r\n",
        b"1000000000000000\r\n",
        b"\xd9\xa1\r\n",
        b"1\r\nabc",
        b"1\r\na\nb",
        b"1\r\na\rb",
        b"1\r\na0\r\n",
        b"1\r\na\n0\r\n",
        b"0\r\nA b\r\n\r\n",
        b"0\r\nA : b\r\n\r\n",
        b"0\r\nA: b\n\r\n\r\n",
        b"0\r\nA: b\r\n c\r\n\r\n",
        b"0\r\n A: b\r\n\r\n",
        b"0\r\nA: \x00\r\n\r\n",
    ],
)
def test_bad_chunks(data: bytes) -> None:
    """Whatever else a recipient might make of chunks is refused: RFC 9112 §7.1."""
    content = b"a" if data.startswith((b"1\r\na",)) else b""
    assert outcome(data) == (content, 400)
    assert outcome(*[data[at : at + 1] for at in range(len(data))]) == (content, 400)


def test_trailers() -> None:
    """Trailers come in lower case; those that frame or route a message are left out: RFC 9110 §6.5.1."""
    lines = b"X-Sum: 1 \r\nHost: a\r\nContent-Length: 5\r\nTrailer: b\r\nx-sum: 2\r\n"
    content, chunks = read(b"1\r\na\r\n0\r\n", lines, b"\r\n")
    assert content == b"a"
    assert chunks.trailers == ((b"x-sum", b"1"), (b"x-sum", b"2"))


def test_too_many_trailers() -> None:
    """Trailers have the limits of a head's fields."""
    assert outcome(b"0\r\n" + b"A: b\r\n" * 11 + b"\r\n") == (b"", 431)
    long = b"0\r\nA: " + b"a" * 1030
    assert outcome(long) == (b"", 431)
    assert outcome(long + b"\r\n\r\n") == (b"", 431)
    assert outcome(*[long[at : at + 1] for at in range(len(long))]) == (b"", 431)


def test_a_line_of_the_longest_kind() -> None:
    """A chunk's line of 254 bytes and its end are read in any split, one more are not."""
    line = b"1;" + b"a" * 252 + b"\r\n"
    assert outcome(line + b"x\r\n" + END) == (b"x", True, (), b"")
    assert outcome(*[line[at : at + 1] for at in range(len(line))], b"x\r\n" + END) == (b"x", True, (), b"")
    assert outcome(b"1;a" + line[2:]) == (b"", 400)


@given(st.lists(st.binary(min_size=1, max_size=50)), st.data())
def test_round_trip(contents: list[bytes], draw: st.DataObject) -> None:
    """Chunks of any content are read in any two pieces."""
    data = b"".join([b"%x\r\n%b\r\n" % (len(content), content) for content in contents]) + END
    at = draw.draw(st.integers(0, len(data)))
    assert outcome(data[:at], data[at:]) == (b"".join(contents), True, (), b"")


SHAPES = st.lists(
    st.one_of(
        st.sampled_from([b"0", b"1", b"a", b"\r\n", b"\r", b"\n", b";a", b"1\r\na\r\n", END, b"A: b\r\n", b"a" * 250]),
        st.binary(max_size=3),
    ),
    max_size=12,
).map(b"".join)


@given(SHAPES, st.data())
def test_any_split(data: bytes, draw: st.DataObject) -> None:
    """Two reads come to the same as one, whatever comes."""
    at = draw.draw(st.integers(0, len(data)))
    assert outcome(data[:at], data[at:]) == outcome(data)
