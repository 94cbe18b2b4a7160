"""The body of a request, kept until it is complete."""

from __future__ import annotations

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
    """

    def __init__(self, exchange: Exchange, answering: Answering) -> None:
        self._exchange = exchange
        self._answering = answering
        self._content: IO[bytes] | None = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - who gets it closes it
        self.pause = answering.pause
        self.resume = answering.resume

    def body(self, data: bytes) -> None:
        """Keep some of it."""
        if self._content is None:
            return
        try:
            self._content.write(data)
        except OSError as error:
            _log.error("The body of a request can't be kept: {error}", error=error)
            self._discard()
            self._exchange.send(page(500))

    def body_end(self, trailers: Fields) -> None:  # noqa: ARG002 - there is no place for them
        """Have it answered."""
        content, self._content = self._content, None
        if content is not None:
            content.seek(0)
            self._answering.process(content)

    def lost(self) -> None:
        """The client is gone."""
        self._discard()
        self._answering.lost()

    def _discard(self) -> None:
        content, self._content = self._content, None
        if content is not None:
            content.close()
