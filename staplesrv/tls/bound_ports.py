"""The sockets of one endpoint description, bound first and listening later.

Theory of operation: Twisted's own parsers turn the description into an endpoint, on a stand-in for the reactor
(`binder`) that binds and no more. So every description works that ends in TCP, UNIX or adopted sockets, wrappers such
as `haproxy:` included. In the end TLS is put straight on each bound socket, or on what a wrapper makes of it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocol, IProtocolFactory, IReactorFDSet
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from staplesrv.errors import OperatorError
from staplesrv.tls import activation
from staplesrv.tls.binder import Binder, BoundSocket
from staplesrv.tls.connections import Connections
from staplesrv.tls.context_factory import ContextFactory
from staplesrv.tls.memory_tls import MemoryTLSFactory
from staplesrv.tls.port import TLSPort
from staplesrv.tls.preamble import MakePreamble


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
        self._bound: list[BoundSocket] = []
        self._factory = _LateFactory()
        self._ports: list[IListeningPort] = []

    @classmethod
    def bind(cls, reactor: Any, description: str, given: Sequence[socket.socket] | None = None) -> BoundPorts:
        """Bind what an endpoint description says, without listening.

        Args:
            reactor: The real one; `IReactorSocket` is what is used of it.
            description: `tcp:443` is every address, IPv4 and IPv6; also `tcp6:`, `unix:`, `systemd:` ...
            given: The sockets, where another process has bound them.

        Raises:
            OperatorError: it is no description, or can't be bound. Nothing is left bound then.
        """
        ports = cls(reactor, description)
        kind = description.partition(":")[0].lower()
        if kind in {"ssl", "staple"}:
            raise OperatorError(description, f"{kind}: brings its own TLS", "use tcp: here")
        if kind == activation.KIND:
            given = activation.activated(description) if given is None else given
            Binder(reactor, ports.add, description, given).take(ports._factory)
            return ports
        binder = Binder(reactor, ports.add, description, given)
        try:
            endpoint = serverFromString(binder, description)  # type: ignore[no-untyped-call]
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
        return tuple(dict.fromkeys(bound.socket.getsockname() for bound in self._bound))

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """What is bound."""
        return tuple(bound.socket for bound in self._bound)

    def rows(self) -> Sequence[BoundPorts]:
        """Part the sockets, so that each row has one for each address; several rows come from another process."""
        rows: list[BoundPorts] = []
        for bound in self._bound:
            free = (row for row in rows if bound.socket.getsockname() not in row.addresses)
            row = next(free, None)
            if row is None:
                row = BoundPorts(self._reactor, self.where)
                rows.append(row)
            row.add(bound)
        return rows

    def sibling(self) -> BoundPorts:
        """Bind the same addresses once more; those are to listen after these.

        Raises:
            OperatorError: one can't be bound. Nothing is left bound then.
        """
        ports = BoundPorts(self._reactor, self.where)
        try:
            for bound in self._bound:
                ports.add(bound.sibling(self.where))
        except OperatorError:
            ports.close()
            raise
        return ports

    def hold(self) -> None:
        """Listen for others, to whom the sockets are given: clients wait until these accept.

        Raises:
            OperatorError: another process was faster. Everything is closed then.
        """
        self._listen(None)

    def listen(self, factory: IProtocolFactory) -> None:
        """Listen on every socket, and serve in clear text.

        Raises:
            OperatorError: another process was faster. Everything is closed then.
        """
        self._factory.wrapped = factory
        self._listen(lambda bound: bound.adopt(self._reactor))

    def listen_tls(
        self,
        factory: IProtocolFactory,
        context_factory: ContextFactory,
        connections: Connections,
        *,
        make_preamble: MakePreamble | None = None,
    ) -> None:
        """Listen on every socket, and serve with TLS. The one place that picks the transport.

        Args:
            factory: Makes the protocols.
            context_factory: Makes the TLS connections under them.
            connections: Holds clients to the limits.
            make_preamble: What to expect before the handshake.

        Raises:
            OperatorError: another process was faster, or there is no place for a preamble here. Everything is closed
                then.
        """
        self._factory.wrapped = MemoryTLSFactory(context_factory, factory, connections, self._reactor)

        def serve(bound: BoundSocket) -> IListeningPort:
            if bound.factory is self._factory and IReactorFDSet.providedBy(self._reactor):
                port = TLSPort(
                    self._reactor, bound.socket, factory, context_factory, connections, make_preamble=make_preamble
                )
                port.startListening()
                return port
            if make_preamble is not None:
                raise OperatorError(self.where, "has no place for what comes before the handshake", "use tcp: or unix:")
            # Something stands between the socket and TLS (`haproxy:`), or there are no file descriptors.
            return bound.adopt(self._reactor)

        self._listen(serve)

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

    def leave_paths(self, heir: int) -> None:
        """Leave the paths of UNIX sockets to another process that has the sockets; `heir` is its pid."""
        for bound in self._bound:
            bound.leave_path(heir)

    def own_paths(self) -> None:
        """Clear away, in the end, the paths of UNIX sockets that another process has bound and leaves."""
        for bound in self._bound:
            bound.own_path()

    def leave_paths_to(self, heir: BoundPorts) -> None:
        """Have whoever has the same sockets clear away the paths of UNIX sockets, in the end."""
        # Of what has a path there is one; of other sockets the heir may have fewer, or more.
        for bound, other in zip(self._bound, heir._bound, strict=False):
            bound.leave_path_to(other)

    def add(self, bound: BoundSocket) -> None:
        """Take over a socket; the stand-in reactor calls this."""
        self._bound.append(bound)

    def _listen(self, serve: Callable[[BoundSocket], IListeningPort] | None) -> None:
        try:
            for bound in self._bound:
                bound.listen(self.where)
            if serve is not None:
                self._ports = [serve(bound) for bound in self._bound]
        except OperatorError:
            self.close()
            raise

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
