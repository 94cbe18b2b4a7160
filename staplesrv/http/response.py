"""A whole response, made once and sent often."""

from __future__ import annotations

from functools import cached_property
from http import HTTPStatus

from staplesrv.http.fields import Fields, is_token, is_value

REASONS = {status.value: status.phrase.encode() for status in HTTPStatus} | {
    # As RFC 9110 has them; Python before 3.13 still has their older names.
    413: b"Content Too Large",
    414: b"URI Too Long",
    416: b"Range Not Satisfiable",
    422: b"Unprocessable Content",
}
"""The reason phrases that HTTP/1.1 sends along."""

WITHOUT_CONTENT = frozenset({204, 304})
"""Final statuses that never have a body, whatever the method: RFC 9110 §15.3.5 and §15.4.5."""


class BadResponse(ValueError):
    """A header field that can't be sent: an application's fault, and the way responses are split by attackers."""


class Sendable:
    """What the HTTP versions make of a response's status and fields: once, when it is first asked for.

    Attributes:
        status: From 100 on.
        fields: In order, in any case.
    """

    status: int
    fields: Fields

    @property
    def whole_fields(self) -> Fields:
        """The fields, Content-Length included."""
        raise NotImplementedError

    @cached_property
    def lines(self) -> bytes:
        """The status line and the fields as HTTP/1.1 sends them, Content-Length included; no empty line."""
        return status_line(self.status) + field_lines(self.whole_fields)

    @cached_property
    def lower_fields(self) -> Fields:
        """The fields as HTTP/2 sends them, Content-Length included; without `:status`."""
        return tuple((name.lower(), value) for name, value in self.whole_fields)

    @cached_property
    def names(self) -> frozenset[bytes]:
        """The names of its fields, in lower case."""
        return frozenset(name.lower() for name, _ in self.fields)


class Response(Sendable):
    """A final response whose body is known. Immutable; what each HTTP version makes of it is kept with it.

    Args:
        status: From 200 on.
        fields: In order, in any case. Without Content-Length, which follows from the body, and without Date, Server,
            Connection and Transfer-Encoding, which are the HTTP version's.
        body: The content; it is not sent in answer to HEAD, nor with 204 and 304.
        length: What Content-Length says where that is not the length of the body: of an answer to HEAD whose
            content was never read.

    Raises:
        BadResponse: a field's name or value can't be sent.
    """

    def __init__(self, status: int, fields: Fields = (), body: bytes = b"", *, length: int | None = None) -> None:
        checked(fields)
        self.status = status
        self.body = body
        self.fields: Fields = fields
        self.length = len(body) if length is None else length
        self.http2_block = b""  # made by HTTP/2 when it is first asked for

    @property
    def whole_fields(self) -> Fields:
        """The fields, Content-Length included."""
        # RFC 9110 §8.6: never with 204; with 304 it would be the length of what is not sent.
        if self.status in WITHOUT_CONTENT:
            return self.fields
        return (*self.fields, (b"Content-Length", b"%d" % self.length))


def status_line(status: int) -> bytes:
    """Return HTTP/1.1's first line; the version is always 1.1 (RFC 9112 §2.3: it says what the server can do)."""
    return b"HTTP/1.1 %d %s\r\n" % (status, REASONS.get(status, b""))


def field_lines(fields: Fields) -> bytes:
    """Return header fields as HTTP/1.1 sends them."""
    return b"".join([b"%s: %s\r\n" % field for field in fields])


def checked(fields: Fields) -> Fields:
    """Return fields that can be sent.

    Raises:
        BadResponse: one can't.
    """
    for name, value in fields:
        if not is_token(name):
            raise BadResponse(f"{name!r} is no name of a header field")
        if not is_value(value):
            raise BadResponse(f"{name.decode()} has a value that can't be sent")
    return fields


def is_silent(method: bytes, status: int) -> bool:
    """Tell whether a final response has no body, whatever its fields say: RFC 9110 §6.4.1."""
    return status in WITHOUT_CONTENT or method == b"HEAD"


def declared_length(fields: Fields) -> int | None:
    """Return what Content-Length says; None where there is none.

    Raises:
        BadResponse: it says nothing that can be sent.
    """
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    if not lengths:
        return None
    if len(lengths) > 1 or not lengths[0].isdigit():
        raise BadResponse("Content-Length is no number, or there are several")
    return int(lengths[0])
