"""Whatever a client and a backend send each other, the proxy between them keeps its head."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st
from passage import Passage
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from wire import Wire

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
REQUESTS = (
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + HIDDEN,
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n" + HIDDEN,
    b"GET http://x.y:80/a?b HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN,
    b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc" + HIDDEN,
    b"HEAD /a HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
)
ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: v\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\nuntil the end",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\nConnection: close, X\r\nX: y\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nbytes",
)
PIECES = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b";",
        b",",
        b"\x0b",
        b"\x7f",
        b"\x85",
        b"\xff",
        b"0",
        b"1",
        b"-1",
    ),
    *(b"Content-Length: 3\r\n", b"Content_Length: 9\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"),
    *(
        b"Connection: Content-Length, Host\r\n",
        b"X:\r\n y\r\n",
        b"Host: b\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff",
        HIDDEN,
    ),
)


@st.composite
def mutated(draw: st.DrawFn, of: tuple[bytes, ...]) -> bytes:
    """Bytes that were good once."""
    data = draw(st.sampled_from(of))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.sampled_from((0, 0, 0, 1, 5, 1000)))
        data = data[:at] + draw(st.sampled_from((b"", *PIECES))) + data[at + gone :]
    return data


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Nothing of it is an error of ours."""
    errors: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if event["log_level"] in {LogLevel.error, LogLevel.critical}:
            errors.append(event)

    globalLogPublisher.addObserver(observe)
    yield
    globalLogPublisher.removeObserver(observe)
    assert errors == []


def wait(passage: Passage, wire: Wire) -> None:
    """Have every patience end."""
    for _ in range(4):
        passage.clock.advance(31)
    wire.clock.pump([2.5] * 60)


@given(mutated(REQUESTS), mutated(ANSWERS), st.lists(st.integers(0, 200), max_size=3), st.booleans())
def test_a_backend_that_sends_anything(request: bytes, answer: bytes, cuts: list[int], closes: bool) -> None:  # noqa: FBT001
    """What the client gets has one reading; and in the end nothing is under way."""
    passage = Passage()
    wire = Wire(passage.proxy)
    wire.send(request)
    for line in passage.backend.lines:
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(answer)], strict=True):
            if start < end:
                line.say(answer[start:end])
        if closes and not line.ended:
            line.close()
    wait(passage, wire)
    assert all(line.ended for line in passage.backend.lines)
    if not request.startswith(b"HEAD"):
        httptools.HttpResponseParser(object()).feed_data(wire.transport.written)


@given(mutated(REQUESTS), st.lists(st.integers(0, 200), max_size=3))
def test_a_client_that_sends_anything(request: bytes, cuts: list[int]) -> None:
    """What a backend gets is as many requests to a reader that knows the rules as to one that knows none."""
    passage = Passage()
    wire = Wire(passage.proxy)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(request)], strict=True):
        if wire.transport.reading:
            wire.send(request[start:end])
        for line in list(passage.backend.lines):
            line.say(ANSWERS[0])
    wait(passage, wire)
    for line in passage.backend.lines:
        assert count(line.written) == count_loosely(line.written)


def count(data: bytes) -> int:
    """Count requests as llhttp does."""
    heads: list[None] = []

    class Heads:
        def on_headers_complete(self) -> None:
            heads.append(None)

    httptools.HttpRequestParser(Heads()).feed_data(data)
    return len(heads)


def count_loosely(data: bytes) -> int:
    """Count requests as the most careless reader would: lines end anywhere, underscores are hyphens, chunks win."""
    found = 0
    while data.strip(b"\r\n"):
        head, _, data = _halves(rb"\r?\n\r?\n", data.lstrip(b"\r\n"))
        found += 1
        fields = re.sub(rb"[^a-z0-9:\n-]", b"", head.lower().replace(b"_", b"-"))
        if re.search(rb"^transfer-encoding:.*chunked", fields, re.MULTILINE):
            _, _, data = _halves(rb"(?:^|\n)0[^\n]*\n(?:[^\r\n][^\n]*\n)*\r?\n", data)
        elif length := re.findall(rb"^content-length:(\d+)", fields, re.MULTILINE):
            data = data[int(length[-1]) :]
    return found


def _halves(end: bytes, data: bytes) -> tuple[bytes, bytes, bytes]:
    match = re.search(end, data)
    return (data, b"", b"") if match is None else (data[: match.start()], match[0], data[match.end() :])
