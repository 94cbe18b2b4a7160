"""The fields that the server itself adds to a response: Server and Date."""

from __future__ import annotations

from staplesrv.http.dates import format_date
from staplesrv.http.fields import Fields
from staplesrv.http.response import field_lines
from staplesrv.sources import WallClock

SERVER = b"staplesrv"
"""What the Server field says; a version would be of use to attackers alone."""

SERVER_NAMES = frozenset({b"server", b"date"})


class ServerFields:
    """Makes the fields once a second.

    Args:
        wall_clock: For Date: RFC 9110 §6.6.1.
    """

    def __init__(self, wall_clock: WallClock) -> None:
        self._wall_clock = wall_clock
        self._second = -1
        self._fields: Fields = ()
        self._lines = b""

    def lines(self) -> bytes:
        """Return the fields as HTTP/1.1 sends them."""
        second = int(self._wall_clock())
        if second != self._second:
            self._renew(second)
        return self._lines

    def fields(self) -> Fields:
        """Return the fields as HTTP/2 sends them: names in lower case."""
        self.lines()
        return self._fields

    def _renew(self, second: int) -> None:
        self._second = second
        date = format_date(second)
        self._lines = field_lines(((b"Server", SERVER), (b"Date", date)))
        self._fields = ((b"server", SERVER), (b"date", date))
