"""Which bytes a Range field asks for, and what is sent."""

from __future__ import annotations

import re
from email import message_from_bytes
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from site_folder import SiteFolder

from staplesrv.http.static.multipart import length_of, multipart
from staplesrv.http.static.ranges import MOST, Span, parse_ranges
from staplesrv.http.static.settings import StaticSettings

HUGE = b"9" * 5000
DATE = b"Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.mark.parametrize(
    ("header", "spans"),
    [
        (b"bytes=0-0", [(0, 0)]),
        (b"bytes=0-", [(0, 99)]),
        (b"bytes=10-19", [(10, 19)]),
        (b"bytes=90-1000", [(90, 99)]),
        (b"bytes=99-" + HUGE, [(99, 99)]),
        (b"bytes=-1", [(99, 99)]),
        (b"bytes=-100", [(0, 99)]),
        (b"bytes=-" + HUGE, [(0, 99)]),
        (b"Bytes=000-0000000000000000000000009", [(0, 9)]),
        (b"bytes= 0-1 ,, 3-4,\t", [(0, 1), (3, 4)]),
        (b"bytes=50-59,0-9", [(50, 59), (0, 9)]),
        (b"bytes=0-9,500-", [(0, 9)]),
        # RFC 9110 §14.1.2: nothing of it can be had.
        (b"bytes=100-", []),
        (b"bytes=-0", []),
        (b"bytes=" + HUGE + b"-", []),
        (b"bytes=100-,-0,200-300", []),
    ],
)
def test_ranges_are_read(header: bytes, spans: list[tuple[int, int]]) -> None:
    """RFC 9110 §14.1.2, of 100 bytes; numbers may be as long as they like."""
    assert parse_ranges(header, 100) == tuple(Span(*span) for span in spans)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"bytes",
        b"bytes=",
        b"bytes=,",
        b"bytes=-",
        b"bytes=5",
        b"bytes=9-5",
        b"bytes=0-1;2-3",
        b"bytes=0 - 1",
        b"bytes =0-1",
        b" bytes=0-1",
        b"bytes=0x0-0x1",
        b"bytes=+0-1",
        b"bytes=--1",
        b"bytes=0-1-2",
        b"bytes=0-1, bytes=2-3",
        b"bytes=0-1,a",
        "bytes=\u0660-\u0661".encode(),
        b"bytes=0-1\n",
        b"seconds=0-1",
        # Asked for twice.
        b"bytes=0-9,9-19",
        b"bytes=0-,0-",
        b"bytes=0-0,-100",
        b"bytes=" + b",".join([b"0-"] * 2000),
        # Too many.
        b"bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(MOST + 1)),
    ],
)
def test_what_is_no_good_asks_for_the_whole(header: bytes) -> None:
    """RFC 9110 §14.2: a field that is invalid, or costs more than it should, is ignored."""
    assert parse_ranges(header, 100) is None


def test_nothing_has_no_parts() -> None:
    """An empty file is answered as a whole."""
    assert parse_ranges(b"bytes=0-", 0) is None
    assert parse_ranges(b"bytes=-5", 0) is None


@given(
    st.binary(max_size=30).map(b"bytes=".__add__)
    | st.text("0123456789-, ", max_size=30).map("bytes={}".format).map(str.encode),
    st.integers(0, 200),
)
def test_ranges_are_inside_and_apart(header: bytes, size: int) -> None:
    """Whatever is asked for: parts of the file, each byte at most once."""
    spans = parse_ranges(header, size)
    if spans:
        assert all(0 <= span.first <= span.last < size for span in spans)
        positions = [position for span in spans for position in range(span.first, span.last + 1)]
        assert len(positions) == len(set(positions))


@given(st.sets(st.integers(0, 30), max_size=5), st.integers(0, 10**15))
def test_the_length_of_several_ranges_is_known_before(starts: set[int], more: int) -> None:
    """Content-Length is what the parts add up to."""
    spans = [Span(start * 10, start * 10 + 5) for start in starts]
    parts = list(multipart(spans, 400 + more, b"text/plain", b"BOUNDARY"))
    sent = b"".join(bytes(part.length) if isinstance(part, Span) else part for part in parts)
    assert length_of(parts) == len(sent)


