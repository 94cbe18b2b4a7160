"""Whatever a client sends, in whatever pieces: the same answers, no failure, and nothing left behind."""

from __future__ import annotations

from h2spec import WHOLE, raw
from http2_client import GET, POST, PREFACE, Client
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from wire import Echo

from staplesrv.http.http2.blocks import encoded

_BLOCKS = st.sampled_from(
    [
        encoded(GET),
        encoded(POST),
        encoded((*GET, (b"x", b"y"))),
        encoded((*POST, (b"content-length", b"4"))),
        encoded((*POST, (b"expect", b"100-continue"))),
        encoded(((b"x-trailer", b"1"),)),
        encoded((*GET, (b"BAD", b"y"))),
        b"\x82\x84\x87\x41\x01a",
        b"\x82\x84\x87\xbe",
        b"",
        b"\xff",
    ]
)
_NUMBERS = st.sampled_from([0, 1, 1, 1, 3, 3, 5, 2])
_WORDS = st.sampled_from([0, 1, 4, 65_535, 2**31 - 1, 2**32 - 1]).map(lambda number: number.to_bytes(4, "big"))
_FRAMES = st.one_of(
    st.builds(raw, st.just(1), st.sampled_from([WHOLE, WHOLE, 4, 4, 1, 0, 0x2C, 0x0D]), _NUMBERS, _BLOCKS),
    st.builds(raw, st.just(9), st.sampled_from([4, 0]), _NUMBERS, _BLOCKS),
    st.builds(raw, st.just(0), st.sampled_from([0, 1, 8]), _NUMBERS, st.sampled_from([b"", b"\x02test", b"x" * 300])),
    st.builds(raw, st.sampled_from([2, 3, 6, 7, 8]), st.sampled_from([0, 1]), _NUMBERS, _WORDS),
    st.builds(
        raw,
        st.just(4),
        st.sampled_from([0, 0, 1]),
        st.just(0),
        st.tuples(st.binary(min_size=2, max_size=2), _WORDS).map(b"".join),
    ),
    st.builds(raw, st.sampled_from([6]), st.sampled_from([0, 1]), st.just(0), st.just(b"12345678")),
    st.builds(raw, st.integers(0, 255), st.integers(0, 255), _NUMBERS, st.binary(max_size=12)),
)
_SENT = st.lists(_FRAMES, max_size=12).map(b"".join)


def _said(client: Client) -> object:
    """What a client knows in the end, whatever the order in which streams had their turns."""
    return (
        client.goaway_code,
        client.ended,
        {number: [frame.fields for frame in client.of(number) if frame.type == 1] for number in range(6)},
        {number: (client.body(number), client.reset_code(number), client.ended_stream(number)) for number in range(6)},
    )


@given(_SENT, st.data())
def test_pieces_make_no_difference(sent: bytes, data: st.DataObject) -> None:
    """What the server answers depends on the bytes, and not on how they were read."""
    start = raw(4, 0, 0)
    whole = Client(Echo(), greet=False)
    whole.send_bytes(PREFACE + start + sent)
    pieces = Client(Echo(), greet=False)
    rest = PREFACE + start + sent
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rest)), max_size=8)))
    pieces.send_bytes(*[rest[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(rest)], strict=True)])
    assert _said(pieces) == _said(whole)


@given(_SENT | st.binary(max_size=60))
def test_nothing_is_logged_and_nothing_is_left(sent: bytes) -> None:
    """No client's bytes bring a line into the log, and a connection that is gone leaves no exchange and no timer."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        client = Client(Echo())
        client.send_bytes(sent)
        client.wire.clock.advance(1)
        client.wire.vanish()
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert not [event for event in events if event.get("log_level") in {LogLevel.error, LogLevel.critical}]
    assert len(client.wire.done) == client.wire.factory.requests
    assert client.wire.factory.connections == 0
    client.wire.factory.stop()
    client.wire.clock.advance(1)
    assert not client.wire.clock.getDelayedCalls()
