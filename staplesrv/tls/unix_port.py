"""A UNIX socket that listens already, handed to the reactor."""

# Twisted's own has no annotations, and each call would need a waiver of its own.
# mypy: allow-untyped-calls

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.unix import Port


class _AdoptedPort(Port):
    """Twisted's own lets everybody in, whatever the socket's permissions: it sets those of all it adopts to 0666."""

    socket: Any
    factory: Any
    numberAccepts: int

    def startListening(self) -> None:
        """Accept, and leave the path alone."""
        self.factory.doStart()
        self.socket, self._preexistingSocket = self._preexistingSocket, None
        self.fileno = self.socket.fileno  # type: ignore[method-assign]  # as Twisted's does
        self.connected = True
        self.numberAccepts = 100
        self.startReading()


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
