"""A port whose connections speak TLS straight on their sockets. The sockets are real, the reactor is turned by hand."""

from __future__ import annotations

import errno
import gc
import select
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tls.caller import Caller
from tls.hand_reactor import HandReactor
from tls.toy_preamble import ToyPreamble
from tls.world import World
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IListeningPort, IProtocolNegotiationFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from staplesrv.tls.addresses import Address
from staplesrv.tls.connections import Closed, Connections
from staplesrv.tls.context_factory import ContextFactory
from staplesrv.tls.limits import Limits
from staplesrv.tls.port import PAUSE, TLSPort
from staplesrv.tls.preamble import MakePreamble

LOCAL = "127.0.0.1"


class Echo(Protocol):
    """Sends back what comes."""

    reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Take note."""
        self.reason = reason


class Echoes(Factory):
    """Makes echoes, or does what a test says instead."""

    noisy = False

    def __init__(self) -> None:
        self.make: Callable[[], Protocol | None] = Echo
        self.peers: list[Any] = []
        self.made: list[Any] = []
        self.running = 0

    def doStart(self) -> None:
        """Count."""
        self.running += 1

    def doStop(self) -> None:
        """Count."""
        self.running -= 1

    def buildProtocol(self, addr: Any) -> Protocol | None:
        """Make one."""
        self.peers.append(addr)
        self.made.append(self.make())
        return self.made[-1]


@implementer(IProtocolNegotiationFactory)
class Negotiating(Echoes):
    """Says which protocols it speaks."""

    names: Sequence[bytes] | None = (b"echo",)

    def acceptableProtocols(self) -> list[bytes]:
        """Say so, or fail."""
        if self.names is None:
            raise ValueError("no idea")
        return list(self.names)


class Flaky:
    """A listening socket whose next accepts fail."""

    def __init__(self, real: Any, *numbers: int) -> None:
        self._real = real
        self._numbers = list(numbers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def _accept(self) -> Any:
        if self._numbers:
            raise OSError(self._numbers.pop(0), "as the test says")
        return self._real._accept()


class House:
    """A port with all that it needs."""

    def __init__(self, contexts: ContextFactory) -> None:
        self.contexts = contexts
        self.reactor = HandReactor()
        self.factory = Echoes()
        self.limits: dict[str, Any] = {}
        self.make_preamble: MakePreamble | None = None
        self.stack = ExitStack()
        self.family = socket.AF_INET
        self.address: Any = (LOCAL, 0)

    def open(self) -> TLSPort:
        """Listen."""
        with socket.socket(self.family, socket.SOCK_STREAM) as listening:
            listening.bind(self.address)
            listening.listen(100)
            self.address = listening.getsockname()
            self.connections = Connections(Limits(**self.limits), self.reactor)
            self.port = TLSPort(
                self.reactor,
                listening,
                self.factory,
                self.contexts,
                self.connections,
                make_preamble=self.make_preamble,
            )
        self.port.startListening()
        return self.port

    def call(self, **options: Any) -> Caller:
        """Have a client connect."""
        return self.stack.enter_context(Caller(self.reactor, self.address, family=self.family, **options))

    def serves(self, **options: Any) -> bool:
        """Whether a client is served; it leaves nothing behind."""
        before = self.connections.open
        with Caller(self.reactor, self.address, family=self.family, **options) as caller:
            caller.shake_hands().send(b"hello")
            caller.wait_for(b"hello")
        self.reactor.until(lambda: self.connections.open == before)
        self.connections.closed[Closed.LOST] -= 1
        return True

    def close(self) -> None:
        """Close everything; nothing may be left of it."""
        if self.port.connected:
            self.port.stopListening()
        self.stack.close()
        self.reactor.settle()
        self.reactor.advance(100)
        self.reactor.settle()
        assert self.connections.open == self.connections.handshakes == len(self.connections.members) == 0
        assert not self.reactor.readers
        assert not self.reactor.writers
        assert not self.reactor.getDelayedCalls()


@pytest.fixture(scope="module")
def contexts() -> ContextFactory:
    """One site for all."""
    world = World()
    leaf = world.ca.issue("a.example")
    world.staple(leaf)
    return world.factory(world.site(leaf))


@pytest.fixture
def house(contexts: ContextFactory) -> Iterator[House]:
    """A port that does not listen yet."""
    made = House(contexts)
    before = descriptors()
    yield made
    made.close()
    assert descriptors() == before
    assert not made.reactor.errors


def descriptors() -> int:
    """How many this process has, but for what nobody has any more."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


