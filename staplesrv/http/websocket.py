"""The opening handshake of WebSocket as the server's own, for clients whose HTTP version has none: RFC 8441 §5."""

from __future__ import annotations

import hashlib
from base64 import b64encode

from staplesrv.http.fields import Fields
from staplesrv.sources import RandomBytes

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def new_key(random_bytes: RandomBytes) -> bytes:
    """Return a Sec-WebSocket-Key: RFC 6455 §4.1."""
    return b64encode(random_bytes(16))


def accepts(fields: Fields, key: bytes) -> bool:
    """Tell whether an answer to a key is the one of a WebSocket server: RFC 6455 §4.2.2.

    Args:
        fields: Of the answer.
        key: That was sent.
    """
    expected = b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    return [value for name, value in fields if name.lower() == b"sec-websocket-accept"] == [expected]


def without_accept(fields: Fields) -> Fields:
    """Return an answer's fields for a client that has sent no key."""
    return tuple(field for field in fields if field[0].lower() != b"sec-websocket-accept")