@pytest.fixture(params=[True, False], ids=["in memory", "on the disk"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> SiteFolder:
    """A folder with 1000 different bytes."""
    made = SiteFolder(tmp_path / "www", StaticSettings(file_in_memory=65536 if request.param else 0))
    made.write("a.txt", CONTENT)
    return made


CONTENT = b"".join(b"%04d" % number for number in range(250))


def test_one_range(folder: SiteFolder) -> None:
    """RFC 9110 §15.3.7.1: 206, with the fields of a 200 and Content-Range."""
    told = folder.get(b"/a.txt", (b"range", b"bytes=8-15"))
    assert (told.status, told.body) == (206, b"00020003")
    assert told.field(b"content-range") == b"bytes 8-15/1000"
    assert told.field(b"content-length") == b"8"
    assert told.field(b"content-type") == b"text/plain; charset=utf-8"
    assert told.field(b"last-modified") == DATE
    assert told.field(b"etag") == folder.get(b"/a.txt").field(b"etag")


def test_several_ranges(folder: SiteFolder) -> None:
    """RFC 9110 §15.3.7.2: one part for each, in the order asked for, as a mail program reads it."""
    told = folder.get(b"/a.txt", (b"range", b"bytes=996-,0-3,500-507"))
    assert told.status == 206
    assert told.field(b"content-range") is None
    assert told.field(b"content-length") == b"%d" % len(told.body)
    kind = told.field(b"content-type") or b""
    message = message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + told.body)
    assert message.get_content_type() == "multipart/byteranges"
    parts = message.get_payload()
    assert isinstance(parts, list)
    assert [(str(part["content-range"]), part.get_payload()) for part in parts] == [  # type: ignore[index, union-attr]
        ("bytes 996-999/1000", "0249"),
        ("bytes 0-3/1000", "0000"),
        ("bytes 500-507/1000", "01250126"),
    ]


def test_each_multipart_body_has_its_own_boundary(tmp_path: Path) -> None:
    """It comes from chance, so that no content can have it in it."""
    numbers = iter(range(10))
    folder = SiteFolder(tmp_path / "www", random_bytes=lambda count: bytes([next(numbers)]) * count)
    folder.write("a.txt", CONTENT)
    kinds = {folder.get(b"/a.txt", (b"range", b"bytes=0-1,3-4")).field(b"content-type") for _ in range(3)}
    assert len(kinds) == 3


def test_a_range_that_can_not_be_had(folder: SiteFolder) -> None:
    """RFC 9110 §15.5.17: 416 says how long the file is."""
    told = folder.get(b"/a.txt", (b"range", b"bytes=1000-"))
    assert (told.status, told.field(b"content-range")) == (416, b"bytes */1000")


@pytest.mark.parametrize("range_", [b"bytes=0-1,1-2", b"bytes=9-5", b"lines=1-2"])
def test_ranges_that_do_not_count(folder: SiteFolder, range_: bytes) -> None:
    """The whole file."""
    told = folder.get(b"/a.txt", (b"range", range_))
    assert (told.status, told.body) == (200, CONTENT)


def test_head_has_no_ranges(folder: SiteFolder) -> None:
    """RFC 9110 §14.2: Range is for GET alone."""
    told = folder.get(b"/a.txt", (b"range", b"bytes=0-1"), method=b"HEAD")
    assert (told.status, told.field(b"content-length"), told.field(b"content-range")) == (200, b"1000", None)


def test_a_range_of_another_state_is_the_whole(folder: SiteFolder) -> None:
    """RFC 9110 §13.1.5: If-Range that fits gets the range, one that doesn't gets everything."""
    tag = folder.get(b"/a.txt").field(b"etag") or b""
    range_ = (b"range", b"bytes=0-3")
    assert folder.get(b"/a.txt", range_, (b"if-range", tag)).status == 206
    assert folder.get(b"/a.txt", range_, (b"if-range", DATE)).status == 206
    assert folder.get(b"/a.txt", range_, (b"if-range", b'"old"')).body == CONTENT
    assert folder.get(b"/a.txt", range_, (b"if-range", b"W/" + tag)).body == CONTENT
    assert folder.get(b"/a.txt", (b"range", b"bytes=5000-"), (b"if-range", b'"old"')).status == 200


def test_conditions_come_before_ranges(folder: SiteFolder) -> None:
    """RFC 9110 §13.2.2: a 304 and a 412 have no parts."""
    tag = folder.get(b"/a.txt").field(b"etag") or b""
    range_ = (b"range", b"bytes=0-3")
    assert folder.get(b"/a.txt", range_, (b"if-none-match", tag)).status == 304
    assert folder.get(b"/a.txt", range_, (b"if-match", b'"old"')).status == 412
    assert folder.get(b"/a.txt", range_, (b"if-none-match", b'"old"')).status == 206


def test_a_304_has_what_caches_need(tmp_path: Path) -> None:
    """RFC 9110 §15.4.5: ETag, Cache-Control and Vary; no word of content that does not come."""
    folder = SiteFolder(tmp_path / "www", StaticSettings(cache_control={"*": "max-age=60"}))
    folder.write("a.txt", CONTENT)
    folder.write("a.txt.gz", "packed")
    told = folder.get(b"/a.txt", (b"if-none-match", b"*"), (b"accept-encoding", b"gzip"))
    assert (told.status, told.body) == (304, b"")
    assert [name for name, _ in told.fields] == [b"ETag", b"Cache-Control", b"Vary"]
    assert re.fullmatch(rb'"[0-9a-f]+-6-gzip"', told.field(b"etag") or b"")
