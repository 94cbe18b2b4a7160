"""The head of a request, out of a header block's fields: RFC 9113 §8.2 and §8.3, RFC 8441 §4.

What a proxy might write on an HTTP/1.1 connection is checked as strictly as if it had come over one: no field can hold
what ends a line there, or frames a body.
"""

from __future__ import annotations

import re

from staplesrv.http.authority import split
from staplesrv.http.fields import OF_CONNECTIONS, Field, Fields, allowed_trailers, combined, is_token, values
from staplesrv.http.http2.frames import Code, StreamFault
from staplesrv.http.request import Request
from staplesrv.http.target import is_origin_form

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
"""RFC 9113 §8.2.1: no white space around it either."""

BAD_REQUEST = 400
EXPECTATION_FAILED = 417
NOT_IMPLEMENTED = 501

_PSEUDO = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))

_LONGEST_LENGTH = 18
"""Digits: an exabyte less one."""


class Refused(Exception):
    """A request that is well formed, and answered by a page.

    Args:
        status: The page's.

    Attributes:
        line: The request line, once that is known.
    """

    line = b""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def read_head(fields: Fields, *, ended: bool) -> Request:
    """Make a request of a block's fields.

    Args:
        fields: As decoded, pseudo-headers first.
        ended: Whether no body follows.

    Raises:
        StreamFault: they are malformed.
        Refused: they ask for what no application is asked.
    """
    count = _count_pseudo(fields)
    pseudo = dict(fields[:count])
    if len(pseudo) != count or not pseudo.keys() <= _PSEUDO:
        raise _malformed()
    regular = fields[count:]
    _check(regular)
    method = pseudo.get(b":method", b"")
    if not is_token(method):
        raise _malformed()
    if method == b"CONNECT" and b":protocol" not in pseudo:
        raise Refused(NOT_IMPLEMENTED)
    _check_pseudo(pseudo, method)
    authority = _authority(pseudo, regular)
    return Request(
        method,
        pseudo[b":path"],
        authority,
        ((b"host", authority), *_joined(regular)),
        "2",
        # RFC 8441 §5: what follows an extended CONNECT is a tunnel's, not a body.
        0 if b":protocol" in pseudo else _content_length(regular, ended=ended),
        pseudo.get(b":protocol", b"").lower(),
        not ended and _expects_continue(regular),
    )


def read_trailers(fields: Fields) -> Fields:
    """Return the fields that may come after a body; those that mean something before it are left out.

    Raises:
        StreamFault: they are malformed.
    """
    if _count_pseudo(fields):
        raise _malformed()  # RFC 9113 §8.1
    _check(fields)
    return allowed_trailers(fields)


def _malformed() -> StreamFault:
    # RFC 9113 §8.1.1: malformed requests are stream errors of this type.
    return StreamFault(Code.PROTOCOL_ERROR)


def _count_pseudo(fields: Fields) -> int:
    """Count the fields that begin with a colon; one after a regular field has a name that is none."""
    for count, (name, _) in enumerate(fields):
        if name[:1] != b":":
            return count
    return len(fields)


def _check(fields: Fields) -> None:
    for name, value in fields:
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None or name in OF_CONNECTIONS:
            raise _malformed()
        # RFC 9113 §8.2.2.
        if name == b"te" and value.lower() != b"trailers":
            raise _malformed()


def _check_pseudo(pseudo: dict[bytes, bytes], method: bytes) -> None:
    # RFC 9113 §8.3.1; RFC 8441 §4 has the same three in an extended CONNECT.
    if pseudo.get(b":scheme", b"").lower() not in {b"https", b"http"}:
        raise _malformed()
    path = pseudo.get(b":path", b"")
    if not is_origin_form(path) and not (path == b"*" and method == b"OPTIONS"):
        raise _malformed()
    if b":protocol" in pseudo and not (method == b"CONNECT" and is_token(pseudo[b":protocol"])):
        raise _malformed()


def _authority(pseudo: dict[bytes, bytes], fields: Fields) -> bytes:
    hosts = values(fields, b"host")
    named = pseudo.get(b":authority")
    if named is not None:
        hosts.append(named)
    # RFC 9113 §8.3.1: two that differ are malformed; RFC 9112 §3.2: one there must be.
    if len({host.lower() for host in hosts}) > 1 or len(hosts) > 1 + (named is not None):
        raise _malformed()
    if not hosts or split(hosts[0]) is None:
        raise Refused(BAD_REQUEST)
    return hosts[0]


def _joined(fields: Fields) -> list[Field]:
    """Return fields without Host, and with the pieces of Cookie put together: RFC 9113 §8.2.3."""
    cookies = values(fields, b"cookie")
    if len(cookies) <= 1:
        return [field for field in fields if field[0] != b"host"]
    rest = [field for field in fields if field[0] not in {b"host", b"cookie"}]
    return [*rest, (b"cookie", b"; ".join(cookies))]


def _expects_continue(fields: Fields) -> bool:
    expectation = combined(fields, b"expect")
    if expectation is None:
        return False
    # RFC 9110 §10.1.1.
    if expectation.lower() != b"100-continue":
        raise Refused(EXPECTATION_FAILED)
    return True


def _content_length(fields: Fields, *, ended: bool) -> int | None:
    lengths = values(fields, b"content-length")
    if not lengths:
        return 0 if ended else None
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > _LONGEST_LENGTH:
        raise _malformed()
    length = int(lengths[0])
    if ended and length:
        raise _malformed()  # RFC 9113 §8.1.1
    return length
