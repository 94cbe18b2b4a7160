"""Twisted's tests of TLS in memory, told that the memory is a socket and one of the two sides this project's."""

from __future__ import annotations

from functools import partial
from types import FunctionType
from typing import Any

from tls.twisteds_own.listening import listen
from twisted.internet import reactor as any_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import ClientFactory, Factory
from twisted.internet.task import deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test.ssl_helpers import ClientTLSContext
from zope.interface import alsoProvides

from staplesrv.tls.connections import Connections
from staplesrv.tls.limits import Limits

reactor: Any = any_reactor


def rebind(case: type, **names: Any) -> Any:
    """Return a subclass whose tests find other things under some names of their module."""
    functions = {name: found for name, found in vars(case).items() if isinstance(found, FunctionType)}
    return type(case.__name__, (case,), {name: _rebound(found, names) for name, found in functions.items()})


def _rebound(function: FunctionType, names: dict[str, Any]) -> FunctionType:
    known = {**function.__globals__, **names}
    made = FunctionType(function.__code__, known, function.__name__, function.__defaults__, function.__closure__)
    made.__doc__ = function.__doc__
    return made


class OurSide:
    """What stands for a TLS protocol in memory where our transport is meant.

    Args:
        context_factory: What the test would have used; a `HandshakeCallbackContextFactory` is told of the handshake.
        factory: Makes the protocol.
    """

    def __init__(self, context_factory: Any, factory: Any) -> None:
        self._context_factory = context_factory
        self.wrappedProtocol = factory.buildProtocol(None)

    @property
    def transport(self) -> Any:
        """Our transport, once there is one."""
        return self.wrappedProtocol.transport

    def buildProtocol(self, addr: Any) -> OurSide:
        """Return itself, factory and protocol in one."""
        return self

    def write(self, data: bytes) -> None:
        """Write on the wrapped protocol's transport."""
        self.wrappedProtocol.transport.write(data)

    def loseConnection(self) -> None:
        """Lose the wrapped protocol's transport."""
        self.wrappedProtocol.transport.loseConnection()

    def tell_of_handshake(self) -> None:
        """Have the test told once the handshake is done."""
        finished = getattr(self._context_factory, "_finished", None)
        if finished is not None:
            self.wrappedProtocol.handshakeCompleted = partial(finished.callback, None)
            alsoProvides(self.wrappedProtocol, IHandshakeListener)


def our_server(context_factory: Any, is_client: bool, factory: Any, clock: Any = None) -> Any:  # noqa: FBT001 - Twisted's
    """Stand for `TLSMemoryBIOFactory`: our transport has the server's protocol."""
    return TLSMemoryBIOFactory(context_factory, True, factory) if is_client else OurSide(None, factory)


def our_client(context_factory: Any, is_client: bool, factory: Any, clock: Any = None) -> Any:  # noqa: FBT001 - Twisted's
    """Stand for `TLSMemoryBIOFactory`: our transport has the protocol that a test calls the client's."""
    if is_client:
        return OurSide(context_factory, factory)
    return TLSMemoryBIOFactory(ClientTLSContext(), True, factory)


_ends: list[tuple[Any, Any, Deferred[Any], Connections]] = []


class ClosesSockets:
    """Mixed into a test case of those: closes what a test leaves open."""

    timeout = 10.0  # in place of two minutes

    async def tearDown(self) -> None:
        """Close both sides, and wait for the end."""
        while _ends:
            ours, theirs, ended, connections = _ends.pop()
            for transport in (ours.transport, theirs.transport):
                if transport is not None and not ended.called:
                    transport.abortConnection()
            await ended
            while connections.open:
                await deferLater(reactor, 0.001)  # some linger


def over_sockets(server: Any, client: Any, _policy: Any = None) -> Deferred[Any]:
    """Stand for `loopbackAsync`: connect both, and return a Deferred of the end of both."""
    ours, theirs = (server, client) if isinstance(server, OurSide) else (client, server)
    ours.tell_of_handshake()
    ends = [_end_of_ours(ours.wrappedProtocol), _end_of_theirs(theirs)]
    accepting = _Once(ours.wrappedProtocol)
    connections = Connections(Limits(), reactor)
    accepting.port = listen(reactor, accepting, interface="127.0.0.1", connections=connections)
    connecting = _Connecting(theirs)
    reactor.connectTCP("127.0.0.1", accepting.port.getHost().port, connecting)
    ended: Deferred[Any] = gatherResults([*ends, accepting.closed])
    _ends.append((ours, theirs, ended.addCallback(lambda _: None), connections))
    return ended


def _end_of_ours(protocol: Any) -> Deferred[None]:
    ended: Deferred[None] = Deferred()
    make = protocol.makeConnection

    def make_connection(transport: Any) -> None:
        lost = transport.connectionLost

        def connection_lost(reason: Any) -> None:
            # Tests set the protocol's `connectionLost` whenever they like; the transport's is nobody's business.
            lost(reason)
            if not ended.called:
                ended.callback(None)

        transport.connectionLost = connection_lost
        make(transport)

    protocol.makeConnection = make_connection
    return ended


def _end_of_theirs(protocol: Any) -> Deferred[None]:
    ended: Deferred[None] = Deferred()
    lost = protocol.connectionLost

    def connection_lost(reason: Any) -> None:
        lost(reason)
        ended.callback(None)

    protocol.connectionLost = connection_lost
    return ended


class _Once(Factory):
    """Accepts one connection, then closes its port."""

    noisy = False
    port: Any = None

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self.closed: Deferred[Any] = Deferred()

    def buildProtocol(self, addr: Any) -> Any:
        """Return the one."""
        self.port.stopListening().chainDeferred(self.closed)
        return self._protocol


class _Connecting(ClientFactory):
    noisy = False

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: Any) -> Any:
        """Return the one."""
        return self._protocol
