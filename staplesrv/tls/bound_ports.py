"""The sockets of one endpoint description, bound first and listening later.

Theory of operation: Twisted's own parsers turn the description into an endpoint, on a stand-in for the reactor whose
`listenTCP`, `listenUNIX` and `adoptStreamPort` bind and no more. So every description works that ends in one of these,
wrappers such as `haproxy:` included. Each bound socket goes to the real reactor by `adoptStreamPort` in the end.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorSocket,
    IReactorTCP,
    IReactorUNIX,
)
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from staplesrv.errors import OperatorError
from staplesrv.tls.server_socket import bind_tcp, bind_unix, listen

BACKLOG = 1024
"""Connections that the kernel holds ready, where the description doesn't say; its own limit may be lower."""

_TWISTED_BACKLOG = 50


@implementer(IListeningPort)
class BoundPorts:
    """Every socket of one endpoint description. `bind` makes it.

    Args:
        reactor: Will read from the sockets.
        where: The description.
    """

    def __init__(self, reactor: Any, where: str) -> None:
        self.where = where
        self._reactor = reactor
        self._bound: list[_Bound] = []
        self._factory = _LateFactory()
        self._ports: list[IListeningPort] = []

    @classmethod
    def bind(cls, reactor: Any, description: str) -> BoundPorts:
        """Bind what an endpoint description says, without listening.

        Args:
            reactor: The real one; `IReactorSocket` is what is used of it.
            description: `tcp:443` is every address, IPv4 and IPv6; also `tcp6:`, `unix:`, `systemd:` ...

        Raises:
            OperatorError: it is no description, or can't be bound. Nothing is left bound then.
        """
        ports = cls(reactor, description)
        kind = description.partition(":")[0].lower()
        if kind in {"ssl", "staple"}:
            raise OperatorError(description, f"{kind}: brings its own TLS", "use tcp: here")
        try:
            endpoint = serverFromString(_Binder(reactor, ports, description), description)  # type: ignore[no-untyped-call]
            ports._settle(endpoint.listen(ports._factory))
        except OperatorError:
            ports.close()
            raise
        except Exception as error:
            # The parsers, other people's too, raise whatever they like for a word that they do not know.
            ports.close()
            advice = "use for example tcp:443, tcp:8443:interface=127.0.0.1, or unix:/run/NAME"
            raise OperatorError(description, f"is no endpoint: {str(error)!a}", advice) from error
        return ports

    @property
    def addresses(self) -> Sequence[Any]:
        """What is bound: (host, port, ...) or a path, as the sockets say."""
        return tuple(bound.socket.getsockname() for bound in self._bound)

    def listen(self, factory: IProtocolFactory) -> None:
        """Listen on every socket, and serve with `factory`.

        Raises:
            OperatorError: another process was faster. Everything is closed then.
        """
        self._factory.wrapped = factory
        try:
            for bound in self._bound:
                bound.listen(self.where)
            self._ports = [bound.adopt(self._reactor) for bound in self._bound]
        except OperatorError:
            self.close()
            raise

    def startListening(self) -> None:
        """Do nothing: `listen` did it all."""

    def stopListening(self) -> Deferred[Any]:
        """Close every socket; the Deferred fires when they are closed."""
        ports, self._ports = self._ports, []
        stopping = [port.stopListening() or succeed(None) for port in ports]
        return DeferredList(stopping, consumeErrors=True).addCallback(lambda _: self.close())

    def getHost(self) -> IAddress:
        """Return the address of the first socket: the IPv4 one, if there is one."""
        return self._ports[0].getHost()

    def close(self) -> None:
        """Close every socket that does not listen yet."""
        bound, self._bound = self._bound, []
        for one in bound:
            one.close()

    def add(self, bound: _Bound) -> None:
        """Take over a socket; the stand-in reactor calls this."""
        self._bound.append(bound)

    def _settle(self, listening: Deferred[Any]) -> None:
        problems: list[BaseException | None] = []

        def failed(failure: Failure) -> None:
            problems.append(failure.value)

        listening.addErrback(failed)
        for problem in problems:
            if problem is not None:
                raise problem
        if not self._bound:
            listening.cancel()
            raise OperatorError(self.where, "can't be bound ahead of time", "use tcp:, unix: or systemd:")