class TestServing:
    def test_a_client_is_served(self, house: House) -> None:
        """With a staple; its protocol knows who it is and where it connected."""
        port = house.open()
        verifyObject(IListeningPort, port)
        caller = house.call().shake_hands()
        assert caller.tls.seen.staple
        caller.send(b"hello")
        caller.wait_for(b"hello")
        transport = house.factory.made[0].transport
        assert transport.getPeer() == house.factory.peers[0] == IPv4Address("TCP", *caller.socket.getsockname())
        assert transport.getHost() == port.getHost() == IPv4Address("TCP", *house.address)
        assert (house.connections.open, house.connections.accepted, house.connections.handshakes) == (1, 1, 0)

    def test_ipv6(self, house: House) -> None:
        """Its addresses are Twisted's for IPv6."""
        house.family, house.address = socket.AF_INET6, ("::1", 0)
        try:
            port = house.open()
        except OSError:
            house.address = (LOCAL, 0)
            house.family = socket.AF_INET
            house.open()
            pytest.skip("IPv6 is off here")
        assert house.serves()
        assert isinstance(port.getHost(), IPv6Address)
        assert house.factory.peers[0].host == "::1"

    def test_unix(self, house: House, tmp_path: Path) -> None:
        """Its clients have no address, and no limit per address."""
        house.family, house.address = socket.AF_UNIX, str(tmp_path / "s")
        house.limits = {"connections_per_address": 1}
        port = house.open()
        callers = [house.call().shake_hands() for _ in range(3)]
        assert not any(caller.ended for caller in callers)
        assert port.getHost() == UNIXAddress(str(tmp_path / "s").encode())
        assert house.factory.peers == [UNIXAddress(None)] * 3
        assert str(tmp_path / "s") in repr(port)

    def test_application_protocols_of_the_factory(self, house: House) -> None:
        """They are offered where the context factory names none."""
        house.factory = Negotiating()
        house.open()
        caller = house.call(alpn=[b"other", b"echo"]).shake_hands()
        assert caller.tls.seen.alpn == b"echo"
        assert house.factory.made[0].transport.negotiatedProtocol == b"echo"

    def test_many_at_once(self, house: House) -> None:
        """Those that are there have their turn before all new ones were let in."""
        house.open()
        for _ in range(40):
            house.call()
        house.reactor.turn(1)
        assert 0 < house.connections.accepted < 40
        house.reactor.settle()
        assert house.connections.accepted == 40

    def test_the_factory_starts_and_stops_with_it(self, house: House) -> None:
        """And connections go on after it, until they end by themselves."""
        port = house.open()
        caller = house.call().shake_hands()
        assert house.factory.running == 1
        stopped: list[object] = []
        port.stopListening().addCallback(stopped.append)
        house.reactor.settle()
        assert stopped
        assert house.factory.running == 0
        with pytest.raises(ConnectionRefusedError):
            house.call()
        caller.send(b"still there")
        caller.wait_for(b"still there")


