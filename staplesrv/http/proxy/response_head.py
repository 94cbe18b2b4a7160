"""The head of a backend's answer: bytes in, a checked value out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from staplesrv.http.fields import OF_CONNECTIONS, TOKEN, Fields
from staplesrv.http.response import WITHOUT_CONTENT, Sendable, is_silent

HEAD_BYTES = 65_536
"""What an answer's head may have. Twice what clients may send: cookies and policies are written by servers."""

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?\r\n")
_FIELD = re.compile(b"(?m)^(" + TOKEN + rb"):([\t\x20-\x7e\x80-\xff]*)\r\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")

_REMEMBERED_BYTES = 2048
"""Heads that are no longer than this are remembered: 512 of them, with what is made of them 4 MiB at most."""

_CONNECTIONS_OWN = OF_CONNECTIONS | {b"te", b"content-length"}
_SERVERS = frozenset({b"server", b"date"})
"""Written anew by the server, as nginx does: what a backend runs is nobody's business."""

_UNREMARKABLE = frozenset({b"close", b"keep-alive", b"upgrade"})

FINAL = 200
"""The first status of a final answer."""

UNTIL_CLOSE = -1
CHUNKED = -2


class BadAnswer(ValueError):
    """What a backend sent is no answer that has one reading."""


@dataclass(eq=False)
class ResponseHead(Sendable):
    """The head of an answer. Never changed: the same one may be another answer's, too.

    Args:
        status: From 100 to 599.
        fields: What is passed on: in order, names as they came; nothing of the connection's own, no Server, no Date.
        length: Bytes of content that follow; `CHUNKED`, or `UNTIL_CLOSE`. What Content-Length says too, also where no
            content follows.
        keeps: The backend keeps the connection, as far as it says.
        upgrade: What it changes to, in lower case; empty where it names nothing.
    """

    status: int
    fields: Fields
    length: int
    keeps: bool
    upgrade: bytes

    @cached_property
    def whole_fields(self) -> Fields:
        """The fields as the client gets them: Content-Length too, where there is one and the status has content."""
        if self.length < 0 or self.status < FINAL or self.status in WITHOUT_CONTENT:
            return self.fields
        return (*self.fields, (b"Content-Length", b"%d" % self.length))

    def has_content(self, method: bytes) -> bool:
        """Tell whether content follows; RFC 9112 §6.3, first and second item.

        Args:
            method: Of the request.
        """
        return self.status >= FINAL and not is_silent(method, self.status)


def parse_head(data: bytes) -> ResponseHead:
    """Read the head of an answer.

    Args:
        data: From the status line to the end of the last field line, its CR LF included; without the empty line.

    Raises:
        BadAnswer: it has no reading, or more than one: folded lines (RFC 9112 §5.2), lone CR or LF, space before a
            colon, two lengths, a length beside a transfer coding, another coding than chunked.
    """
    return _remembered(data) if len(data) <= _REMEMBERED_BYTES else _parse(data)


@lru_cache(maxsize=512)
def _remembered(data: bytes) -> ResponseHead:
    """Read a head that may have come before: within a second a backend says the same of the same thing.

    0.2 us instead of 6, and what is made of it for the client is there already; one that is new costs 0.4 more.
    """
    return _parse(data)


def _parse(data: bytes) -> ResponseHead:
    status = _STATUS.match(data)
    if status is None:
        raise BadAnswer("status line")
    found = _FIELD.findall(data, status.end())
    # One field for each line after the first: what the pattern has passed over shows in the count.
    if len(found) != data.count(b"\n") - 1:
        raise BadAnswer("field line")
    passed = []
    own: dict[bytes, bytes] = {}
    for name, value in found:
        lower = name.lower()
        if lower in _CONNECTIONS_OWN:
            if lower in own:
                if lower in {b"content-length", b"transfer-encoding"}:
                    raise BadAnswer("two lengths")
                value = own[lower] + b"," + value  # noqa: PLW2901 - RFC 9110 §5.3: a list in several lines
            own[lower] = value.strip(b" \t")
        elif lower not in _SERVERS:
            passed.append((name, value.strip(b" \t")))
    modern = status[1] == b"1"
    length = _length(own, modern=modern)
    options = _options(own)
    if not options <= _UNREMARKABLE:
        passed = [field for field in passed if field[0].lower() not in options]
    keeps = b"close" not in options if modern else b"keep-alive" in options
    return ResponseHead(int(status[2]), tuple(passed), length, keeps, own.get(b"upgrade", b"").lower())


def _options(own: dict[bytes, bytes]) -> frozenset[bytes]:
    connection = own.get(b"connection")
    if connection is None:
        return frozenset()
    return frozenset(option.strip(b" \t") for option in connection.lower().split(b",")) - {b""}


def _length(own: dict[bytes, bytes], *, modern: bool) -> int:
    """Where the answer ends: RFC 9112 §6.3, the items from the third on."""
    coding = own.get(b"transfer-encoding")
    length = own.get(b"content-length")
    if coding is None:
        if length is None:
            return UNTIL_CLOSE
        if _LENGTH.fullmatch(length) is None:
            raise BadAnswer("Content-Length")
        return int(length)
    # RFC 9112 §6.1: a coding in HTTP/1.0 is framing gone wrong; with both, one of the two was added by somebody else.
    if length is not None or not modern or coding.lower() != b"chunked":
        raise BadAnswer("Transfer-Encoding")
    return CHUNKED
