"""Header fields: their shape, and the rules for their names and values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

Field: TypeAlias = tuple[bytes, bytes]
"""A name and its value. Of requests the name is in lower case; of responses in any."""

Fields: TypeAlias = tuple[Field, ...]

OF_CONNECTIONS = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"))
"""Names of fields about a connection of HTTP/1.1. No message of HTTP/2 has them (RFC 9113 §8.2.2), none is passed on
(RFC 9110 §7.6.1)."""

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""The pattern of RFC 9110 §5.6.2, for methods, names and codings."""

_TOKEN = re.compile(TOKEN)
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


# RFC 9110 §6.5.1: what frames or routes a message, or says who sends it, counts in the head alone.
_NOT_IN_TRAILERS = frozenset(
    b"authorization connection content-encoding content-length content-range content-type cookie expect forwarded host "
    b"keep-alive max-forwards proxy-authorization proxy-connection range set-cookie te trailer transfer-encoding "
    b"upgrade".split()
)


def is_token(data: bytes) -> bool:
    """Tell whether bytes can be a method or a field's name: RFC 9110 §5.6.2."""
    return _TOKEN.fullmatch(data) is not None


def is_value(data: bytes) -> bool:
    """Tell whether bytes can be a field's value: RFC 9110 §5.5, which has no CR, LF, NUL nor any other control."""
    return _VALUE.fullmatch(data) is not None


def values(fields: Iterable[Field], name: bytes) -> list[bytes]:
    """Return the values of every field with a name, in order.

    Args:
        fields: Of a request.
        name: In lower case.
    """
    return [value for key, value in fields if key == name]


def combined(fields: Iterable[Field], name: bytes) -> bytes | None:
    """Return the values of every field with a name as one list (RFC 9110 §5.3); None where there is no such field.

    Args:
        fields: Of a request.
        name: In lower case.
    """
    found = values(fields, name)
    return b", ".join(found) if found else None


def members(fields: Iterable[Field], name: bytes) -> Iterator[bytes]:
    """Yield the members of a list in lower case and without white space around them: of Connection, or Upgrade.

    Args:
        fields: Of a request.
        name: In lower case.
    """
    for value in values(fields, name):
        for member in value.split(b","):
            if stripped := member.strip(b" \t"):
                yield stripped.lower()


def allowed_trailers(fields: Fields) -> Fields:
    """Return the fields that may be trailers."""
    return tuple(field for field in fields if field[0].lower() not in _NOT_IN_TRAILERS)
