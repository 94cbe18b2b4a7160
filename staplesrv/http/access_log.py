"""A line for each request that was answered, or was to be: combined, as log readers know it, or JSON.

Whatever a client sent is escaped, so that no request can end a line, open a field or speak to a terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Literal, TypeAlias

from staplesrv import sources
from staplesrv.http.exchange import Exchange
from staplesrv.http.refused_request import RefusedRequest

Form: TypeAlias = Literal["combined", "json"]

_UNSAFE = re.compile(rb'[^\x20-\x7e]|["\\]')
_UNSAFE_IN_WORD = re.compile(rb'[^\x21-\x7e]|["\\]')


class AccessLog:
    """Writes a line when an exchange is over.

    Args:
        write: Takes a line, its end included.
        form: How lines look.
        seconds: A clock that never steps, for durations.
        wall_clock: Seconds since the epoch, for the time of day.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        form: Form = "combined",
        *,
        seconds: Callable[[], float] = sources.monotonic,
        wall_clock: sources.WallClock = sources.wall_clock,
    ) -> None:
        self._write = write
        self._line = _LINES[form]
        self._seconds = seconds
        self._wall_clock = wall_clock

    def begin(self, exchange: Exchange) -> None:
        """Take note of an exchange that begins; whoever else waits for its end is told all the same."""
        exchange.done = partial(self._over, self._seconds(), exchange.done)

    def refused(self, request: RefusedRequest) -> None:
        """Write a line for a request that no application was asked."""
        self._write(self._line(request, self._wall_clock(), request.seconds))

    def _over(self, began: float, then: Callable[[Exchange], None] | None, exchange: Exchange) -> None:
        self._write(self._line(exchange, self._wall_clock(), self._seconds() - began))
        if then is not None:
            then(exchange)


def combined_line(exchange: Exchange | RefusedRequest, now: float, duration: float) -> bytes:
    """Return the line that Apache and nginx call combined, with more at its end.

    That is: host, seconds, TLS version, group, and what became of the staple; a dash for each that there is not. The
    status of an exchange that ended before its response began is 499, which is nginx's number for it.

    Args:
        exchange: What is over.
        now: Seconds since the epoch.
        duration: In seconds.
    """
    request, connection = exchange.request, exchange.connection
    return b'%s - - [%s] "%s" %d %d "%s" "%s" %s %.3f %s %s %s\n' % (
        _word(connection.client[0].encode()),
        _time_of_day(int(now)),
        escaped(request.line or b"-"),
        exchange.status or 499,
        exchange.sent,
        escaped(request.field(b"referer") or b"-"),
        escaped(request.field(b"user-agent") or b"-"),
        _word(request.authority),
        duration,
        _word(connection.tls_version.encode()),
        _word(connection.group.encode()),
        _word(connection.staple.encode()),
    )


def json_line(exchange: Exchange | RefusedRequest, now: float, duration: float) -> bytes:
    r"""Return an object in one line, in ASCII; bytes that are no UTF-8 are written like `\xff`.

    Args:
        exchange: What is over.
        now: Seconds since the epoch.
        duration: In seconds.
    """
    request, connection = exchange.request, exchange.connection
    certificate = connection.client_certificate
    said = {
        "time": sources.utc(now).isoformat(timespec="milliseconds"),
        "client": connection.client[0],
        "host": _text(request.authority),
        "method": _text(request.method),
        "target": _text(request.target),
        "version": request.version,
        "status": exchange.status or 499,
        "bytes": exchange.sent,
        "seconds": round(duration, 6),
        "referer": _text(request.field(b"referer") or b""),
        "user_agent": _text(request.field(b"user-agent") or b""),
        "tls_version": connection.tls_version,
        "cipher": connection.cipher,
        "group": connection.group,
        "alpn": _text(connection.alpn),
        "server_name": _text(connection.server_name or b""),
        "staple": connection.staple,
        "client_subject": "" if certificate is None else certificate.subject,
    }
    return json.dumps(said).encode() + b"\n"


_Line: TypeAlias = Callable[[Exchange | RefusedRequest, float, float], bytes]

_LINES: Mapping[Form, _Line] = {"combined": combined_line, "json": json_line}


@lru_cache(2)
def _time_of_day(now: int) -> bytes:
    """A whole second as Apache writes it: the same for all lines of that second."""
    return sources.utc(now).strftime("%d/%b/%Y:%H:%M:%S +0000").encode()


def escaped(data: bytes) -> bytes:
    r"""Return printable ASCII for any bytes: quotes, backslashes and whatever is not printable as `\xHH`."""
    return _UNSAFE.sub(_as_number, data)


def _word(data: bytes) -> bytes:
    """The same without spaces, so that it is one field; a dash where it is empty."""
    return _UNSAFE_IN_WORD.sub(_as_number, data) or b"-"


def _as_number(match: re.Match[bytes]) -> bytes:
    return b"\\x%02x" % match[0][0]


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace")
