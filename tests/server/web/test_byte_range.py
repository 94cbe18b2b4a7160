"""Range headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.server.web.byte_range import usable_range


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        (b"bytes=0-3", b"bytes=0-3"),
        (b"bytes=3-", b"bytes=3-"),
        (b"bytes=-3", b"bytes=-3"),
        (b" bytes=0-0 ", b"bytes=0-0"),
        (b"bytes=90-200", b"bytes=90-200"),
        (b"bytes=500-", b"bytes=500-"),
        (b"bytes=-0", b"bytes=-0"),
    ],
)
def test_one_range_is_passed_on(header: bytes, shown: bytes) -> None:
    """Also one that nothing can be sent for: that has an answer of its own."""
    assert usable_range(header, 100) == shown


@pytest.mark.parametrize("header", [b"bytes=-100", b"bytes=-101", b"bytes=-999999999999"])
def test_a_suffix_as_long_as_the_file_is_the_whole_file(header: bytes) -> None:
    """Twisted would seek to before its start."""
    assert usable_range(header, 100) == b"bytes=0-"


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"bytes",
        b"bytes=",
        b"bytes=-",
        b"bytes=5-3",
        b"bytes=0-1,5-6",
        b"bytes=0-,0-,0-,0-",
        b"lines=0-3",
        b"bytes=a-b",
        b"bytes=\xff-",
        b"bytes=1-2x",
        b"bytes=--1",
        b"bytes=0-" + b"9" * 5000,
        "bytes=٣-".encode(),
    ],
)
def test_anything_else_is_ignored(header: bytes) -> None:
    """The whole file is always a right answer."""
    assert usable_range(header, 100) is None


def test_no_part_of_an_empty_file_can_be_had() -> None:
    """Not even a suffix."""
    assert usable_range(b"bytes=-5", 0) is None


@given(st.binary() | st.from_regex(rb"bytes=\d{0,20}-\d{0,20}", fullmatch=True), st.integers(0, 1 << 40))
def test_what_is_passed_on_is_one_range_that_twisted_can_read(header: bytes, size: int) -> None:
    """Plain ASCII, in order, and no suffix longer than the file."""
    shown = usable_range(header, size)
    if shown is not None:
        first, last = shown.removeprefix(b"bytes=").split(b"-")
        assert first or int(last) < size or int(last) == 0
        assert not (first and last) or int(first) <= int(last)
