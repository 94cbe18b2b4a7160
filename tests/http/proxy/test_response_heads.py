"""Where the heads of an answer end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.http.proxy.response_head import HEAD_BYTES, BadAnswer
from staplesrv.http.proxy.response_heads import ResponseHeads

EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
FINAL = b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"


@given(st.lists(st.integers(0, len(EARLY + FINAL) + 4), max_size=5))
def test_splits_make_no_difference(cuts: list[int]) -> None:
    """Heads are found one by one, and what follows the last one is left."""
    data = EARLY + FINAL + b"body"
    heads, rest = ResponseHeads(), b""
    found: list[int] = []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        piece = rest + data[start:end]
        rest = b""
        while piece and len(found) < 2:
            head, piece = heads.take(piece)
            if head is not None:
                found.append(head.status)
        rest = piece
    assert (found, rest) == ([103, 200], b"body")


def test_a_head_without_an_end() -> None:
    """In one piece or in many."""
    with pytest.raises(BadAnswer):
        ResponseHeads().take(b"a" * (HEAD_BYTES + 1))
    heads = ResponseHeads()
    for _ in range(HEAD_BYTES // 1024):
        heads.take(b"a" * 1024)
    with pytest.raises(BadAnswer):
        heads.take(b"a")


def test_interim_heads_are_counted_for_each_answer() -> None:
    """There may be so many before one, and as many before the next."""
    heads = ResponseHeads()
    for _ in range(2):
        heads.begin()
        for _ in range(64):
            heads.take(EARLY)
        heads.take(FINAL)
    heads.begin()
    for _ in range(64):
        heads.take(EARLY)
    with pytest.raises(BadAnswer):
        heads.take(EARLY)
