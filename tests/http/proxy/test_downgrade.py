"""From HTTP/2 frames to the backend's bytes: what HTTP/1.1 would read another way is refused, or has one reading."""

from __future__ import annotations

import pytest
from http2_client import GET, POST, Client, data
from hyperframe.frame import HeadersFrame
from passage import SMALL, Passage

from staplesrv.http.fields import Fields

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: example.org\r\n\r\n"
CRLF = b"\r\n"


def passed_on(fields: Fields, *content: bytes) -> tuple[Client, bytes]:
    """Send a request in HTTP/2; return the client, and all that the backend got."""
    passage = Passage()
    client = Client(passage.proxy)
    client.request(1, fields, end=not content)
    if content and not client.ended:
        client.send(*[data(1, piece, end=piece is content[-1]) for piece in content])
    for line in list(passage.backend.lines):
        line.say(SMALL)
    client.read()
    return client, b"".join(line.written for line in passage.backend.lines)


def with_pseudo(name: bytes, value: bytes) -> Fields:
    """GET with another pseudo-header."""
    return tuple((key, value if key == name else old) for key, old in GET)


REFUSED: dict[str, Fields] = {
    "a coding": (*POST, (b"transfer-encoding", b"chunked")),
    "a connection": (*POST, (b"connection", b"keep-alive")),
    "keep-alive": (*POST, (b"keep-alive", b"timeout=5")),
    "an upgrade": (*POST, (b"upgrade", b"h2c")),
    "a proxy's connection": (*POST, (b"proxy-connection", b"close")),
    "te": (*POST, (b"te", b"gzip")),
    "a line in a value": (*GET, (b"x", b"y\r\nTransfer-Encoding: chunked")),
    "a line feed in a value": (*GET, (b"x", b"y\nz: a")),
    "a carriage return in a value": (*GET, (b"x", b"y\rz: a")),
    "NUL in a value": (*GET, (b"x", b"y\0")),
    "a line in a name": (*GET, (b"x: y\r\nz", b"a")),
    "a space in a name": (*GET, (b"x y", b"a")),
    "a colon in a name": (*GET, (b"x:", b"a")),
    "capitals in a name": (*GET, (b"X", b"a")),
    "an empty name": (*GET, (b"", b"a")),
    "a line in the path": with_pseudo(b":path", b"/ HTTP/1.1\r\nX: y"),
    "a space in the path": with_pseudo(b":path", b"/ HTTP/1.1"),
    "a tab in the path": with_pseudo(b":path", b"/\tx"),
    "an empty path": with_pseudo(b":path", b""),
    "a relative path": with_pseudo(b":path", b"hidden"),
    "a line in the method": with_pseudo(b":method", b"GET / HTTP/1.1\r\nX: y"),
    "a space in the method": with_pseudo(b":method", b"GET /hidden"),
    "a line in the authority": with_pseudo(b":authority", b"example.org\r\nX: y"),
    "a path in the authority": with_pseudo(b":authority", b"example.org/x"),
    "a user in the authority": with_pseudo(b":authority", b"user@example.org"),
    "another host": (*GET, (b"host", b"example.com")),
    "two lengths": (*POST, (b"content-length", b"1"), (b"content-length", b"2")),
    "a signed length": (*POST, (b"content-length", b"+0")),
    "a length without content": (*POST, (b"content-length", b"5")),
    "a method twice": (*GET, (b":method", b"POST")),
    "a pseudo-header at the end": (*GET, (b"x", b"y"), (b":path", b"/hidden")),
}


@pytest.mark.parametrize("shape", REFUSED)
def test_what_http_1_would_read_another_way_is_refused(shape: str) -> None:
    """The stream is reset or answered with a 400, and no backend hears of it."""
    client, got = passed_on(REFUSED[shape])
    assert got == b""
    refused = client.reset_code(1) or client.goaway_code
    answered = [frame for frame in client.of(1, HeadersFrame) if frame.fields[0] == (b":status", b"400")]
    assert refused or answered


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ((*POST, (b"content-length", b"3")), [HIDDEN]),
        ((*POST, (b"content-length", b"99")), [b"0\r\n\r\n", HIDDEN]),
    ],
    ids=["more than its length", "less than its length"],
)
def test_content_of_another_length_makes_no_second_request(fields: Fields, content: list[bytes]) -> None:
    """The stream is reset; what a backend got by then is no whole request followed by anything."""
    client, got = passed_on(fields, *content)
    assert client.reset_code(1)
    head, _, rest = got.partition(CRLF * 2)
    assert not got or b"\r\nContent-Length: %s" % dict(fields)[b"content-length"] in head
    assert len(rest) < int(dict(fields)[b"content-length"])


@pytest.mark.parametrize(
    ("fields", "framing", "sent"),
    [
        ((*POST, (b"content-length", b"43")), b"Content-Length: 43", HIDDEN),
        (POST, b"Transfer-Encoding: chunked", b"2b\r\n" + HIDDEN + b"\r\n0\r\n\r\n"),
    ],
    ids=["with a length", "without one"],
)
def test_content_that_looks_like_a_request_is_content(fields: Fields, framing: bytes, sent: bytes) -> None:
    """One request reaches the backend, framed by what the proxy knows."""
    client, got = passed_on(fields, HIDDEN)
    assert client.status(1) == 200
    head, _, rest = got.partition(CRLF * 2)
    assert rest == sent
    lines = head.split(CRLF)
    assert lines[0] == b"POST / HTTP/1.1"
    assert lines.count(b"Host: example.org") == 1
    assert [line for line in lines if line.lower().startswith((b"content-length", b"transfer-encoding"))] == [framing]


def test_cookies_and_authority_are_those_of_http_1() -> None:
    """`:authority` is Host, and pseudo-headers are gone."""
    _, got = passed_on((*GET, (b"cookie", b"a=b"), (b"cookie", b"c=d")))
    lines = got.split(CRLF)
    assert lines[:2] == [b"GET / HTTP/1.1", b"Host: example.org"]
    assert not [line for line in lines if line.startswith(b":")]
    # RFC 9113 §8.2.3: crumbs are put together for those who know no crumbs.
    assert [line for line in lines if line.startswith(b"cookie")] == [b"cookie: a=b; c=d"]


def test_websocket_over_http_2_becomes_one_over_http_1() -> None:
    """RFC 8441: an extended CONNECT is a GET with a key; then bytes are DATA."""
    passage = Passage()
    client = Client(passage.proxy)
    connect = ((b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:], (b"sec-websocket-version", b"13"))
    client.request(1, connect, end=False)
    assert passage.line.written.startswith(b"GET / HTTP/1.1\r\nHost: example.org\r\nsec-websocket-version: 13\r\n")
    passage.line.say(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\nhello"
    )
    client.send(data(1, b"ping"))
    assert client.status(1) == 200
    assert not [name for name, _ in client.fields(1) if name.startswith((b"sec-", b"upgrade", b"connection"))]
    assert client.body(1) == b"hello"
    assert passage.line.written.endswith(CRLF * 2 + b"ping")
    passage.line.close()
    client.send(data(1, b"bye", end=True))
    assert client.ended_stream(1)
    assert passage.line.written.endswith(b"bye")
    assert passage.line.ended
