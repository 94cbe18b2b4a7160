"""Who plays the server in Twisted's tests, and reactors on which whatever they listen with is this project's server.

Most of Twisted's tests of transports look at a client's: it aborts, writes, pauses, half-closes, while the server is
there to be connected to. With the roles swapped the protocol that a test calls its client is what our port serves.

Most of them do so in `connectionMade`, which comes before the handshake here as in Twisted's own TLS: that is one test,
and the same with its `connectionMade` put off until the handshake is done is another.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tls.twisteds_own.listening import StapleCreator, listen
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, IListeningPort
from twisted.internet.protocol import ClientFactory, Factory
from twisted.internet.ssl import ClientContextFactory
from twisted.internet.test.connectionmixins import EndpointCreator
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import alsoProvides


class HandshakeFirst(Factory):
    """Has protocols made by another factory called `connectionMade` once the handshake is done."""

    noisy = False

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def doStart(self) -> None:
        """Pass it on."""
        self._wrapped.doStart()

    def doStop(self) -> None:
        """Pass it on."""
        self._wrapped.doStop()

    def buildProtocol(self, addr: Any) -> Any:
        """Build a protocol, and put its `connectionMade` off."""
        protocol = self._wrapped.buildProtocol(addr)
        if protocol is not None:
            protocol.handshakeCompleted = protocol.connectionMade
            protocol.connectionMade = lambda: None
            alsoProvides(protocol, IHandshakeListener)
        return protocol


class Connecting(ClientFactory):
    """Connects with the protocols of a server's factory."""

    noisy = False

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def buildProtocol(self, addr: Any) -> Any:
        """Pass it on."""
        return self._wrapped.buildProtocol(addr)


class Swap(Factory):
    """Accepts with the protocols of clients' factories, each of which is good for one connection.

    Args:
        wrapped: The factory that a test means to listen with.
        handshake_first: Whether `connectionMade` comes after the handshake, on either side.
    """

    def __init__(self, wrapped: Any, *, handshake_first: bool) -> None:
        self._wrapped = HandshakeFirst(wrapped) if handshake_first else wrapped
        self._handshake_first = handshake_first
        self._next: list[tuple[Any, Deferred[Any]]] = []

    def doStart(self) -> None:
        """Pass it on."""
        self._wrapped.doStart()

    def doStop(self) -> None:
        """Pass it on."""
        self._wrapped.doStop()

    def accept_with(self, factory: Any) -> tuple[ClientFactory, Deferred[Any]]:
        """Return what to connect with, and a Deferred of the protocol that will have been connected to."""
        made: Deferred[Any] = Deferred()
        self._next.append((factory, made))
        return Connecting(self._wrapped), made

    def buildProtocol(self, addr: Any) -> Any:
        """Have the first client's factory that waits build one."""
        factory, made = self._next.pop(0)
        protocol = (HandshakeFirst(factory) if self._handshake_first else factory).buildProtocol(addr)
        if protocol is not None:
            made_method = "handshakeCompleted" if self._handshake_first else "connectionMade"
            setattr(protocol, made_method, partial(_made, getattr(protocol, made_method), made, protocol))
            protocol.connectionLost = partial(_lost, protocol.connectionLost, factory)
        return protocol


def _made(connection_made: Any, made: Deferred[Any], protocol: Any) -> None:
    connection_made()
    made.callback(protocol)


def _lost(connection_lost: Any, factory: Any, reason: Any) -> None:
    connection_lost(reason)
    if isinstance(factory, ClientFactory):
        factory.clientConnectionLost(None, reason)