class TestLimits:
    def test_too_many_connections(self, house: House) -> None:
        """The one too many is closed and counted; when one ends the next one is served."""
        house.limits = {"connections": 2}
        house.open()
        first, _ = house.call().shake_hands(), house.call().shake_hands()
        assert house.call().end()
        assert house.connections.closed == {Closed.CONNECTIONS: 1}
        first.socket.close()
        house.reactor.settle()
        assert house.serves()

    def test_too_many_of_one_address(self, house: House) -> None:
        """Others are served meanwhile."""
        house.limits = {"connections_per_address": 1}
        house.open()
        house.call().shake_hands()
        assert house.call().end()
        assert house.serves(source="127.0.0.2")
        assert house.connections.closed[Closed.ADDRESS] == 1

    def test_too_many_handshakes(self, house: House) -> None:
        """There is room again when one is done."""
        house.limits = {"handshakes": 1}
        house.open()
        slow = house.call()
        house.reactor.settle()
        assert house.call().end()
        assert house.connections.closed == {Closed.HANDSHAKES: 1}
        slow.shake_hands()
        assert house.serves()

    def test_a_slow_handshake(self, house: House) -> None:
        """It is cut off in time."""
        house.limits = {"handshake_seconds": 5}
        house.open()
        slow = house.call()
        house.reactor.settle()
        house.reactor.advance(5)
        assert slow.end() == "reset"
        assert house.connections.closed == {Closed.TIMEOUT: 1}
        assert house.factory.made[0].reason is not None

    def test_a_limit_shared_by_two_ports(self, house: House) -> None:
        """What is open on one counts for the other."""
        house.limits = {"connections": 1}
        first = house.open()
        other = socket.create_server((LOCAL, 0))
        house.stack.enter_context(other)
        second = TLSPort(house.reactor, other, house.factory, house.contexts, house.connections)
        second.startListening()
        house.call().shake_hands()
        house.address = other.getsockname()
        assert house.call().end()
        second.stopListening()
        assert first.connected

    def test_all_of_them_can_be_ended(self, house: House) -> None:
        """By their server, which stops: those that are served, and those whose handshake is not done."""
        house.open()
        served, silent = house.call(), house.call()
        served.shake_hands().send(b"hello")
        served.wait_for(b"hello")
        house.reactor.until(lambda: house.connections.open == 2)
        ended: list[None] = []
        house.connections.emptied().addCallback(ended.append)
        house.connections.abort()
        house.reactor.until(lambda: ended)
        assert house.connections.open == 0
        assert silent.end()


