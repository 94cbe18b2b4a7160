"""The head of a backend's answer: bytes in, a checked value out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from staplesrv.http.fields import Fields

HEAD_BYTES = 65_536
"""What an answer's head may have. Twice what clients may send: cookies and policies are written by servers."""

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?\r\n")
_FIELD = re.compile(rb"(?m)^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)\r\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")

_CONNECTIONS_OWN = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te", b"content-length"}
)
_UNREMARKABLE = frozenset({b"close", b"keep-alive", b"upgrade"})
UNTIL_CLOSE = -1
CHUNKED = -2


class BadAnswer(ValueError):
    """What a backend sent is no answer that has one reading."""


@dataclass(slots=True)
class ResponseHead:
    """The head of an answer. Not to be changed; not frozen, since that costs more than all of its making.

    Args:
        status: From 100 to 599.
        fields: What is passed on: in order, names as they came, nothing of the connection's own.
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

    def has_content(self, method: bytes) -> bool:
        """Tell whether content follows; RFC 9112 §6.3, first and second item.

        Args:
            method: Of the request.
        """
        return method != b"HEAD" and self.status >= 200 and self.status not in {204, 304}  # noqa: PLR2004 - the RFC's


def parse_head(data: bytes) -> ResponseHead:
    """Read the head of an answer.

    Args:
        data: From the status line to the end of the last field line, its CR LF included; without the empty line.

    Raises:
        BadAnswer: it has no reading, or more than one: folded lines (RFC 9112 §5.2), lone CR or LF, space before a
            colon, two lengths, a length beside a transfer coding, another coding than chunked.
    """
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
        else:
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
