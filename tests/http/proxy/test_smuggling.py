"""Requests with two readings, from the client's bytes to the backend's: refused, or passed on in one reading."""

from __future__ import annotations

from collections.abc import Callable

import httptools
import pytest
from fake_exchange import FakeExchange, request
from hypothesis import given
from hypothesis import strategies as st
from passage import SMALL, Passage
from wire import Wire

from staplesrv.http.proxy.request_head import BadRequest, request_head
from staplesrv.http.request import Request

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: example.org\r\n\r\n"
CRLF = b"\r\n"


class Reader:
    """An independent reader of what a backend got: llhttp, strict."""

    def __init__(self, data: bytes) -> None:
        self.requests: list[tuple[bytes, bytes, dict[bytes, list[bytes]], bytes]] = []
        self.complete = 0
        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.complete = len(self.requests)

    def on_message_begin(self) -> None:
        """Another one."""
        self._url = self._body = b""
        self._fields: dict[bytes, list[bytes]] = {}

    def on_url(self, data: bytes) -> None:
        """Its target."""
        self._url += data

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field."""
        self._fields.setdefault(name.lower(), []).append(value)

    def on_headers_complete(self) -> None:
        """Its head."""
        self.requests.append((self._parser.get_method(), self._url, self._fields, b""))

    def on_body(self, data: bytes) -> None:
        """Content."""
        method, url, fields, body = self.requests[-1]
        self.requests[-1] = (method, url, fields, body + data)

    def on_message_complete(self) -> None:
        """Its end."""
        self.complete += 1


def passed_on(data: bytes) -> tuple[bytes, bytes]:
    """Send bytes to the server; return its first status line and all that the backend got."""
    passage = Passage()
    wire = Wire(passage.proxy)
    wire.send(data)
    for line in list(passage.backend.lines):
        line.say(SMALL)
    return wire.answer.partition(CRLF)[0], b"".join(line.written for line in passage.backend.lines)


def post(*lines: bytes, content: bytes = b"") -> bytes:
    """A POST with these lines in its head."""
    return CRLF.join((b"POST /seen HTTP/1.1", b"Host: example.org", *lines)) + CRLF * 2 + content


REFUSED = {
    "length and chunks": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", content=b"0\r\n\r\n" + HIDDEN),
    "chunks and length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", content=b"0\r\n\r\n" + HIDDEN),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: 43", content=HIDDEN),
    "two equal lengths": post(b"Content-Length: 43", b"Content-Length: 43", content=HIDDEN),
    "a list of lengths": post(b"Content-Length: 0, 43", content=HIDDEN),
    "a sign": post(b"Content-Length: +43", content=HIDDEN),
    "a negative length": post(b"Content-Length: -1", content=HIDDEN),
    "a hexadecimal length": post(b"Content-Length: 0x2b", content=HIDDEN),
    "an underscore": post(b"Content-Length: 4_3", content=HIDDEN),
    "a length of nothing": post(b"Content-Length:", content=HIDDEN),
    "space before the colon": post(b"Content-Length : 43", content=HIDDEN),
    "space before the coding's colon": post(b"Transfer-Encoding : chunked", content=b"0\r\n\r\n" + HIDDEN),
    "tab before the coding's colon": post(b"Transfer-Encoding\t: chunked", content=b"0\r\n\r\n" + HIDDEN),
    "another coding": post(b"Transfer-Encoding: gzip", content=HIDDEN),
    "chunked first": post(b"Transfer-Encoding: chunked, gzip", content=b"0\r\n\r\n" + HIDDEN),
    "chunked twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", content=b"0\r\n\r\n"),
    "identity": post(b"Transfer-Encoding: identity", b"Content-Length: 43", content=HIDDEN),
    "xchunked": post(b"Transfer-Encoding: xchunked", content=b"0\r\n\r\n" + HIDDEN),
    "quoted": post(b'Transfer-Encoding: "chunked"', content=b"0\r\n\r\n" + HIDDEN),
    "vertical tab": post(b"Transfer-Encoding: \x0bchunked", content=b"0\r\n\r\n" + HIDDEN),
    "folded": post(b"Transfer-Encoding:", b" chunked", content=b"0\r\n\r\n" + HIDDEN),
    "a folded length": post(b"Content-Length: 0", b" 43", content=HIDDEN),
    "a lone line feed": post(b"X: a\nTransfer-Encoding: chunked", content=b"0\r\n\r\n"),
    "a lone carriage return": post(b"X: a\rTransfer-Encoding: chunked", content=b"0\r\n\r\n"),
    "NUL": post(b"X: a\0", content=b""),
    "NUL in the coding": post(b"Transfer-Encoding: chunked\0", content=b"0\r\n\r\n" + HIDDEN),
    "a name with a control": post(b"Transfer-\x00Encoding: chunked", content=b"0\r\n\r\n"),
    "no colon": post(b"Transfer-Encoding chunked", content=b"0\r\n\r\n"),
    "no name": post(b": chunked", content=b"0\r\n\r\n"),
    "HTTP/1.0 with chunks": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two hosts": post(b"Host: example.com"),
    "a space in the target": b"GET /a X HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a target with a line": b"GET /a\rX HTTP/1.1\r\nHost: example.org\r\n\r\n",
}


@pytest.mark.parametrize("shape", REFUSED)
def test_what_has_two_readings_is_refused(shape: str) -> None:
    """The client is told so; the backend sees no whole request, and nothing of the hidden one."""
    status, got = passed_on(REFUSED[shape])
    assert status.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
    assert got == b""


BAD_CHUNKS = {
    "a sign": b"+2b\r\n" + HIDDEN,
    "0x": b"0x2b\r\n" + HIDDEN,
    "no size": b"\r\n" + HIDDEN,
    "space before the size": b" 2b\r\n" + HIDDEN,
    "a line feed": b"0\n\n" + HIDDEN,
    "a line feed in an extension": b"0;a\nb\r\n\r\n" + HIDDEN,
    "more than the size": b"1\r\nab\r\n0\r\n\r\n" + HIDDEN,
    "a size beyond all integers": b"1" + b"0" * 16 + b"2\r\nab\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("shape", BAD_CHUNKS)
def test_bad_chunks_never_reach_the_backend(shape: str) -> None:
    """What of the request was sent by then stays without an end."""
    status, got = passed_on(post(b"Transfer-Encoding: chunked", content=BAD_CHUNKS[shape]))
    assert status.startswith(b"HTTP/1.1 400 ")
    assert b"hidden" not in got
    assert b"\r\n0\r\n" not in got


PASSED = {
    "a length": (post(b"Content-Length: 43", content=HIDDEN), HIDDEN),
    "chunks": (post(b"Transfer-Encoding: chunked", content=b"2b\r\n" + HIDDEN + b"\r\n0\r\n\r\n"), HIDDEN),
    "chunks in capitals": (post(b"TRANSFER-ENCODING: Chunked", content=b"2B\r\n" + HIDDEN + b"\r\n0\r\n\r\n"), HIDDEN),
    "extensions": (post(b"Transfer-Encoding: chunked", content=b"2b;a=b\r\n" + HIDDEN + b"\r\n0\r\n\r\n"), HIDDEN),
    "trailers": (
        post(b"Transfer-Encoding: chunked", content=b"1\r\na\r\n0\r\nContent-Length: 9\r\nHost: evil\r\n\r\n"),
        b"a",
    ),
    "Connection names the length": (post(b"Content-Length: 43", b"Connection: content-length", content=HIDDEN), HIDDEN),
    "Connection names the coding": (
        post(b"Transfer-Encoding: chunked", b"Connection: transfer-encoding", content=b"1\r\na\r\n0\r\n\r\n"),
        b"a",
    ),
    "underscores": (post(b"Content_Length: 0", b"Transfer_Encoding: x", b"Content-Length: 43", content=HIDDEN), HIDDEN),
    "an upgrade with content": (
        post(b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 43", content=HIDDEN),
        HIDDEN,
    ),
}


@pytest.mark.parametrize("shape", PASSED)
def test_what_has_one_reading_keeps_it(shape: str) -> None:
    """The backend reads one request, with the content that the proxy read, and no fields that say otherwise."""
    data, content = PASSED[shape]
    status, got = passed_on(data)
    assert status == b"HTTP/1.1 200 OK"
    reader = Reader(got)
    assert reader.complete == len(reader.requests) == 1
    method, url, fields, body = reader.requests[0]
    assert (method, url, body) == (b"POST", b"/seen", content)
    assert fields[b"host"] == [b"example.org"]
    assert len(fields.get(b"content-length", []) + fields.get(b"transfer-encoding", [])) == 1
    assert not any(b"_" in name or name in {b"upgrade", b"connection"} for name in fields)


def test_pipelined_requests_stay_two_requests() -> None:
    """Each is answered by its own."""
    passage = Passage()
    wire = Wire(passage.proxy)
    wire.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [url for _, url, _, _ in Reader(passage.line.written).requests] == [b"/1"]
    passage.line.say(SMALL)
    assert [url for _, url, _, _ in Reader(passage.line.written).requests] == [b"/1", b"/2"]
    passage.line.say(SMALL)
    assert wire.answer.count(b"HTTP/1.1 200 OK") == 2


def test_a_second_answer_is_nobodys() -> None:
    """What a backend sends beyond its answer is not the next request's, though that waits already."""
    passage = Passage()
    wire = Wire(passage.proxy)
    wire.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    passage.line.say(SMALL + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    assert passage.backend.lines[0].ended
    assert len(passage.backend.lines) == 2
    passage.line.say(SMALL)
    assert b"evil" not in wire.answer
    assert wire.answer.count(b"HTTP/1.1 200 OK") == 2


LINE = b" / HTTP/1.1\r\nX: y"

DOWNGRADED: dict[str, Callable[[], Request]] = {
    "a line in a value": lambda: request(fields=((b"a", b"b\r\nTransfer-Encoding: chunked"),)),
    "a line feed in a value": lambda: request(fields=((b"a", b"b\nTransfer-Encoding: chunked"),)),
    "a carriage return in a value": lambda: request(fields=((b"a", b"b\rc"),)),
    "NUL in a value": lambda: request(fields=((b"a", b"b\0c"),)),
    "a line in a name": lambda: request(fields=((b"a: b\r\nc", b"d"),)),
    "a request in the method": lambda: request(method=b"GET" + LINE),
    "a space in the method": lambda: request(method=b"GET /admin HTTP/1.1"),
    "a request in the path": lambda: request(b"/" + LINE),
    "a space in the path": lambda: request(b"/ HTTP/1.1"),
    "a tab in the path": lambda: request(b"/\tHTTP/1.1"),
    "no path": lambda: request(b""),
    "a line in the authority": lambda: request(fields=((b"host", b"a\r\nX: y"),)),
}


@pytest.mark.parametrize("shape", DOWNGRADED)
def test_nothing_gets_out_of_its_line(shape: str) -> None:
    """HTTP/2 can carry what HTTP/1.1 can't. Whoever lets that pass: the proxy has a 400, and the backend nothing."""
    passage = Passage()
    exchange = FakeExchange(DOWNGRADED[shape]())
    exchange.give(passage.proxy)
    assert exchange.told.status == 400
    assert not passage.backend.lines


def test_fields_of_http_2_that_frame_in_http_1_are_not_passed_on() -> None:
    """What the version has found out about the content is all that counts."""
    fields = ((b"transfer-encoding", b"chunked"), (b"content-length", b"0"), (b"connection", b"x"), (b"x", b"y"))
    passage = Passage()
    passage.get(method=b"POST", fields=fields, version="2")
    _, _, got, _ = Reader(passage.line.written).requests[0]
    assert got[b"content-length"] == [b"0"]
    assert b"transfer-encoding" not in got
    assert b"x" not in got


@given(
    method=st.binary(max_size=8),
    target=st.binary(max_size=12),
    host=st.binary(max_size=8),
    fields=st.lists(st.tuples(st.binary(max_size=6), st.binary(max_size=10)), max_size=4),
    length=st.none() | st.integers(0, 9),
)
def test_a_head_has_one_reading_or_none(
    method: bytes, target: bytes, host: bytes, fields: list[tuple[bytes, bytes]], length: int | None
) -> None:
    """Whatever a request is made of, its head is refused, or is a single one with as many lines as it has fields."""
    made = Request(method, target, host, tuple(fields), "2", length)
    try:
        head = request_head(made, host=host, forwarded=(b"Forwarded: for=unknown",))
    except BadRequest:
        return
    assert head.count(CRLF * 2) == 1
    assert head.endswith(CRLF * 2)
    lines = head.split(CRLF)[:-2]
    assert lines[0] == b"%s %s HTTP/1.1" % (method, target)
    assert len(lines) <= 2 + len(fields) + 2
    assert not any(b"\r" in line or b"\n" in line for line in lines)
