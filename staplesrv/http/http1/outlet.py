"""Our direction of a connection: whether the client keeps up with it, and how it is closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from staplesrv.http.write_now import has_own, write_now

UNPROVEN = 65_536
"""Bytes that are written to the transport before it is asked, by registering as its producer, whether it keeps up."""


@implementer(IPushProducer)
class Outlet:
    """Writes to a transport, and is its push producer once 64 KiB may wait there, until they are gone.

    A response of the usual size pays nothing for back-pressure.

    Args:
        transport: Twisted's.
        full: Called when the client does not keep up.
        empty: Called when all is sent after that.

    Attributes:
        blocked: The transport is full; what is put all the same waits there.
    """

    def __init__(self, transport: Any, full: Callable[[], None], empty: Callable[[], None]) -> None:
        self._transport = transport
        # Where our own transport is written to in another connection's turn, as by a proxy, it can send in that one.
        self._write_now = write_now(transport)
        self._full = full
        self._empty = empty
        self._unproven = 0
        self._producing = False
        self.blocked = False

    def put(self, data: bytes) -> None:
        """Send bytes."""
        self._unproven += len(data)
        if self._unproven > UNPROVEN:
            self._put_and_see(data)
        else:
            self._transport.write(data)

    def put_last(self, data: bytes) -> None:
        """Send the end of a response, which nothing follows for now."""
        self._unproven += len(data)
        if self._unproven > UNPROVEN:
            self._put_and_see(data)
        else:
            self._write_now(data)

    def patience(self, seconds: float) -> float:
        """Return how long a client may take for what waits, if it has so many seconds for each 64 KiB."""
        return seconds * (1 + self._unproven // UNPROVEN)

    def close_direction(self) -> bool:
        """Close our direction alone, where the transport can do so; tell whether it can."""
        if not has_own(self._transport, "loseWriteConnection"):
            return False
        self._release()
        self._transport.loseWriteConnection()
        return True

    def close(self) -> None:
        """End the connection when all is sent."""
        self._release()
        self._transport.loseConnection()

    def break_off(self) -> None:
        """End the connection when all is sent, and out of order where the transport can do that."""
        self._release()
        if has_own(self._transport, "breakConnection"):
            self._transport.breakConnection()
        else:
            self._transport.loseConnection()

    def abort(self) -> None:
        """End the connection at once, with a reset."""
        self._transport.abortConnection()

    def over(self) -> None:
        """The connection is over: nobody is to be told any more, nor kept alive for that."""
        self._full = self._empty = _nobody

    def pauseProducing(self) -> None:
        """The transport is full."""
        self.blocked = True
        self._full()

    def resumeProducing(self) -> None:
        """The transport is empty again."""
        self._release()
        self._unproven = 0
        self._empty()

    def stopProducing(self) -> None:
        """The connection ends, and its protocol is told."""

    def _put_and_see(self, data: bytes) -> None:
        if not self._producing:
            self._producing = True
            self._transport.registerProducer(self, True)
        self._transport.write(data)
        if not self.blocked:
            self._release()
            self._unproven = 0

    def _release(self) -> None:
        self.blocked = False
        if self._producing:
            self._producing = False
            self._transport.unregisterProducer()


def _nobody() -> None:
    """Tell nobody."""
