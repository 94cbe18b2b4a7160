"""Requests and their answers over HTTP/1.1."""

from __future__ import annotations

from wire import Says, Wire

GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n"


def test_get() -> None:
    """A request is answered, and the connection kept."""
    wire = Wire(Says())
    wire.send(GET)
    assert wire.answer == HELLO
    assert not wire.ended