class _Bound:
    """One socket, and the factory that it was bound for: ours, or what a wrapper made of it."""

    def __init__(
        self,
        bound: socket.socket,
        factory: IProtocolFactory,
        *,
        backlog: int | None,
        remove: Callable[[], None] = lambda: None,
    ) -> None:
        self.socket = bound
        self._factory = factory
        self._backlog = backlog
        self._remove = remove

    def listen(self, where: str) -> None:
        """Listen, unless whoever handed the socket over did so."""
        if self._backlog is not None:
            listen(where, self.socket, self._backlog)

    def adopt(self, reactor: IReactorSocket) -> IListeningPort:
        """Hand the socket to the reactor, which takes a copy of its own."""
        return reactor.adoptStreamPort(self.socket.fileno(), self.socket.family, cast("Any", self._factory))

    def close(self) -> None:
        """Close it and clear away what belongs to it."""
        self.socket.close()
        self._remove()


class _LateFactory(Factory):
    """Stands for the factory that is not known yet when sockets are bound."""

    noisy = False
    wrapped: IProtocolFactory | None = None

    def logPrefix(self) -> str:
        """Name what is served, in Twisted's line about the port."""
        return str(self.wrapped.logPrefix()) if isinstance(self.wrapped, Factory) else type(self.wrapped).__name__

    def doStart(self) -> None:
        """Pass it on."""
        if self.wrapped is not None:
            self.wrapped.doStart()

    def doStop(self) -> None:
        """Pass it on."""
        if self.wrapped is not None:
            self.wrapped.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Pass it on."""
        return None if self.wrapped is None else cast("IProtocol", self.wrapped.buildProtocol(addr))  # type: ignore[arg-type]


@implementer(IListeningPort)
class _Later:
    """What the stand-in reactor returns: `BoundPorts` does the rest."""

    def startListening(self) -> None:
        """Not yet."""

    def stopListening(self) -> None:
        """Not here."""

    def getHost(self) -> IAddress:
        """Not known here."""
        raise NotImplementedError


@implementer(IReactorTCP, IReactorUNIX, IReactorSocket)
class _Binder:
    """The reactor as endpoints see it while binding; what is not here is the real one's."""

    def __init__(self, reactor: Any, ports: BoundPorts, where: str) -> None:
        self._reactor = reactor
        self._ports = ports
        self._where = where
        self._said = "backlog=" in where

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> IListeningPort:
        """Bind for `tcp:` and `tcp6:`."""
        for bound in bind_tcp(self._where, port, interface):
            self._ports.add(_Bound(bound, factory, backlog=self._backlog(backlog)))
        return _Later()

    def listenUNIX(
        self, address: str, factory: IProtocolFactory, backlog: int = 50, mode: int = 0o666, wantPID: int = 0
    ) -> IListeningPort:
        """Bind for `unix:`."""
        bound, remove = bind_unix(self._where, Path(address), mode, lock=bool(wantPID))
        self._ports.add(_Bound(bound, factory, backlog=self._backlog(backlog), remove=remove))
        return _Later()

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> IListeningPort:
        """Take over what systemd or another process has bound, and listens on."""
        bound = socket.socket(addressFamily, socket.SOCK_STREAM, fileno=os.dup(fileDescriptor))
        self._ports.add(_Bound(bound, factory, backlog=None))
        return _Later()

    def listenSSL(self, *_: object, **__: object) -> IListeningPort:
        """TLS in TLS is what nobody means."""
        raise OperatorError(self._where, "brings its own TLS", "use tcp: here")

    def _backlog(self, given: int) -> int:
        # Endpoints hand over Twisted's default where the description has none.
        return given if self._said or given != _TWISTED_BACKLOG else BACKLOG
