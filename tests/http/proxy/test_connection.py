"""One connection to a backend."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from passage import Line, Passage

from staplesrv.http.proxy.connection import BackendConnection


class Nobody:
    """Whose connections are nobody's."""

    def free(self, connection: BackendConnection) -> None:
        """Nothing."""

    def gone(self, connection: BackendConnection) -> None:
        """Nothing."""


class Ignoring:
    """Takes no notice of an answer."""


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more",
    b"HTTP/1.1 204 None\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhex\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
]


def told(pieces: list[bytes]) -> tuple[object, ...]:
    """What a client is told of an answer that comes in pieces, and then ends with the connection."""
    passage = Passage()
    exchange = passage.get()
    line = passage.line
    line.say(*pieces)
    if not line.ended:
        line.close()
    said = exchange.told
    # Content that is cut off anyway need not be cut off at the same byte.
    body = b"" if said.aborted else said.body
    fields = {(name.lower(), value) for name, value in said.fields}
    return said.status, fields, body, said.trailers, said.finished, said.aborted, said.informed


@given(st.sampled_from(ANSWERS) | st.binary(max_size=40), st.data())
def test_any_split_into_reads_is_told_the_same(answer: bytes, data: st.DataObject) -> None:
    """Where one read ends and the next one begins says nothing."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(answer)), max_size=8)))
    pieces = [answer[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    assert told([piece for piece in pieces if piece]) == told([answer])


def test_byte_by_byte_is_told_the_same() -> None:
    """The smallest pieces that there are."""
    for answer in ANSWERS:
        assert told([answer[at : at + 1] for at in range(len(answer))]) == told([answer])


def test_a_connection_over_tls_waits_for_its_handshake() -> None:
    """Nothing is sent before it is known whom it is sent to."""
    passage = Passage(scheme="https")
    exchange = passage.get()
    assert passage.line.written == b""
    passage.line.protocol.handshakeCompleted()
    assert passage.line.written.startswith(b"GET / HTTP/1.1\r\n")
    passage.line.say(b"HTTP/1.1 204 None\r\n\r\n")
    assert exchange.told.finished


class TLSOver(Line):
    """As Twisted's TLS over another transport: what it does not have itself is that of the one below."""

    def __init__(self, below: Line) -> None:
        super().__init__(None)
        self._below = below

    def __getattribute__(self, name: str) -> Any:
        if name == "write_now":
            return self._below.write
        return super().__getattribute__(name)


def test_nothing_goes_around_the_tls() -> None:
    """What the transport below could do at once would be in the clear."""
    below, connection = Line(None), BackendConnection(Nobody(), secure=True)
    tls = TLSOver(below)
    connection.makeConnection(tls)  # type: ignore[arg-type]
    connection.begin(Ignoring(), b"GET / HTTP/1.1\r\n\r\n", method=b"GET", complete=True)  # type: ignore[arg-type]
    assert tls.written
    assert not below.written


def test_a_backend_whose_certificate_is_not_good_can_not_be_reached() -> None:
    """A handshake that fails is a 502, one that takes too long a 504."""
    passage = Passage(scheme="https")
    exchange = passage.get()
    passage.line.reset()
    assert exchange.told.status == 502
    passage.clock.advance(20)
    late = passage.get()
    passage.clock.advance(5)
    assert late.told.status == 504
    assert passage.line.ended