class SwappedCreator(EndpointCreator):
    """Twisted's client for the protocol that a test means to listen with; our server has the other one.

    Args:
        handshake_first: Whether `connectionMade` comes after the handshake, on either side.
    """

    def __init__(self, *, handshake_first: bool = False) -> None:
        self._handshake_first = handshake_first

    def server(self, reactor: Any) -> Any:
        """Return what stands for a server's endpoint."""
        self._swap: Any = None
        self._endpoint = StapleCreator().server(reactor)
        return self

    def listen(self, factory: Any) -> Deferred[IListeningPort]:
        """Listen; see `IStreamServerEndpoint`."""
        self._swap = Swap(factory, handshake_first=self._handshake_first)
        return self._endpoint.listen(self._swap)  # type: ignore[no-any-return]

    def client(self, reactor: Any, serverAddress: Any) -> Any:
        """Return what stands for a client's endpoint."""
        self._connect = StapleCreator().client(reactor, serverAddress).connect
        return self

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect; see `IStreamClientEndpoint`."""
        connecting, made = self._swap.accept_with(factory)
        return self._connect(connecting).addCallback(lambda _: made)  # type: ignore[no-any-return]


class Stapling:
    """Mixed into a reactor: what listens has our TLS under it, what connects Twisted's."""

    client_factory: Any = staticmethod(TLSMemoryBIOFactory)
    handshake_first = False

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> IListeningPort:
        """Listen with TLS."""
        return listen(self, HandshakeFirst(factory) if self.handshake_first else factory, port, interface)

    def listenSSL(self, port: int, factory: Any, context_factory: Any, **options: Any) -> IListeningPort:
        """Listen with TLS, but not with their certificate."""
        return self.listenTCP(port, factory, **options)

    def connectTCP(self, host: str, port: int, factory: Any, *args: Any, **options: Any) -> Any:
        """Connect with TLS."""
        return self.connectSSL(host, port, factory, ClientContextFactory(), *args, **options)

    def connectSSL(self, host: str, port: int, factory: Any, contextFactory: Any, *args: Any, **options: Any) -> Any:
        """Connect with TLS."""
        wrapped = self.client_factory(contextFactory, True, factory, self)
        return super().connectTCP(host, port, wrapped, *args, **options)  # type: ignore[misc]


class Swapped(Stapling):
    """The same with the roles swapped."""

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> IListeningPort:
        """Listen for what is going to connect."""
        swap = Swap(factory, handshake_first=self.handshake_first)
        listening = listen(self, swap, port, interface)
        vars(self).setdefault("_swaps", {})[listening.getHost().port] = swap
        return listening

    def connectSSL(self, host: str, port: int, factory: Any, contextFactory: Any, *args: Any, **options: Any) -> Any:
        """Connect with what meant to listen."""
        connecting, _ = vars(self)["_swaps"][port].accept_with(factory)
        return super().connectSSL(host, port, connecting, contextFactory, *args, **options)


class StaplingLater(Stapling):
    """`Stapling` where `connectionMade` comes after the handshake."""

    handshake_first = True


class SwappedLater(Swapped):
    """`Swapped` where `connectionMade` comes after the handshake."""

    handshake_first = True


class EachReactor(ReactorBuilder):
    """Builds every kind of reactor that needs no toolkit of somebody else's."""

    _reactors = [  # noqa: RUF012 - as in the class that has it
        name for name in ReactorBuilder._reactors if "gireactor" not in name and "_threadedselect" not in name
    ]
    timeout = 5.0  # in place of two minutes; no test takes a second
    stapling: type[Stapling] | None = None

    def setUp(self) -> None:
        """See to it that there is an asyncio loop, which Twisted's tests look for and Python no longer makes."""
        super().setUp()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                asyncio.get_event_loop()
            except RuntimeError:
                asyncio.set_event_loop(asyncio.new_event_loop())

    def buildReactor(self) -> Any:
        """Build it, and have it staple where the test goes to the reactor itself."""
        reactor = super().buildReactor()
        if self.stapling is not None:
            # ReactorBuilder turns the global reactor into this one until the test is over.
            _mix_in(reactor, self.stapling)
            global_reactor.__class__ = reactor.__class__
        return reactor


class OnGlobalReactor:
    """Mixed into a test case of the global reactor's: has that staple while a test runs."""

    timeout = 10.0  # in place of two minutes
    stapling: type[Stapling] = Stapling

    def run(self, result: Any) -> Any:
        """Run the test."""
        with _stapling(self.stapling):
            return super().run(result)  # type: ignore[misc]


@contextmanager
def _stapling(stapling: type[Stapling]) -> Iterator[None]:
    real = global_reactor.__class__
    _mix_in(global_reactor, stapling)
    try:
        yield
    finally:
        global_reactor.__class__ = real


def _mix_in(reactor: Any, stapling: type[Stapling]) -> None:
    reactor.__class__ = type(f"{stapling.__name__}{type(reactor).__name__}", (stapling, type(reactor)), {})
