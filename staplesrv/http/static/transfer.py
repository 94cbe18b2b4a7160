"""Sending a body that is not in memory, at the client's pace."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from staplesrv.http.exchange import Exchange
from staplesrv.http.fields import Fields


class Transfer:
    """A `Handler` that sends a file. It reads a piece when the client has taken the one before.

    Every HTTP version says `pause` once it holds more than it can send at once, so that a turn of the reactor sends a
    piece or a few.

    Args:
        exchange: What is answered.
        status: The response's.
        fields: With Content-Length.
        pieces: The body.
        close: Closes the file; called at the end, whatever that is.
    """

    def __init__(
        self, exchange: Exchange, status: int, fields: Fields, pieces: Iterator[bytes], close: Callable[[], object]
    ) -> None:
        self._exchange = exchange
        self._status = status
        self._fields = fields
        self._pieces: Iterator[bytes] | None = pieces
        self._close_file = close
        self._begun = False
        self._paused = False
        self._sending = False

    def body(self, data: bytes) -> None:
        """Ignore what comes with a GET: RFC 9110 §9.3.1 gives it no meaning."""

    def body_end(self, trailers: Fields) -> None:  # noqa: ARG002 - the interface's
        """Begin the response: not before the version knows its handler, which it may have to pause."""
        self._begun = True
        self._exchange.start(self._status, self._fields)
        self._send()

    def pause(self) -> None:
        """Write no more for now."""
        self._paused = True

    def resume(self) -> None:
        """Write on."""
        self._paused = False
        self._send()

    def lost(self) -> None:
        """The client is gone."""
        self._close()

    def _send(self) -> None:
        if self._sending or not self._begun:
            return  # told to write on by what it is writing
        self._sending = True
        try:
            while self._pieces is not None and not self._paused:
                self._send_piece(self._pieces)
        finally:
            self._sending = False

    def _send_piece(self, pieces: Iterator[bytes]) -> None:
        try:
            piece = next(pieces, None)
        except OSError:
            # The file became shorter, or its disk failed: the client must notice that not all of it came.
            self._close()
            self._exchange.abort()
            return
        if piece is not None:
            self._exchange.write(piece)
        else:
            self._close()
            self._exchange.finish()

    def _close(self) -> None:
        self._pieces = None
        self._close_file()
