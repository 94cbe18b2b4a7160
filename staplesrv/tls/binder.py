"""A stand-in for the reactor that binds sockets where endpoints would listen."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IReactorSocket,
    IReactorTCP,
    IReactorUNIX,
)
from twisted.logger import Logger
from zope.interface import implementer

from staplesrv.errors import OperatorError
from staplesrv.tls.server_socket import (
    bind_beside,
    bind_tcp,
    bind_unix,
    claim,
    clear,
    let_others_listen,
    listen,
    path_of,
)
from staplesrv.tls.unix_port import adopt_unix

BACKLOG = 1024
"""Connections that the kernel holds ready, where the description doesn't say; its own limit may be lower."""

_TWISTED_BACKLOG = 50

_log = Logger()


class BoundSocket:
    """One socket, and the factory that it was bound for: ours, or what a wrapper made of it."""

    def __init__(
        self,
        bound: socket.socket,
        factory: IProtocolFactory,
        *,
        backlog: int | None,
        remove: Callable[[], None] | None = None,
    ) -> None:
        self.socket = bound
        self.factory = factory
        self._backlog = backlog
        self._remove = remove or _nothing
        self._has_siblings = False

    def listen(self, where: str) -> None:
        """Listen, unless whoever handed the socket over did so. Where it listens already, only the backlog is new."""
        if self._backlog is not None:
            listen(where, self.socket, self._backlog)
        if self._has_siblings:
            let_others_listen(self.socket)
        path = path_of(self.socket)
        if path is not None and self._remove is not _nothing:
            claim(path)

    def sibling(self, where: str) -> BoundSocket:
        """Bind its address once more. That one is to listen after this one."""
        self._has_siblings = True
        if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            let_others_listen(self.socket)
        return BoundSocket(bind_beside(where, self.socket), self.factory, backlog=self._backlog)

    def adopt(self, reactor: IReactorSocket) -> IListeningPort:
        """Hand the socket to the reactor, which takes a copy of its own."""
        if self.socket.family == socket.AF_UNIX:
            return adopt_unix(reactor, self.socket, self.factory)
        return reactor.adoptStreamPort(self.socket.fileno(), self.socket.family, cast("Any", self.factory))

    def leave_path(self) -> None:
        """Leave a path to another process that has the socket."""
        self._remove = _nothing

    def own_path(self) -> None:
        """Have the path of a UNIX socket that another process has bound, and clear it away in the end."""
        path = path_of(self.socket)
        if path is not None:
            claim(path)
            self._remove = partial(clear, path)

    def leave_path_to(self, heir: BoundSocket) -> None:
        """Have another one clear away, in the end, what belongs to the socket."""
        heir._remove, self._remove = self._remove, _nothing

    def close(self) -> None:
        """Close it and clear away what belongs to it, as far as there is the right to: twistd may have shed that."""
        self.socket.close()
        try:
            self._remove()
        except OSError as error:
            _log.warn("The path of a socket stays, as it can't be removed: {error}", error=str(error))


def _nothing() -> None:
    """There is nothing to clear away."""


@implementer(IListeningPort)
class _Later:
    """What the stand-in reactor returns: whoever took the socket does the rest."""

    def startListening(self) -> None:
        """Not yet."""

    def stopListening(self) -> None:
        """Not here."""

    def getHost(self) -> IAddress:
        """Not known here."""
        raise NotImplementedError


@implementer(IReactorTCP, IReactorUNIX, IReactorSocket)
class Binder:
    """The reactor as endpoints see it while binding; what is not here is the real one's.

    Args:
        reactor: The real one.
        add: Takes each socket that was bound.
        where: The description, for errors.
        given: The sockets, where another process has bound them.
    """

    def __init__(
        self,
        reactor: Any,
        add: Callable[[BoundSocket], None],
        where: str,
        given: Sequence[socket.socket] | None = None,
    ) -> None:
        self._reactor = reactor
        self._add = add
        self._where = where
        self._given = given
        self._said = "backlog=" in where

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> IListeningPort:
        """Bind for `tcp:` and `tcp6:`."""
        if self._given is not None:
            return self.take(factory, self._backlog(backlog))
        for bound in bind_tcp(self._where, port, interface):
            self._add(BoundSocket(bound, factory, backlog=self._backlog(backlog)))
        return _Later()

    def listenUNIX(
        self, address: str, factory: IProtocolFactory, backlog: int = 50, mode: int = 0o666, wantPID: int = 0
    ) -> IListeningPort:
        """Bind for `unix:`."""
        if self._given is not None:
            return self.take(factory)
        bound, remove = bind_unix(self._where, Path(address), mode, lock=bool(wantPID))
        self._add(BoundSocket(bound, factory, backlog=self._backlog(backlog), remove=remove))
        return _Later()

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> IListeningPort:
        """Take over what systemd or another process has bound, and listens on."""
        bound = socket.socket(addressFamily, socket.SOCK_STREAM, fileno=os.dup(fileDescriptor))
        self._add(BoundSocket(bound, factory, backlog=None))
        return _Later()

    def listenSSL(self, *_: object, **__: object) -> IListeningPort:
        """TLS in TLS is what nobody means."""
        raise OperatorError(self._where, "brings its own TLS", "use tcp: here")

    def take(self, factory: IProtocolFactory, backlog: int | None = None) -> IListeningPort:
        """Add the sockets that were given; without a backlog those listen already."""
        for given in self._given or ():
            given.setblocking(False)
            self._add(BoundSocket(given, factory, backlog=backlog))
        return _Later()

    def _backlog(self, given: int) -> int:
        # Endpoints hand over Twisted's default where the description has none.
        return given if self._said or given != _TWISTED_BACKLOG else BACKLOG
