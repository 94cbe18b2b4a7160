"""The body of a request, kept until it is complete."""

from __future__ import annotations

from tempfile import SpooledTemporaryFile

from twisted.logger import Logger

from staplesrv.http.exchange import Exchange
from staplesrv.http.fields import Fields
from staplesrv.http.pages import page
from staplesrv.http.twisted_web.channel import Channel

IN_MEMORY = 100_000
"""Bytes that are kept in memory; with more of them a body is in a temporary file. As Twisted has it."""

_log = Logger()


class Spool:
    """Takes the body of a request, and has a resource answer once it is there.

    Args:
        exchange: The exchange; its `body_limit` bounds what is kept.
        channel: Answers.
    """

    def __init__(self, exchange: Exchange, channel: Channel) -> None:
        self._exchange = exchange
        self._channel = channel
        self._content: SpooledTemporaryFile[bytes] | None = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - the request closes it

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

    def body_end(self, trailers: Fields) -> None:  # noqa: ARG002 - resources have no place for them
        """Have a resource answer."""
        content, self._content = self._content, None
        if content is not None:
            content.seek(0)
            self._channel.process(content)

    def pause(self) -> None:
        """Pass it on."""
        self._channel.pause()

    def resume(self) -> None:
        """Pass it on."""
        self._channel.resume()

    def lost(self) -> None:
        """The client is gone."""
        self._discard()
        self._channel.lost()

    def _discard(self) -> None:
        content, self._content = self._content, None
        if content is not None:
            content.close()