class TestFaults:
    @pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
    def test_no_descriptors(self, house: House, number: int, logged: list[dict[str, Any]]) -> None:
        """Who waits then is turned away and counted, silently; the next one is served."""
        port: Any = house.open()
        logged.clear()
        port.socket = Flaky(port.socket, number, number)
        unlucky = [house.call(), house.call()]
        assert all(one.end() for one in unlucky)
        assert house.connections.closed == {Closed.DESCRIPTORS: 2}
        assert not house.factory.made
        assert not logged
        assert house.serves()

    @pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.EPERM])
    def test_a_client_that_was_gone_before_it_was_taken_in(
        self, house: House, number: int, logged: list[dict[str, Any]]
    ) -> None:
        """The next one is taken in, and the log says nothing."""
        port: Any = house.open()
        port.socket = Flaky(port.socket, number)
        logged.clear()
        house.call()
        house.reactor.until(lambda: house.connections.open == 1)
        assert not logged

    def test_another_error(self, house: House, logged: list[dict[str, Any]]) -> None:
        """It is told in one line, and the port goes on a second later; it does not keep the reactor busy till then."""
        port: Any = house.open()
        port.socket = Flaky(port.socket, *[errno.ENOBUFS] * 4)
        logged.clear()
        waiting = house.call()
        for _ in range(4):
            house.reactor.settle()
            assert house.connections.open == 0
            house.reactor.advance(PAUSE)
        waiting.shake_hands().send(b"hello")
        waiting.wait_for(b"hello")
        assert [event["log_level"].name for event in logged] == ["error"]

    def test_no_descriptors_for_anybody(self, house: House, logged: list[dict[str, Any]]) -> None:
        """Where other processes take what the port lets go of, nobody can be turned away: they wait."""
        port: Any = house.open()
        port.socket = Flaky(port.socket, errno.ENFILE)
        port._turn_away = lambda: False
        logged.clear()
        waiting = house.call()
        house.reactor.settle()
        assert house.connections.open == 0
        house.reactor.advance(PAUSE)
        waiting.shake_hands()
        assert [event["log_level"].name for event in logged] == ["error"]

    def test_no_descriptor_to_go_on_with(
        self, house: House, logged: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the poller had nothing else to watch it needs one: it is tried again."""
        port: Any = house.open()
        port.socket = Flaky(port.socket, errno.ENOBUFS)
        logged.clear()
        waiting = house.call()
        house.reactor.settle()

        def none_left() -> None:
            raise OSError(errno.ENFILE, "none left")

        with monkeypatch.context() as patched:
            patched.setattr(select, "epoll", none_left)
            house.reactor.advance(PAUSE)
        house.reactor.advance(PAUSE)
        waiting.shake_hands()
        assert [event["log_level"].name for event in logged] == ["error"]

    def test_the_end_while_it_pauses(self, house: House) -> None:
        """Nothing goes on then."""
        port: Any = house.open()
        port.socket = Flaky(port.socket, errno.ENOBUFS)
        house.call()
        house.reactor.settle()
        port.stopListening()
        house.reactor.advance(PAUSE)
        house.reactor.settle()
        assert not house.reactor.getDelayedCalls()

    def test_no_protocol(self, house: House) -> None:
        """A factory that makes none for a client has it closed."""
        house.open()
        house.factory.make = lambda: None
        assert house.call().end()
        assert house.connections.open == 0
        house.factory.make = Echo
        assert house.serves()

    def test_a_factory_that_fails(self, house: House, logged: list[dict[str, Any]]) -> None:
        """The connection is closed, the log has why, and the next one is served."""

        def fail() -> Protocol:
            raise ValueError("the factory's")

        house.open()
        house.factory.make = fail
        assert house.call().end()
        assert [event["log_failure"].getErrorMessage() for event in failures(logged)] == ["the factory's"]
        assert house.connections.open == 0
        house.factory.make = Echo
        assert house.serves()

    def test_a_protocol_that_fails_when_it_is_connected(self, house: House, logged: list[dict[str, Any]]) -> None:
        """Its connection is aborted and it is told so, the log has why, and the next one is served."""

        class Failing(Echo):
            def connectionMade(self) -> None:
                raise ValueError("the protocol's")

        house.open()
        house.factory.make = Failing
        assert house.call().end()
        assert [event["log_failure"].getErrorMessage() for event in failures(logged)] == ["the protocol's"]
        assert house.factory.made[0].reason is not None
        house.factory.make = Echo
        assert house.serves()

    def test_a_protocol_that_fails_when_its_connection_is_lost(self, house: House) -> None:
        """Its client's bytes were there already, and no TLS: the next one is served all the same."""

        class Failing(Echo):
            def connectionLost(self, reason: Failure = connectionDone) -> None:
                raise ValueError("the protocol's")

        port = house.open()
        house.factory.make = Failing
        house.call().send_raw(b"GET / HTTP/1.1\r\n\r\n")
        house.reactor.settle()
        house.reactor.errors.clear()
        assert port.connected
        house.factory.make = Echo
        assert house.serves()

    def test_a_factory_that_fails_to_name_its_protocols(self, house: House) -> None:
        """The connection is closed and given back."""
        house.factory = factory = Negotiating()
        factory.names = None
        port = house.open()
        house.call()
        house.reactor.settle()
        house.reactor.errors.clear()
        left, house.connections.open = house.connections.open, 0
        assert (port.connected, left) == (True, 0)
        factory.names = [b"echo"]
        assert house.serves()


def failures(logged: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events about something that was raised."""
    return [event for event in logged if "log_failure" in event]


class TestPreamble:
    @pytest.fixture(autouse=True)
    def proxied(self, house: House) -> None:
        """Everybody is a proxy, but for 127.0.0.2."""

        def make(address: Address) -> ToyPreamble | None:
            return ToyPreamble() if getattr(address, "host", "") != "127.0.0.2" else None

        house.make_preamble = make

    def test_it_can_be_ended(self, house: House) -> None:
        """By a server that stops, as what follows can."""
        house.open()
        silent = house.call()
        house.reactor.until(lambda: house.connections.open == 1)
        house.connections.abort()
        assert house.connections.open == 0
        assert silent.end()

    @pytest.mark.parametrize("single", [False, True], ids=["in one segment", "in single bytes"])
    def test_the_client_is_whom_it_names(self, house: House, *, single: bool) -> None:
        """OpenSSL finds the whole hello behind it, however it comes."""
        house.open()
        caller = house.call()
        hello = b"FROM 192.0.2.7 4711\n" + caller.tls.outgoing()
        for piece in [hello[at : at + 1] for at in range(len(hello))] if single else [hello]:
            caller.send_raw(piece)
            house.reactor.turn()
        caller.shake_hands().send(b"hello")
        caller.wait_for(b"hello")
        assert house.factory.peers == [IPv4Address("TCP", "192.0.2.7", 4711)]
        assert house.factory.made[0].transport.getPeer() == house.factory.peers[0]
        assert house.connections.open == 1

    def test_a_proxy_on_a_unix_socket(self, house: House, tmp_path: Path) -> None:
        """Its clients have addresses, and the socket none: what is said of TCP does not go for that."""
        house.family, house.address = socket.AF_UNIX, str(tmp_path / "s")
        house.limits = {"connections_per_address": 1}
        house.open()
        caller = house.call()
        caller.send_raw(b"FROM 192.0.2.7 4711\n")
        caller.shake_hands().send(b"hello")
        caller.wait_for(b"hello")
        transport = house.factory.made[0].transport
        assert (transport.getPeer().host, transport.getHost().name) == ("192.0.2.7", str(tmp_path / "s").encode())
        transport.loseConnection()
        assert caller.end() == "closed"
        other = house.call()
        other.send_raw(b"FROM 192.0.2.7 4712\n")
        other.shake_hands()

    def test_who_sends_none(self, house: House) -> None:
        """Where none is expected the handshake comes first."""
        house.open()
        assert house.serves(source="127.0.0.2")

    def test_who_names_no_client_is_the_client(self, house: House) -> None:
        """Such as a proxy that looks whether we are there."""
        house.open()
        caller = house.call()
        caller.send_raw(b"FROM \n")
        caller.shake_hands()
        assert house.factory.peers == [IPv4Address("TCP", *caller.socket.getsockname())]

    def test_a_client_without_it(self, house: House) -> None:
        """It is closed and counted, and no protocol was made for it."""
        house.open()
        caller = house.call()
        caller.send_raw(caller.tls.outgoing())
        assert caller.end()
        assert (house.connections.closed, house.factory.made) == ({Closed.PREAMBLE: 1}, [])

    def test_a_silent_client(self, house: House) -> None:
        """It has as long as a handshake may take, and as long again for that."""
        house.limits = {"handshake_seconds": 5}
        house.open()
        silent, slow = house.call(), house.call()
        house.reactor.settle()
        house.reactor.advance(4)
        slow.send_raw(b"FROM 192.0.2.7 4711\n")
        house.reactor.settle()
        house.reactor.advance(1)
        assert silent.end()
        house.reactor.advance(3)
        assert not slow.ended
        house.reactor.advance(1)
        assert slow.end()
        assert house.connections.closed == {Closed.TIMEOUT: 2}

    @pytest.mark.parametrize(
        ("others", "counted"),
        [
            (["192.0.2.7", "192.0.2.8"], 0),
            (["192.0.2.7", "192.0.2.7"], 1),
            (["2001:db8::1", "2001:db8:0:1::1"], 0),
            (["2001:db8::1", "2001:db8::ffff:1"], 1),
            (["::ffff:192.0.2.7", "192.0.2.7"], 1),
        ],
    )
    def test_limits_hold_for_the_client_not_for_the_proxy(self, house: House, others: list[str], counted: int) -> None:
        """An IPv4 address, or the /64 of an IPv6 one."""
        house.limits = {"connections_per_address": 1}
        house.open()
        for host in others:
            caller = house.call()
            caller.send_raw(f"FROM {host} 1\n".encode())
            house.reactor.settle()
        assert house.connections.closed[Closed.ADDRESS] == counted
        assert house.connections.open == 2 - counted

    def test_it_counts_among_the_connections(self, house: House) -> None:
        """And among the handshakes, before it has said anything."""
        house.limits = {"connections": 1}
        house.open()
        house.call()
        house.reactor.settle()
        assert (house.connections.open, house.connections.handshakes) == (1, 1)
        assert house.call().end()
        assert house.connections.closed == {Closed.CONNECTIONS: 1}
