"""Heads: what is refused, and with which status."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.http.http1.head import Head, read_head
from staplesrv.http.http1.heads import Heads
from staplesrv.http.http1.refusal import Refusal
from staplesrv.http.limits import Limits

HOST = b"Host: example.org\r\n"


def head(lines: bytes = b"", first: bytes = b"GET / HTTP/1.1", host: bytes = HOST) -> Head:
    """Read a head of a request line and more lines."""
    return read_head(first + b"\r\n" + host + lines + b"\r\n", 100)


def refused(lines: bytes = b"", first: bytes = b"GET / HTTP/1.1", host: bytes = HOST) -> int:
    """Return the status that such a head is refused with; 0 where it is not."""
    try:
        head(lines, first, host)
    except Refusal as refusal:
        return refusal.status
    return 0


@pytest.mark.parametrize(
    ("first", "status"),
    [
        (b"GET  / HTTP/1.1", 400),
        (b"GET /  HTTP/1.1", 400),
        (b" GET / HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b"GET\t/ HTTP/1.1", 400),
        (b"GET /\tHTTP/1.1", 400),
        (b"GET /", 400),
        (b"GET", 400),
        (b"/ HTTP/1.1", 400),
        (b"GET / http/1.1", 400),
        (b"GET / HTTP/11", 400),
        (b"GET / HTTP/1.10", 400),
        (b"GET / HTTP/1.1\r", 400),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/0.9", 505),
        (b"GET / HTTP/2.0", 505),
        (b"PRI * HTTP/2.0", 505),
        (b"G\x00T / HTTP/1.1", 400),
        (b"G\xc3T / HTTP/1.1", 400),
        (b"G,T / HTTP/1.1", 400),
        (b"BREW / HTTP/1.1", 501),
        (b"get / HTTP/1.1", 501),
        (b"CONNECT example.org:443 HTTP/1.1", 501),
        (b"GET * HTTP/1.1", 400),
        (b"GET a HTTP/1.1", 400),
        (b"GET /a#b HTTP/1.1", 400),
        (b"GET /\x00 HTTP/1.1", 400),
        (b"GET /\x7f HTTP/1.1", 400),
        (b"GET /\xc3\xa4 HTTP/1.1", 400),
        (b"GET http:///a HTTP/1.1", 400),
        (b"GET http://user@example.org/ HTTP/1.1", 400),
        (b"GET http://a:b/ HTTP/1.1", 400),
        (b"GET ftp://example.org/ HTTP/1.1", 400),
        (b"GET /%00 HTTP/1.1", 0),
        (b'GET /a|b"{}[]^`\\ HTTP/1.1', 0),
        (b"PROPFIND / HTTP/1.1", 0),
        (b"M-SEARCH / HTTP/1.1", 0),
        (b"OPTIONS * HTTP/1.1", 0),
    ],
)
def test_request_lines(first: bytes, status: int) -> None:
    """A request line has one form: RFC 9112 §3."""
    assert refused(first=first) == status


@pytest.mark.parametrize(
    "lines",
    [
        b"A : b\r\n",
        b"A\t: b\r\n",
        b" A: b\r\n",
        b"A: b\r\n c\r\n",
        b"A: b\r\n\tc\r\n",
        b"A:\r\n b\r\n",
        b"A: b\nB: c\r\n",
        b"A: b\rB: c\r\n",
        b"A: b\r\r\n",
        b"A: b\x00c\r\n",
        b"A: b\x01\r\n",
        b"A: b\x0b\r\n",
        b"A: b\x7f\r\n",
        b"A\x00: b\r\n",
        b"A\x80: b\r\n",
        b"A(: b\r\n",
        b": b\r\n",
        b"A\r\n",
        b"A b\r\n",
        b"\x00\r\n",
        b"Content-Length: \r\n",
        b"Content-Length: +1\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x1\r\n",
        b"Content-Length: 1 1\r\n",
        b"Content-Length: 1, 1\r\n",
        b"Content-Length: 1,\r\n",
        b"Content-Length: 1.0\r\n",
        b"Content-Length: 1_0\r\n",
        b"Content-Length: \xd9\xa1\r\n",
        b"Content-Length: 1\r\nContent-Length: 1\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n",
        b"Content-Length: 0\r\ncontent-length: 0\r\n",
        b"Content-Length: 9999999999999999999\r\n",
        b"Content-Length: 99999999999999999999999999\r\n",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunkedx\r\n",
        b'Transfer-Encoding: "chunked"\r\n',
        b"Transfer-Encoding: chunked;a=b\r\n",
        b"Transfer-Encoding: chunked,\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Transfer-Encoding: \r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Host: example.org\r\n",
        b"Host: example.com\r\n",
        b"host:\r\n",
    ],
)
def test_bad_fields(lines: bytes) -> None:
    """Fields with two readings, or none, are refused: RFC 9112 §2.2, §5.1, §5.2, §6.1, §6.3, §3.2."""
    assert refused(lines) == 400


@pytest.mark.parametrize(
    "host", [b"Host:\r\n", b"Host: a b\r\n", b"Host: a,b\r\n", b"Host: a/b\r\n", b"Host: u@a\r\n", b""]
)
def test_bad_hosts(host: bytes) -> None:
    """HTTP/1.1 has one Host, and a valid one: RFC 9112 §3.2."""
    assert refused(host=host) == 400
    assert refused(host=host, first=b"GET http://example.org/ HTTP/1.1") == 400


def test_codings() -> None:
    """A coding that chunked ends, and that is not known here, is a 501: RFC 9112 §6.1."""
    assert refused(b"Transfer-Encoding: gzip, chunked\r\n") == 501
    assert head(b"Transfer-Encoding: CHUNKED \r\n").request.length is None


def test_http_1_0() -> None:
    """HTTP/1.0 needs no Host, has no chunks, and keeps the connection only on request."""
    old = b"GET / HTTP/1.0"
    assert head(first=old, host=b"").request.authority == b""
    assert refused(b"Transfer-Encoding: chunked\r\n", first=old) == 400
    assert refused(b"Host: a\r\n", first=old) == 400
    assert not head(first=old).keep
    assert head(b"Connection: Keep-Alive\r\n", first=old).keep
    assert not head(b"Connection: keep-alive, close\r\n", first=old).keep
    asks = head(b"Connection: Upgrade\r\nUpgrade: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n", first=old)
    assert not asks.request.upgrade
    assert not asks.request.expects_continue


def test_absolute_form() -> None:
    """The authority of an absolute form stands for Host: RFC 9112 §3.2.2."""
    request = head(b"A: b\r\n", first=b"GET http://Example.com:80/a?b HTTP/1.1").request
    assert request.target == b"/a?b"
    assert request.authority == b"Example.com:80"
    assert request.fields == ((b"host", b"Example.com:80"), (b"a", b"b"))


def test_fields() -> None:
    """Names come in lower case, values as sent but for the white space around them."""
    request = head(b"X-A: \t b c \t\r\nx-a:\r\nB:\xe4\r\n").request
    assert request.fields == ((b"host", b"example.org"), (b"x-a", b"b c"), (b"x-a", b""), (b"b", b"\xe4"))


def test_bodies() -> None:
    """The length of a body is said in one of two ways, or there is none: RFC 9112 §6.3."""
    assert head().request.length == 0
    assert head(b"Content-Length: 0042\r\n").request.length == 42
    assert head(b"Transfer-Encoding: chunked\r\n").request.length is None


def test_expectations() -> None:
    """A client that waits for a 100 says so in one way; RFC 9110 §10.1.1."""
    assert head(b"Expect: 100-Continue\r\nContent-Length: 1\r\n").request.expects_continue
    assert not head(b"Expect: 100-continue\r\n").request.expects_continue
    assert refused(b"Expect: 200-ok\r\nContent-Length: 1\r\n") == 417


def test_upgrades() -> None:
    """An upgrade is asked for by two fields, of a request without a body: RFC 9110 §7.8."""
    asks = b"Upgrade: WebSocket, other\r\nConnection: keep-alive, Upgrade\r\n"
    assert head(asks).request.upgrade == b"websocket"
    assert head(b"Upgrade: websocket\r\n").request.upgrade == b""
    assert head(asks + b"Content-Length: 1\r\n").request.upgrade == b""


LIMITS = Limits(request_line=256, headers=1024, fields=10)


def taken(data: bytes) -> int:
    """Return the status that the beginning of a head is refused with; 0 where it is not."""
    try:
        Heads(LIMITS).take(data)
    except Refusal as refusal:
        return refusal.status
    return 0


def test_request_line_too_long() -> None:
    """A request line over its limit is a 414, whether it is complete or not."""
    fits = b"GET /" + b"a" * (256 - 14) + b" HTTP/1.1"
    assert taken(fits + b"\r\n" + HOST + b"\r\n") == 0
    assert taken(fits + b"b\r\n" + HOST + b"\r\n") == 414
    assert taken(fits + b"bcd") == 414
    assert taken(fits + b"\r") == 0


def test_headers_too_large() -> None:
    """Fields over their limit are a 431, whether they are complete or not."""
    fits = b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"a" * (1024 - len(HOST) - 5) + b"\r\n"
    assert taken(fits + b"\r\n") == 0
    assert taken(fits[:-2] + b"b\r\n\r\n") == 431
    assert taken(fits[:-2] + b"bcdef") == 431
    assert taken(fits) == 0


def test_too_many_fields() -> None:
    """More fields than the limit are a 431."""
    assert taken(b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 9 + b"\r\n") == 0
    assert taken(b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 10 + b"\r\n") == 431


def test_bare_line_feeds() -> None:
    """A client that ends lines with LF alone hears of it before it has waited for an answer."""
    assert taken(b"GET / HTTP/1.1\n") == 400
    assert taken(b"GET / HTTP/1.1\r\nHost: a\n\n") == 400


def test_empty_lines_first() -> None:
    """Empty lines before a request are skipped, and not kept: RFC 9112 §2.2."""
    heads = Heads(LIMITS)
    assert heads.take(b"\r\n\r\n") == (None, b"")
    found, rest = heads.take(b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\nrest")
    assert found is not None
    assert rest == b"rest"
    assert taken(b"\n") == 400


def test_known_heads() -> None:
    """A head is read once; one with a body, or a long one, is not kept, and there are not too many of them."""
    heads = Heads(Limits())
    get = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    assert heads.take(get)[0] is heads.take(get + b"more")[0]
    heads.take(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\n")
    heads.take(b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"a" * 1024 + b"\r\n\r\n")
    assert list(heads.known) == [get]
    for number in range(1024):
        heads.take(b"GET /%d HTTP/1.1\r\n" % number + HOST + b"\r\n")
    assert 0 < len(heads.known) < 1024


PARTS = [
    b"GET", b"POST", b" ", b"/", b"*", b"http://a", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\r\n\r\n", b"\n", b"\r", HOST,
    b"A: b\r\n", b":", b"a" * 300, b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", b"GET / HTTP/1.1\r\n",
]  # fmt: skip
SHAPES = st.lists(st.one_of(st.sampled_from(PARTS), st.binary(max_size=5)), max_size=12).map(b"".join)


@given(SHAPES)
def test_whatever_comes(data: bytes) -> None:
    """Whatever comes is a request that can be told from its fields alone, the beginning of one, or refused."""
    if taken(data):
        assert taken(data) in {400, 414, 417, 431, 501, 505}
        return
    found, rest = Heads(LIMITS).take(data)
    assert data.endswith(rest)
    if found is None:
        return
    names = [name for name, _ in found.request.fields]
    assert names.count(b"host") == (1 if found.request.authority else 0)
    assert (b"transfer-encoding" in names) == (found.request.length is None)
    assert not {b"content-length", b"transfer-encoding"} <= set(names)


@given(SHAPES, st.data())
def test_any_split(data: bytes, draw: st.DataObject) -> None:
    """What the beginning of a head is refused for, the whole of it is refused for, too."""
    begun = data[: draw.draw(st.integers(0, len(data)))]
    status = taken(begun)
    if status:
        assert taken(data) == status
