"""Bytes before the handshake, as when a proxy says who the client is. What follows them is left for OpenSSL."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from staplesrv.tls.addresses import Address
from staplesrv.tls.connections import Closed, Connections
from staplesrv.tls.poller import READING

_LOOK = 4096


class BadPreamble(ValueError):
    """The client began with something else than was agreed on. Its connection is closed and counted."""


class Preamble(Protocol):
    """Takes what comes before the handshake of one connection."""

    def feed(self, data: bytes) -> int | None:
        """Take the next bytes.

        Returns:
            How many of them belong to the preamble, where they complete it. None where all of them do, and more of it
            must follow.

        Raises:
            BadPreamble: they can't be its continuation.
        """

    @property
    def peer(self) -> Address | None:
        """Who the client is, once complete; None where it is who connected."""


MakePreamble = Callable[[Address], Preamble | None]
"""Makes the preamble to expect from whoever connects from an address; None where the handshake comes first."""


@implementer(IReadDescriptor)
class Preface:
    """A connection whose preamble is being read.

    The bytes are looked at where they lie, in the socket, and only those of the preamble are taken out.

    Args:
        connected: The socket, not blocking.
        preamble: Takes the bytes.
        connections: Where the connection counts; its time runs by the limits.
        complete: Takes the socket over once the preamble is complete.
        gone: Called instead where that never comes; the socket is closed then.
    """

    def __init__(
        self,
        connected: socket.SocketType,
        preamble: Preamble,
        connections: Connections,
        *,
        complete: Callable[[Address | None], object],
        gone: Callable[[], object],
    ) -> None:
        self._socket: socket.SocketType | None = connected
        self.fileno = connected.fileno
        self._preamble = preamble
        self._connections = connections
        self._complete = complete
        self._gone = gone
        connections.opening.begin(self)
        connections.poller.watch(self, 0, READING)

    def logPrefix(self) -> str:
        """Name it in the log."""
        return "preamble"

    def doRead(self) -> None:
        """Look at what has come."""
        if self._socket is None:
            return
        try:
            data = self._socket.recv(_LOOK, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(Closed.LOST)
            return
        try:
            length = self._preamble.feed(data)
        except BadPreamble:
            self._end(Closed.PREAMBLE)
            return
        self._socket.recv(len(data) if length is None else length)
        if length is not None:
            self._leave()
            self._complete(self._preamble.peer)

    def abortConnection(self) -> None:
        """End it; it took too long."""
        self._end(None)

    def readConnectionLost(self, reason: object) -> None:
        """End it, as some reactors say it."""
        self.connectionLost(reason)

    def connectionLost(self, reason: object) -> None:  # noqa: ARG002 - Twisted's interface
        """End it; the reactor calls this."""
        self._end(Closed.LOST)

    def _leave(self) -> socket.SocketType | None:
        left, self._socket = self._socket, None
        if left is not None:
            self._connections.opening.end(self)
            self._connections.poller.watch(self, READING, 0)
        return left

    def _end(self, why: Closed | None) -> None:
        left = self._leave()
        if left is None:
            return
        if why is not None:
            self._connections.closed[why] += 1
        left.close()
        self._gone()
