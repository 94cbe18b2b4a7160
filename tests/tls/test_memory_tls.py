"""Twisted's own TLS, held to the limits as ours is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tls.world import World
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from staplesrv.tls.client import HandshakeFailed, StapleClient
from staplesrv.tls.connections import Closed, Connections
from staplesrv.tls.context_factory import ContextFactory
from staplesrv.tls.limits import Limits
from staplesrv.tls.memory_tls import MemoryTLSFactory

SOMEBODY = IPv4Address("TCP", "192.0.2.7", 4711)


class Echo(Protocol):
    """Sends back what comes, ends at a word."""

    reason: Any = None

    def dataReceived(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)
        if data == b"bye":
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Take note."""
        self.reason = reason.value


class Echoes(Factory):
    """Makes echoes, or does what a test says instead."""

    noisy = False
    make: Callable[[], Protocol | None] = Echo

    def __init__(self) -> None:
        self.made: list[Any] = []

    def buildProtocol(self, _addr: Any) -> Protocol | None:
        """Make one."""
        self.made.append(self.make())
        return self.made[-1]


class House:
    """A factory with all that it needs."""

    def __init__(self, contexts: ContextFactory, **limits: Any) -> None:
        self.clock = Clock()
        self.connections = Connections(Limits(**limits), self.clock)
        self.echoes = Echoes()
        self.factory = MemoryTLSFactory(contexts, self.echoes, self.connections, self.clock)
        self.factory.doStart()

    def call(self, address: Any = SOMEBODY) -> Call | None:
        """Have a client connect; None where it is closed."""
        protocol = self.factory.buildProtocol(address)
        return None if protocol is None else Call(self, protocol)


class Call:
    """One client, and the transport between."""

    def __init__(self, house: House, protocol: Any) -> None:
        self.clock = house.clock
        self.protocol = protocol
        self.transport = StringTransport()
        self.tls = StapleClient(server_name="a.example")
        protocol.makeConnection(self.transport)

    def exchange(self) -> None:
        """Carry bytes to and fro until there are none."""
        while True:
            self.clock.advance(0)
            sent, came = self.tls.outgoing(), self.transport.value()
            self.transport.clear()
            if not sent and not came:
                return
            if sent:
                self.protocol.dataReceived(sent)
            if came:
                self.tls.incoming(came)

    def end(self, reason: Exception) -> None:
        """Have the transport end."""
        self.protocol.connectionLost(Failure(reason))  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def contexts() -> ContextFactory:
    """One site for all."""
    world = World()
    return world.factory(world.site(world.ca.issue("a.example")))


def test_a_client_is_served(contexts: ContextFactory) -> None:
    """It counts while it is there, and its handshake until it is done."""
    house = House(contexts)
    call = house.call()
    assert call is not None
    assert (house.connections.open, house.connections.accepted, house.connections.handshakes) == (1, 1, 1)
    call.exchange()
    assert (call.tls.done, house.connections.handshakes) == (True, 0)
    call.tls.send(b"bye")
    call.exchange()
    assert call.tls.received() == b"bye"
    assert call.tls.closed
    call.tls.close()
    call.exchange()
    assert call.transport.disconnecting
    call.end(ConnectionDone())
    assert (house.connections.open, house.connections.closed) == (0, {})
    house.clock.advance(100)
    assert not call.transport.disconnected


def test_a_server_can_end_all_of_them(contexts: ContextFactory) -> None:
    """Those whose handshake is not done, too; what has ended is not among them."""
    house = House(contexts)
    calls = [call for call in (house.call(), house.call(), house.call()) if call is not None]
    calls[0].exchange()
    calls[1].end(ConnectionLost())
    house.connections.abort()
    assert [call.transport.disconnected for call in calls] == [True, False, True]
    for call in (calls[0], calls[2]):
        call.end(ConnectionAborted())
    assert not house.connections.members
    assert house.connections.open == 0


def test_too_many_connections(contexts: ContextFactory) -> None:
    """The one too many is closed and counted, and no protocol was made for it."""
    house = House(contexts, connections=1)
    first = house.call()
    assert first is not None
    assert house.call() is None
    assert (house.connections.closed, len(house.echoes.made)) == ({Closed.CONNECTIONS: 1}, 1)
    first.end(ConnectionDone())
    assert house.call()


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        (SOMEBODY, IPv4Address("TCP", "192.0.2.7", 1), True),
        (SOMEBODY, IPv4Address("TCP", "192.0.2.8", 1), False),
        (IPv6Address("TCP", "2001:db8::1", 1), IPv6Address("TCP", "2001:db8::2", 1), True),
        (UNIXAddress(None), UNIXAddress(None), False),
        (None, None, False),
    ],
)
def test_too_many_of_one_address(contexts: ContextFactory, first: Any, second: Any, *, refused: bool) -> None:
    """Where clients have one."""
    house = House(contexts, connections_per_address=1)
    assert house.call(first)
    assert (house.call(second) is None) is refused
    assert house.connections.closed == ({Closed.ADDRESS: 1} if refused else {})


