"""The head of a request as a backend gets it: made anew, with one reading.

Nothing that frames a message or says who asks is passed on as the client wrote it. Content-Length, Transfer-Encoding,
Host, Connection, Upgrade, TE, Expect, the Forwarded family and what concerns the client's certificate are written here
from what was checked, whatever the client's HTTP version; the rest goes on field by field.

There is no Via, though RFC 9110 §7.6.3 asks gateways for one: backends take it for a proxy that can't do with
compressed answers (nginx: `gzip_proxied`), and no other server of this kind sends it unasked.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from staplesrv.http.client_certificate import claims_one
from staplesrv.http.fields import OF_CONNECTIONS, TOKEN, Fields, is_token, is_value, members
from staplesrv.http.request import Request

_OURS = frozenset(
    {
        # About the client's connection.
        *OF_CONNECTIONS,
        b"te",
        # Framing and routing. HTTP2-Settings goes with h2c alone.
        *(b"content-length", b"host", b"expect", b"http2-settings"),
        # Who asks.
        *(b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"),
        # CGI makes HTTP_PROXY of it, which many libraries take for the operator's (CVE-2016-5385).
        b"proxy",
    }
)
_IN_HEADS_ALONE = frozenset(
    {b"authorization", b"cookie", b"content-type", b"content-encoding", b"content-range", b"range", b"trailer"}
)
_UNREMARKABLE = frozenset({b"close", b"keep-alive", b"upgrade", b"te", b"http2-settings"})
"""What Connection says most of the time, none of which is passed on anyway."""

_START = re.compile(TOKEN + rb" [!-~]+ HTTP/1\.1")

TELL_NO_LENGTH = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"DELETE"})
"""Methods for which no content is said by saying nothing: RFC 9110 §8.6."""


class BadRequest(ValueError):
    """A request that can't be written with one reading; whoever checked it has missed something."""


def request_head(
    request: Request,
    *,
    host: bytes,
    forwarded: tuple[bytes, ...],
    trusted: bool = False,
    upgrade: bytes = b"",
    key: bytes = b"",
) -> bytes:
    """Return the head of a request, from the request line to the empty line.

    Args:
        request: As the client sent it.
        host: For Host.
        forwarded: The lines that say who asks, without their ends.
        trusted: The client is a proxy whose word counts.
        upgrade: The protocol to ask for; the client's wish is not passed on by itself.
        key: A Sec-WebSocket-Key, where the client's HTTP version has none (RFC 8441 §5).

    Raises:
        BadRequest: there would be two readings of it.
    """
    start = b"%s %s HTTP/1.1" % (b"GET" if key else request.method, request.target)
    named = _named(request.fields)
    lines = [start, b"Host: " + host]
    for name, value in request.fields:
        if passes(name, trusted) and name not in named:
            lines.append(name + b": " + value)
    lines += forwarded
    lines += _framing(request, upgrade, key)
    head = b"\r\n".join(lines)
    # All of it was checked before, by each HTTP version for itself. These are the bytes that go out.
    ends = len(lines) - 1
    if head.count(b"\n") != ends or head.count(b"\r") != ends or 0 in head or _START.fullmatch(start) is None:
        raise BadRequest("a line within a line")
    return head + b"\r\n\r\n"


def _named(fields: Fields) -> Collection[bytes]:
    """The fields that Connection makes the connection's own."""
    for name, value in fields:
        if name == b"connection" and value.lower() not in _UNREMARKABLE:
            return frozenset(members(fields, b"connection"))
    return ()


@lru_cache(maxsize=1024)
def passes(name: bytes, trusted: bool) -> bool:  # noqa: FBT001 - a memo takes its arguments by position
    """Tell whether a field goes on to the backend as the client sent it.

    Args:
        name: In lower case.
        trusted: The client is a proxy whose word counts.
    """
    # To a backend that thinks in CGI's variables an underscore is a hyphen, and so a way around all of this.
    plain = name.replace(b"_", b"-")
    if plain in _OURS or claims_one(name):
        return False
    of_client = plain.startswith(b"x-forwarded-") or plain == b"x-real-ip"
    return not of_client or (trusted and plain == name)


def trailer_lines(trailers: Fields) -> bytes:
    """Return a request's trailer fields as lines, but for those that are good in a head alone (RFC 9110 §6.5.1)."""
    return b"".join(
        b"%s: %s\r\n" % (name, value)
        for name, value in trailers
        if passes(name, False) and name not in _IN_HEADS_ALONE and is_token(name) and is_value(value)
    )


def _framing(request: Request, upgrade: bytes, key: bytes) -> list[bytes]:
    """The fields that say where the request ends, and what is asked of the connection."""
    lines = []
    options = []
    if upgrade:
        options.append(b"Upgrade")
        lines.append(b"Upgrade: " + upgrade)
    elif request.length is None:
        lines.append(b"Transfer-Encoding: chunked")
    elif request.length or request.method not in TELL_NO_LENGTH:
        lines.append(b"Content-Length: %d" % request.length)
    if request.expects_continue:
        lines.append(b"Expect: 100-continue")
    # RFC 9110 §10.1.4: whoever takes trailers says so, and that it is about the connection.
    if _takes_trailers(request.fields):
        options.append(b"TE")
        lines.append(b"TE: trailers")
    if options:
        lines.append(b"Connection: " + b", ".join(options))
    if key:
        lines.append(b"Sec-WebSocket-Key: " + key)
    return lines


def _takes_trailers(fields: Fields) -> bool:
    return any(name == b"te" and b"trailers" in members(fields, b"te") for name, _ in fields)
