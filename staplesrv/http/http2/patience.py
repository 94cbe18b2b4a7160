"""How much trouble a client may make: one account for all the ways to keep a server busy with nothing."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from staplesrv.http.http2.frames import Code, ConnectionFault

FULL = 2_000
PER_SECOND = 100

CHEAP = 1
"""A frame that asks for little and brings nothing: PING, PRIORITY, WINDOW_UPDATE, GOAWAY, an empty DATA, an unknown
type."""

SETTINGS = 5
"""An acknowledgement, and every stream's window to be changed."""

WASTED = 10
"""A request whose answer the client throws away, or that has to be refused: rapid reset (CVE-2023-44487) and those
that make the server reset (CVE-2025-8671); a header block that is read for the table's sake alone. A browser that
leaves a page cancels a hundred at once."""

SERVED = 10
"""What a request that was answered to the end gives back."""

SENT = 4
"""What a DATA frame gives back: enough for the client to open both windows by two steps each."""

SHORT = 512
"""Bytes below which a DATA frame gives nothing back if the client's window made it so short: windows that are opened
byte by byte would pay for themselves."""


class Patience:
    """Runs out with what a client does, comes back with time and with what it gets done.

    Args:
        clock: The reactor.
    """

    __slots__ = ("_clock", "_left", "_since")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._left = FULL
        self._since = clock.seconds()

    def cost(self, much: int) -> None:
        """Take something off.

        Raises:
            ConnectionFault: none is left.
        """
        self._left -= much
        if self._left < 0:
            # Only now, that the clock is asked seldom.
            now = self._clock.seconds()
            self._left = min(FULL, self._left + int((now - self._since) * PER_SECOND))
            self._since = now
            if self._left < 0:
                raise ConnectionFault(Code.ENHANCE_YOUR_CALM)

    def earn(self, much: int) -> None:
        """Give something back."""
        self._left = min(FULL, self._left + much)
