"""What a response's head says, and how its body is framed: RFC 9112 §6, §7 and §9.3. Pure functions."""

from __future__ import annotations

from staplesrv.http.exchange import FieldLines
from staplesrv.http.fields import Fields, allowed_trailers, members
from staplesrv.http.request import Request
from staplesrv.http.response import checked, field_lines, status_line
from staplesrv.http.server_fields import SERVER_NAMES, ServerFields

END = b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CLOSE = b"Connection: close\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n"

# They are the connection's, and not for an application to say.
_CONNECTIONS_OWN = frozenset({b"connection", b"keep-alive", b"transfer-encoding"})


def applications_own(fields: Fields) -> Fields:
    """Return what an application may say of its response.

    Raises:
        BadResponse: a field can't be sent.
    """
    return tuple([field for field in checked(fields) if field[0].lower() not in _CONNECTIONS_OWN])


def lines(status: int, fields: Fields, added: FieldLines, servers: ServerFields) -> bytes:
    """Return the status line and the fields: the response's own, the site's, and the server's.

    Of one name, the site's replace the response's, and both the server's.
    """
    own = tuple([field for field in fields if field[0].lower() not in added.names])
    names = added.names.union([name.lower() for name, _ in own])
    ours = servers.lines() if SERVER_NAMES.isdisjoint(names) else _missing(servers, names)
    return status_line(status) + field_lines(own) + added.lines + ours


def connection_lines(request: Request, *, keep: bool) -> bytes:
    """Return what says whether the connection is kept, where that is not understood."""
    if not keep:
        return CLOSE
    # RFC 9112 §9.3: an HTTP/1.0 client that asked for it is told that it gets it.
    return _KEEP_ALIVE if request.version == "1.0" else b""


def upgrade_lines(status: int, upgrade: bytes, fields: Fields, servers: ServerFields) -> bytes:
    """Return the head that accepts an upgrade: RFC 9110 §7.8.

    Raises:
        BadResponse: a field can't be sent.
    """
    own = tuple([field for field in applications_own(fields) if field[0].lower() != b"upgrade"])
    asked_for = b"Upgrade: %b\r\nConnection: Upgrade\r\n" % upgrade
    return status_line(status) + asked_for + field_lines(own) + servers.lines() + END


def chunk(data: bytes) -> bytes:
    """Return data as a chunk; there must be some."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(request: Request, trailers: Fields) -> bytes:
    """Return the end of a chunked body.

    RFC 9110 §6.5.1: trailers go to those alone who said that they take them.

    Raises:
        BadResponse: a trailer can't be sent.
    """
    takes = checked(trailers) and b"trailers" in members(request.fields, b"te")
    return b"0\r\n" + (field_lines(allowed_trailers(trailers)) if takes else b"") + END


def _missing(servers: ServerFields, names: frozenset[bytes]) -> bytes:
    return field_lines(tuple([(name.title(), value) for name, value in servers.fields() if name not in names]))
