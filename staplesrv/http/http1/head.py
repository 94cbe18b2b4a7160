"""From the bytes of a whole head to a request: what has two readings, or none, is refused.

llhttp, in its strict mode, splits the head into fields: it refuses folded lines, white space before a colon, control
bytes, and every end of a line but CRLF. The rules here are those that it does not know, or not in this way; what they
need is written above each.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import httptools

from staplesrv.http import authority
from staplesrv.http.fields import TOKEN, Field, Fields, members, values
from staplesrv.http.http1.refusal import Refusal
from staplesrv.http.request import Request
from staplesrv.http.target import Target, read_target

BAD_REQUEST = 400
EXPECTATION_FAILED = 417
NOT_IMPLEMENTED = 501
VERSION_NOT_SUPPORTED = 505
TOO_MANY_FIELDS = 431

# RFC 9112 §3: single spaces, and nothing else between the parts.
_REQUEST_LINE = re.compile(b"(" + TOKEN + rb") ([^\x00-\x20\x7f-\xff]+) HTTP/([0-9]\.[0-9])\r\n")
# Eighteen digits are more than any body has, and fit into every reader's integers.
_LENGTH = re.compile(rb"[0-9]{1,18}")

_VERSIONS = {b"1.0": "1.0", b"1.1": "1.1"}


class Head(NamedTuple):
    """What a head says: the request, and how its connection goes on.

    Args:
        request: The request.
        keep: The client would use the connection again.
    """

    request: Request
    keep: bool


class _Collector:
    """Takes the fields from the parser."""

    def __init__(self) -> None:
        self.fields: list[Field] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.rstrip(b" \t")))


def read_fields(head: bytes) -> Fields:
    """Split a head into its fields, names in lower case and values without white space around them.

    Args:
        head: From the request line to the empty line.

    Raises:
        Refusal: it has not the form of RFC 9112 §5.
    """
    collector = _Collector()
    try:
        httptools.HttpRequestParser(collector).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # what an upgrade or CONNECT means is not the parser's to say
    except httptools.HttpParserInvalidMethodError:
        raise Refusal(NOT_IMPLEMENTED) from None
    except httptools.HttpParserError:
        raise Refusal(BAD_REQUEST) from None
    return tuple(collector.fields)


def read_head(head: bytes, most_fields: int) -> Head:
    """Read a head.

    Args:
        head: From the request line to the empty line, which is there once, at the end.
        most_fields: How many fields there may be.

    Raises:
        Refusal: it is none that this server takes.
    """
    method, target, version = _request_line(head)
    fields = read_fields(head)
    if len(fields) > most_fields:
        raise Refusal(TOO_MANY_FIELDS)
    said = _Said(fields)
    named = _authority(said.all(b"host"), target, version)
    length = _body_length(said, version)
    connection = said.members(b"connection")
    newer = version == "1.1"
    keep = b"close" not in connection and (newer or b"keep-alive" in connection)
    request = Request(
        method,
        target.path,
        named,
        fields if target.authority is None else _with_host(fields, named),
        version,
        length,
        # RFC 9110 §7.8: an Upgrade that Connection does not name is not meant for us.
        next(iter(said.members(b"upgrade")), b"") if newer and length == 0 and b"upgrade" in connection else b"",
        newer and length != 0 and _expects_continue(said),
    )
    return Head(request, keep)


class _Said:
    """Looks fields up by name. Most heads name nothing twice, and few of the names that are asked for."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._last = dict(fields)

    def all(self, name: bytes) -> list[bytes]:
        """Return every value of a name, in order."""
        if name not in self._last:
            return []
        return [self._last[name]] if len(self._last) == len(self._fields) else values(self._fields, name)

    def members(self, name: bytes) -> list[bytes]:
        """Return the members of a list, in lower case."""
        return list(members(self._fields, name)) if name in self._last else []


def _request_line(head: bytes) -> tuple[bytes, Target, str]:
    found = _REQUEST_LINE.match(head)
    if found is None:
        raise Refusal(BAD_REQUEST)
    method, named, digits = found.groups()
    version = _VERSIONS.get(digits)
    if version is None:
        # Among these is the preface of an HTTP/2 for which ALPN was not used.
        raise Refusal(VERSION_NOT_SUPPORTED)
    if method == b"CONNECT":
        raise Refusal(NOT_IMPLEMENTED)
    target = read_target(method, named)
    if target is None:
        raise Refusal(BAD_REQUEST)
    return method, target, version


def _authority(hosts: list[bytes], target: Target, version: str) -> bytes:
    # RFC 9112 §3.2: exactly one Host, and a valid one; also where the absolute form stands for it.
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise Refusal(BAD_REQUEST)
    named = hosts if target.authority is None else [*hosts, target.authority]
    for one in named:
        if authority.split(one) is None:
            raise Refusal(BAD_REQUEST)
    # RFC 9112 §3.2.2: the absolute form's, whatever Host says.
    return named[-1] if named else b""


def _with_host(fields: Fields, named: bytes) -> Fields:
    return ((b"host", named), *(field for field in fields if field[0] != b"host"))


def _body_length(said: _Said, version: str) -> int | None:
    codings, lengths = said.all(b"transfer-encoding"), said.all(b"content-length")
    if codings:
        _check_coding(codings, lengths, version)
        return None
    if not lengths:
        return 0
    # RFC 9112 §6.3: one length, of digits alone. A list of equal ones may be taken, and is not: nobody needs it.
    if len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise Refusal(BAD_REQUEST)
    return int(lengths[0])


def _check_coding(codings: list[bytes], lengths: list[bytes], version: str) -> None:
    # RFC 9112 §6.1 and §6.3: with a length beside it, or in HTTP/1.0, it is an attempt at smuggling.
    if lengths or version != "1.1" or len(codings) > 1:
        raise Refusal(BAD_REQUEST)
    if codings[0].lower() != b"chunked":
        names = [name.strip(b" \t") for name in codings[0].lower().split(b",")]
        raise Refusal(NOT_IMPLEMENTED if names[-1] == b"chunked" and b"chunked" not in names[:-1] else BAD_REQUEST)


def _expects_continue(said: _Said) -> bool:
    expectations = said.all(b"expect")
    # RFC 9110 §10.1.1: there is no other.
    if [one for one in expectations if one.lower() != b"100-continue"]:
        raise Refusal(EXPECTATION_FAILED)
    return bool(expectations)
