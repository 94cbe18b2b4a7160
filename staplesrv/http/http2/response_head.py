"""The header block of a response: which fields are sent, and in which form. Pure functions."""

from __future__ import annotations

from staplesrv.http.exchange import FieldLines
from staplesrv.http.fields import OF_CONNECTIONS, Field, Fields
from staplesrv.http.http2.blocks import encoded, status_block
from staplesrv.http.response import Response, checked

OK = 200
NO_CONTENT = 204


def block(status: int, fields: Fields) -> bytes:
    """Return the block of an interim or a final response.

    Args:
        status: From 100 on.
        fields: In any case; those of a connection are left out.

    Raises:
        BadResponse: a field can't be sent.
    """
    # RFC 9113 §8.2: lower case; §8.2.1: no white space around a value.
    lower = [(name.lower(), value.strip(b" \t")) for name, value in checked(fields)]
    if status < OK or status == NO_CONTENT:
        lower = [field for field in lower if field[0] != b"content-length"]
    return status_block(status) + _sent(lower)


def final_block(status: int, fields: Fields, added: FieldLines, servers: Fields) -> bytes:
    """Return the block of a final response: with its own fields, the site's, and the server's.

    Of one name, the site's replace the response's, and both the server's.

    Raises:
        BadResponse: a field can't be sent.
    """
    own = tuple([field for field in fields if field[0].lower() not in added.names])
    names = added.names.union([name.lower() for name, _ in own])
    return block(status, (*own, *added.lower, *[field for field in servers if field[0] not in names]))


def kept_block(response: Response) -> bytes:
    """Return the block of a whole response without the site's and the server's fields; made once and kept with it."""
    if not response.http2_block:
        response.http2_block = status_block(response.status) + _sent(list(response.lower_fields))
    return response.http2_block


def _sent(fields: list[Field]) -> bytes:
    return encoded([field for field in fields if field[0] not in OF_CONNECTIONS])
