"""However the bytes of a client are split into reads, it gets the same answers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from wire import Echo, Wire

from staplesrv.http.limits import Limits

LIMITS = Limits(request_line=256, headers=1024, fields=10)
PARTS = [
    b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
    b"GET /2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n",
    b"A: " + b"a" * 600 + b"\r\n",
    b"Host: a\r\n",
    b"3\r\nabc\r\n",
    b"0\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b"\x00",
    b"Transfer-Encoding: chunked\r\n",
]
SHAPES = st.lists(st.one_of(st.sampled_from(PARTS), st.binary(max_size=4)), max_size=8).map(b"".join)


def answers(pieces: list[bytes]) -> tuple[bytes, str, int]:
    """Return what a server says to reads, how the connection ended, and how many requests it had."""
    wire = Wire(Echo(), limits=LIMITS)
    for piece in pieces:
        wire.send(piece)
    before = wire.ended
    if not wire.ended:
        wire.half_close()
    return wire.answer, before, wire.factory.requests


@given(SHAPES, st.lists(st.integers(0, 2000), max_size=6))
@example(PARTS[0] * 3, [3, 40, 41])
@example(PARTS[3] + PARTS[5], [50, 60, 70])
def test_any_split(data: bytes, cuts: list[int]) -> None:
    """Reads of any sizes get the same answers as one read."""
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert answers(pieces) == answers([data])


@given(SHAPES)
def test_byte_by_byte(data: bytes) -> None:
    """So do single bytes."""
    assert answers([data[at : at + 1] for at in range(len(data))]) == answers([data])


@given(st.lists(st.sampled_from(PARTS[:2] + PARTS[3:4] + PARTS[5:6]), min_size=1, max_size=8), st.data())
def test_each_request_is_answered(requests: list[bytes], draw: st.DataObject) -> None:
    """Requests that are none of them wrong are answered one by one, in whatever pieces they come."""
    data = b"".join(requests)
    at = draw.draw(st.integers(0, len(data)))
    answer, ended, count = answers([data[:at], data[at:]])
    assert count == len(requests)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == count
    assert not ended
