"""`[sites.headers]`: fields that are added to every response of a site."""

from __future__ import annotations

from collections.abc import Mapping

from staplesrv.http.fields import Fields, is_token, is_value
from staplesrv.server.configuration.place import Place

_FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""What says where a response ends, and how the connection goes on, follows from each response."""


def read_fields(table: Mapping[str, str] | None, place: Place) -> Fields:
    """Return the fields of a table `headers`, checked.

    Args:
        table: Names and values; values in ASCII.
        place: Of the site, for errors.

    Raises:
        OperatorError: a name or a value can't be sent.
    """
    here = place.inside("headers")
    return tuple(_field(name, value, here) for name, value in (table or {}).items())


def _field(name: str, value: str, here: Place) -> tuple[bytes, bytes]:
    if not (name.isascii() and is_token(name.encode())):
        raise here.error(name, "is no name of a header", "give one like Strict-Transport-Security")
    if name.lower() in _FRAMING:
        raise here.error(name, "is the server's to set", "leave it out")
    # RFC 9110 §5.5: what is not ASCII is read in many ways.
    if not (value.isascii() and is_value(value.encode())):
        raise here.error(name, "has a value that can't be sent", "use printable ASCII")
    return name.encode(), value.strip(" \t").encode()
