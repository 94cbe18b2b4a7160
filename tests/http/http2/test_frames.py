"""Frames, settings and header blocks, without a connection."""

from __future__ import annotations

import pytest
from hpack import Decoder as PeerDecoder
from hpack import Encoder, HPACKError, OversizedHeaderListError
from hyperframe.frame import Frame
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.http.fields import Fields
from staplesrv.http.http2 import frames, settings
from staplesrv.http.http2.blocks import encoded, status_block
from staplesrv.http.http2.decoder import Decoder
from staplesrv.http.http2.frames import Code, ConnectionFault, FrameReader

some_frames = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**31 - 1), st.binary(max_size=40)), max_size=8
)
names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20).map(str.encode)
some_fields = st.lists(
    st.tuples(names | st.sampled_from([b"content-type", b"etag", b"date", b"set-cookie"]), st.binary(max_size=300)),
    max_size=10,
).map(tuple)


@given(some_frames, st.data())
def test_frames_come_in_pieces_of_any_length(sent: list[frames.Frame], data: st.DataObject) -> None:
    """However a client's bytes are split, the same frames come out of them."""
    wire = frames.PREFACE + b"".join(frames.frame(*one) for one in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    reader = FrameReader()
    got = [
        one for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True) for one in reader.feed(wire[start:end])
    ]
    assert got == sent


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", b"\0"])
def test_what_is_no_preface_is_refused_at_once(sent: bytes) -> None:
    """A client of another protocol is not waited for."""
    with pytest.raises(ConnectionFault) as raised:
        list(FrameReader().feed(sent))
    assert raised.value.code is Code.PROTOCOL_ERROR


def test_a_long_frame_is_refused_by_its_head() -> None:
    """Nobody waits for sixteen megabytes to say that they are too many."""
    reader = FrameReader()
    list(reader.feed(frames.PREFACE))
    with pytest.raises(ConnectionFault) as raised:
        list(reader.feed(b"\xff\xff\xff\0\0\0\0\0\x01"))
    assert raised.value.code is Code.FRAME_SIZE_ERROR


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 40_000])
def test_long_blocks_are_continued(size: int) -> None:
    """A header block of any length goes out in frames that a client takes."""
    wire = memoryview(frames.headers(5, b"x" * size, ended=True))
    parts: list[Frame] = []
    while wire:
        frame, length = Frame.parse_frame_header(wire[:9])
        frame.parse_body(wire[9 : 9 + length])
        wire = wire[9 + length :]
        parts.append(frame)
        assert length <= 16_384
    assert b"".join(part.data for part in parts) == b"x" * size
    assert ["END_HEADERS" in part.flags for part in parts] == [False] * (len(parts) - 1) + [True]
    assert ["END_STREAM" in part.flags for part in parts] == [True] + [False] * (len(parts) - 1)


@given(st.integers(200, 599), some_fields)
def test_blocks_are_what_another_library_reads(status: int, fields: Fields) -> None:
    """What is written without a table is read as it was meant."""
    block = status_block(status) + encoded(fields)
    assert tuple(PeerDecoder().decode(block, raw=True)) == ((b":status", b"%d" % status), *fields)


@given(blocks=st.lists(some_fields, min_size=1, max_size=5), huffman=st.booleans())
def test_blocks_of_another_library_are_read(blocks: list[Fields], *, huffman: bool) -> None:
    """A connection's blocks are read in order, with their table."""
    encoder, reader = Encoder(), Decoder(65_536)
    for fields in blocks:
        assert reader.read(encoder.encode(list(fields), huffman=huffman)) == fields


_representations = st.one_of(
    st.sampled_from([b"\x82", b"\x84", b"\xbe", b"\xbf", b"\xff\x00", b"\xff\x80\x00", b"\x20", b"\x3f\xe1\x1f"]),
    st.builds(
        lambda first, name, value: first + name + value,
        st.sampled_from([b"\x00", b"\x10", b"\x40"]),
        st.sampled_from([b"\x01a", b"\x7f\x00" + b"a" * 127, b"\x7f\x80\x00" + b"a" * 127]),
        st.sampled_from([b"\x00", b"\x01b", b"\x81\x1f", b"\x7f\x01" + b"b" * 128]),
    ),
    st.builds(
        lambda first, value: first + value,
        st.sampled_from(
            [b"\x04", b"\x14", b"\x44", b"\x0f\x00", b"\x0f\x80\x00", b"\x1f\x2b", b"\x7f\x00", b"\x0f\x2f"]
        ),
        st.sampled_from([b"\x00", b"\x01b", b"\x81\x1f", b"\x7f\x01" + b"b" * 128]),
    ),
    st.binary(max_size=6),
)


@given(st.lists(st.lists(_representations, max_size=6).map(b"".join), max_size=4))
def test_blocks_mean_what_they_mean_to_another_library(blocks: list[bytes]) -> None:
    """Block by block the fields are the same, or both refuse it; a block that changes the table is known as one."""
    ours, theirs = Decoder(1000), PeerDecoder(1000)
    first = Encoder().encode([(b"one", b"1"), (b"two", b"2")])
    for block in [first, *blocks]:
        before = list(theirs.header_table.dynamic_entries), theirs.header_table.maxsize
        try:
            fields = tuple(theirs.decode(block, raw=True))
        except HPACKError as error:
            code = Code.ENHANCE_YOUR_CALM if isinstance(error, OversizedHeaderListError) else Code.COMPRESSION_ERROR
            with pytest.raises(ConnectionFault) as raised:
                ours.read(block)
            assert raised.value.code is code
            return
        assert ours.read(block) == fields
        after = list(theirs.header_table.dynamic_entries), theirs.header_table.maxsize
        assert ours.changed or before == after


def test_a_warm_clients_requests_leave_the_table_alone() -> None:
    """The second time a request's fields are all indexed."""
    encoder, decoder = Encoder(), Decoder(1000)
    fields = ((b":method", b"GET"), (b":path", b"/a"), (b"user-agent", b"x"), (b"x-new", b"y"))
    assert decoder.read(encoder.encode(list(fields))) == fields
    assert decoder.changed
    assert decoder.read(encoder.encode(list(fields))) == fields
    assert not decoder.changed


@given(st.dictionaries(st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), max_size=8))
def test_settings_are_read_or_refused(said: dict[int, int]) -> None:
    """Settings in their ranges are taken, unknown ones among them, and the others end the connection."""
    bad = (
        said.get(settings.ENABLE_PUSH, 0) > 1
        or said.get(settings.ENABLE_CONNECT_PROTOCOL, 0) > 1
        or said.get(settings.INITIAL_WINDOW_SIZE, 0) > 2**31 - 1
        or not 2**14 <= said.get(settings.MAX_FRAME_SIZE, 2**14) <= 2**24 - 1
    )
    try:
        wishes = settings.read(settings.encoded(said))
    except ConnectionFault:
        assert bad
    else:
        assert not bad
        assert wishes.window == said.get(settings.INITIAL_WINDOW_SIZE)
        assert wishes.small_table == (said.get(settings.HEADER_TABLE_SIZE, 4096) < 4096)
