"""A UNIX socket that listens already, handed to the reactor."""

# Twisted's own has no annotations, and each call would need a waiver of its own.
# mypy: allow-untyped-calls

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.tcp import Port as TCPPort
from twisted.internet.unix import Port
from twisted.python.failure import Failure


class _AdoptedPort(Port):
    """Leaves the path alone, which is `BoundSocket`'s.

    Of a socket that it adopts Twisted's own sets the permissions to 0666, and in the end it removes the path and shuts
    the socket down, which may be another process's by then.
    """

    _shouldShutdown = False
    socket: Any
    factory: Any
    numberAccepts: int

    def startListening(self) -> None:
        """Accept."""
        self.factory.doStart()
        self.socket, self._preexistingSocket = self._preexistingSocket, None
        self.fileno = self.socket.fileno  # type: ignore[method-assign]  # as Twisted's does
        self.connected = True
        self.numberAccepts = 100
        self.startReading()

    def connectionLost(self, reason: Failure) -> None:
        """Close it."""
        TCPPort.connectionLost(self, reason)


def adopt_unix(reactor: Any, bound: socket.socket, factory: IProtocolFactory) -> IListeningPort:
    """Have the reactor accept on a socket, of which it takes a copy of its own, as `adoptStreamPort` does.

    Args:
        reactor: The reactor.
        bound: Listens.
        factory: Makes protocols.
    """
    port: Any = _AdoptedPort._fromListeningDescriptor(reactor, bound.fileno(), factory)  # noqa: SLF001 - as adoptStreamPort
    port.startListening()
    adopted: IListeningPort = port
    return adopted
