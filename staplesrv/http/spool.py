"""The body of a request, kept until it is complete."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from tempfile import SpooledTemporaryFile
from typing import IO, Protocol

from twisted.logger import Logger

from staplesrv.http.exchange import Exchange
from staplesrv.http.fields import Fields
from staplesrv.http.pages import page

IN_MEMORY = 100_000
"""Bytes that are kept in memory; with more of them a body is in a temporary file. As Twisted has it."""

_log = Logger()


class Answering(Protocol):
    """Answers a request whose body is complete."""

    def process(self, content: IO[bytes]) -> object:
        """Begin; the body is at its start, and to be closed by whoever gets it."""

    def pause(self) -> None:
        """Write no more until `resume`."""

    def resume(self) -> None:
        """Write on."""

    def lost(self) -> None:
        """The client is gone; also before `process`, which does not come then."""


class Spool:
    """Takes the body of a request, and has it answered once it is there.

    Args:
        exchange: The exchange; its `body_limit` bounds what is kept.
        answering: Answers.
        keep: Makes the file; what is longer than its argument is not to be kept in memory.
    """

    def __init__(
        self, exchange: Exchange, answering: Answering, keep: Callable[[int], IO[bytes]] = SpooledTemporaryFile
    ) -> None:
        self._exchange = exchange
        self._answering = answering
        self._content: IO[bytes] | None = keep(IN_MEMORY)
        self.pause = answering.pause
        self.resume = answering.resume

    def body(self, data: bytes) -> None:
        """Keep some of it."""
        if self._content is None:
            return
        try:
            self._content.write(data)
        except OSError as error:
            self._give_up(error)

    def body_end(self, trailers: Fields) -> None:  # noqa: ARG002 - there is no place for them
        """Have it answered."""
        content = self._content
        if content is None:
            return
        try:
            content.seek(0)
        except OSError as error:
            # The last of it was not on the disk yet.
            self._give_up(error)
            return
        self._content = None
        self._answering.process(content)

    def lost(self) -> None:
        """The client is gone."""
        self._discard()
        self._answering.lost()

    def _give_up(self, error: OSError) -> None:
        _log.error("The body of a request can't be kept: {error}", error=error)
        self._discard()
        self._exchange.send(page(500))

    def _discard(self) -> None:
        content, self._content = self._content, None
        if content is not None:
            # A file tries once more to write what it could not; it is closed all the same.
            with suppress(OSError):
                content.close()
