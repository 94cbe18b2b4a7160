"""The head of a backend's answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.http.fields import is_token, is_value
from staplesrv.http.proxy.response_head import CHUNKED, UNTIL_CLOSE, BadAnswer, parse_head

OK = b"HTTP/1.1 200 OK\r\n"


def test_a_head_is_read() -> None:
    """Names stay as they came, values lose the white space around them, and the connection's fields go."""
    head = parse_head(
        OK + b"X-A:  b c \r\nx-A:\t\r\nSet-Cookie: a=b\r\nConnection: Keep-Alive, X-Own\r\nx-own: 1\r\n"
        b"Keep-Alive: timeout=5\r\nContent-Length: 12\r\nX: \xe4\r\n"
    )
    assert head.status == 200
    assert head.fields == ((b"X-A", b"b c"), (b"x-A", b""), (b"Set-Cookie", b"a=b"), (b"X", b"\xe4"))
    assert head.length == 12
    assert head.keeps


@pytest.mark.parametrize("line", [b"HTTP/1.1 200\r\n", b"HTTP/1.1 200 \r\n", b"HTTP/1.1 200 \xe4 b\r\n"])
def test_the_phrase_does_not_count(line: bytes) -> None:
    """RFC 9112 §4: it may be empty or anything, and some leave its space out, too."""
    assert parse_head(line).status == 200


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        (b"", UNTIL_CLOSE),
        (b"Content-Length: 0\r\n", 0),
        (b"content-length:5\r\n", 5),
        (b"Transfer-Encoding: Chunked\r\n", CHUNKED),
    ],
)
def test_the_end_is_known(lines: bytes, length: int) -> None:
    """RFC 9112 §6.3."""
    assert parse_head(OK + lines).length == length


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (OK, True),
        (OK + b"Connection: close\r\n", False),
        (OK + b"Connection: x\r\nConnection: CLOSE\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_it_is_known_whether_the_connection_is_kept(head: bytes, keeps: bool) -> None:  # noqa: FBT001 - a parameter
    """RFC 9112 §9.3."""
    assert parse_head(head).keeps is keeps


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\r\n",
        b"200 OK\r\n",
        b"HTTP/1.1\r\n",
        b"HTTP/2 200 OK\r\n",
        b"HTTP/1.2 200 OK\r\n",
        b"HTTP/1.1  200 OK\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 099 OK\r\n",
        b"HTTP/1.1 600 OK\r\n",
        b"HTTP/1.1 200 O\x00K\r\n",
        b"HTTP/1.1 200 O\nK\r\n",
        b" HTTP/1.1 200 OK\r\n",
        OK + b"X : a\r\n",
        OK + b"X\t: a\r\n",
        OK + b"X: a\r\n b\r\n",
        OK + b" X: a\r\n",
        OK + b"X\r\n",
        OK + b": a\r\n",
        OK + b"X: a\nY: b\r\n",
        OK + b"X: a\rY: b\r\n",
        OK + b"X: a\0\r\n",
        OK + b"X: a\x7f\r\n",
        OK + b"bad line X: a\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 5\r\n",
        OK + b"Content-Length: 5, 5\r\n",
        OK + b"Content-Length: +5\r\n",
        OK + b"Content-Length: -5\r\n",
        OK + b"Content-Length: 0x5\r\n",
        OK + b"Content-Length: 5_0\r\n",
        OK + b"Content-Length:\r\n",
        OK + b"Content-Length: 1111111111111111111\r\n",
        OK + b"Content-Length: \xb2\r\n",
        OK + b"Transfer-Encoding: gzip\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n",
        OK + b"Transfer-Encoding: chunked, chunked\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        OK + b"Transfer-Encoding:\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_what_has_no_reading_or_two_is_refused(head: bytes) -> None:
    """Nothing of it is passed on."""
    with pytest.raises(BadAnswer):
        parse_head(head)


@given(st.binary(max_size=80) | st.text("HTP/1. 20OK\r\n:aXy,\t", max_size=60).map(str.encode))
def test_what_is_passed_on_can_be_sent(data: bytes) -> None:
    """Whatever a backend says, its fields have no line in them that is not theirs."""
    for start in (b"", OK):
        try:
            head = parse_head(start + data + b"\r\n")
        except BadAnswer:
            continue
        assert all(is_token(name) and is_value(value) for name, value in head.fields)
        assert 100 <= head.status < 600
        assert head.length >= CHUNKED