def test_too_many_handshakes(contexts: ContextFactory) -> None:
    """There is room again when one is done."""
    house = House(contexts, handshakes=1)
    slow = house.call()
    assert slow is not None
    assert house.call() is None
    assert house.connections.closed == {Closed.HANDSHAKES: 1}
    slow.exchange()
    assert house.call()


def test_a_slow_handshake(contexts: ContextFactory) -> None:
    """It is cut off in time and counted, once."""
    house = House(contexts, handshake_seconds=5)
    slow = house.call()
    assert slow is not None
    slow.protocol.dataReceived(slow.tls.outgoing()[:50])
    house.clock.advance(5)
    assert slow.transport.disconnected
    slow.end(ConnectionAborted())
    assert (house.connections.open, house.connections.closed) == (0, {Closed.TIMEOUT: 1})
    assert house.echoes.made[0].reason is not None


@pytest.mark.parametrize(
    ("sent", "counted"),
    [(b"GET / HTTP/1.1\r\n\r\n", Closed.PLAIN_HTTP), (b"SSH-2.0-OpenSSH_9.2\r\n", Closed.HANDSHAKE)],
)
def test_what_is_no_tls(contexts: ContextFactory, sent: bytes, counted: Closed) -> None:
    """It is counted, and the protocol is told why."""
    house = House(contexts)
    call = house.call()
    assert call is not None
    call.protocol.dataReceived(sent)
    assert call.transport.disconnecting
    call.end(ConnectionDone())
    assert (house.connections.open, house.connections.closed) == (0, {counted: 1})


def test_a_fault_later(contexts: ContextFactory) -> None:
    """It has another name than that of a failed handshake."""
    house = House(contexts)
    call = house.call()
    assert call is not None
    call.exchange()
    call.protocol.dataReceived(bytes.fromhex("1703030020") + bytes(32))
    call.end(ConnectionDone())
    assert house.connections.closed == {Closed.FAULT: 1}


@pytest.mark.parametrize("shaken", [True, False])
@pytest.mark.parametrize("reason", [ConnectionDone, ConnectionLost])
def test_a_client_that_goes_away(contexts: ContextFactory, reason: type[Exception], *, shaken: bool) -> None:
    """Without a close_notify it is lost, whatever the transport says."""
    house = House(contexts)
    call = house.call()
    assert call is not None
    if shaken:
        call.exchange()
    call.end(reason())
    assert isinstance(house.echoes.made[0].reason, ConnectionLost)
    assert (house.connections.open, house.connections.handshakes) == (0, 0)
    assert house.connections.closed == {Closed.LOST: 1}


def test_a_client_that_says_goodbye(contexts: ContextFactory) -> None:
    """That is an orderly end."""
    house = House(contexts)
    call = house.call()
    assert call is not None
    call.exchange()
    call.tls.close()
    call.exchange()
    call.end(ConnectionDone())
    assert (house.connections.open, house.connections.closed) == (0, {})


def test_a_client_that_can_t_be_helped(contexts: ContextFactory) -> None:
    """A handshake that fails by its own offer gets its alert, as ever."""
    house = House(contexts)
    call = house.call()
    assert call is not None
    call.tls = StapleClient(server_name="a.example", max_version="TLSv1.2", ciphers="AES128-SHA")
    with pytest.raises(HandshakeFailed):
        call.exchange()
    call.end(ConnectionDone())
    assert house.connections.closed == {Closed.HANDSHAKE: 1}


def test_no_protocol(contexts: ContextFactory) -> None:
    """A factory that makes none, or fails, gives the place back."""
    house = House(contexts)
    house.echoes.make = lambda: None
    assert house.call() is None

    def fail() -> Protocol:
        raise ValueError("the factory's")

    house.echoes.make = fail
    with pytest.raises(ValueError, match="the factory's"):
        house.call()
    assert (house.connections.open, house.connections.closed) == (0, {})


def test_a_protocol_that_fails_at_the_end(contexts: ContextFactory) -> None:
    """Its place is given back all the same."""

    class Failing(Echo):
        def connectionLost(self, reason: Failure = connectionDone) -> None:
            raise ValueError("the protocol's")

    house = House(contexts)
    house.echoes.make = Failing
    call = house.call()
    assert call is not None
    with pytest.raises(ValueError, match="the protocol's"):
        call.end(ConnectionDone())
    assert house.connections.open == 0


def test_nothing_is_left_in_the_reactor(contexts: ContextFactory) -> None:
    """After the last port, and the last connection."""
    house = House(contexts)
    call = house.call()
    assert call is not None
    call.exchange()
    assert house.clock.getDelayedCalls()
    house.factory.doStop()
    assert not house.clock.getDelayedCalls()
