"""Raw bytes between a client and a backend."""

from __future__ import annotations

from typing import Any

import pytest
from fake_exchange import FakeConnection
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from staplesrv.http.proxy_protocol import ALPN, AUTHORITY, SSL, ProxyHeader, parse, ssl_value
from staplesrv.http.tunnel import CONNECT_SECONDS, Tunnel, client_header

DONE, LOST = Failure(ConnectionDone()), Failure(ConnectionLost())  # type: ignore[no-untyped-call]


class Wire(StringTransport):
    """A transport that has two directions, and records how each ends."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[str] = []
        self.options: list[str] = []

    def loseWriteConnection(self) -> None:
        """End one direction."""
        self.ends.append("half")

    def loseConnection(self) -> None:
        """End both."""
        self.ends.append("close")

    def abortConnection(self) -> None:
        """End at once."""
        self.ends.append("abort")

    def setTcpNoDelay(self, on: bool) -> None:  # noqa: FBT001
        """As TCP has it."""
        self.options.append("nodelay")

    def setTcpKeepAlive(self, on: bool) -> None:  # noqa: FBT001
        """As TCP has it."""
        self.options.append("keepalive")


class Quick(Wire):
    """A transport that can send at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = b""

    def write_now(self, data: bytes) -> None:
        """Send."""
        self.now += data


class OneWay(StringTransport):
    """A transport that has no half-close, as Twisted's own TLS."""

    ends: list[str]

    def loseConnection(self) -> None:
        """End both directions."""
        self.ends = ["close"]

    def __getattr__(self, name: str) -> Any:
        if name == "loseWriteConnection":
            return self._fail  # that of the connection below
        raise AttributeError(name)

    def _fail(self) -> None:
        raise AssertionError("That is for the connection below")


@implementer(IStreamClientEndpoint)
class Place:
    """A backend, to which a test connects when it likes."""

    def __init__(self) -> None:
        self.factory: Any = None
        self.cancelled = 0
        self.connecting: Deferred[Any] = Deferred(self._cancel)

    def _cancel(self, _: object) -> None:
        self.cancelled += 1

    def connect(self, factory: Any) -> Deferred[Any]:
        """Begin."""
        self.factory = factory
        return self.connecting

    def take(self, transport: Any) -> Any:
        """Take the connection."""
        protocol = self.factory.buildProtocol(None)
        protocol.makeConnection(transport)
        self.connecting.callback(protocol)
        return protocol


class Story:
    """A client of a tunnel, and the backend."""

    def __init__(self, *, says_who: bool = False, wire: Any = None, backend_wire: Any = None) -> None:
        self.clock = Clock()
        self.place = Place()
        self.tunnel = Tunnel(self.place, self.clock, where="tcp:backend:1", says_who=says_who)
        self.client = wire or Wire()
        self.backend = backend_wire or Wire()
        self.front: Any = self.tunnel.factory(FakeConnection()).buildProtocol(None)
        self.back: Any = None
        self.front.makeConnection(self.client)

    def connect(self) -> Story:
        """The backend takes the connection."""
        self.back = self.place.take(self.backend)
        return self


@pytest.fixture
def story() -> Story:
    """A tunnel that is through."""
    return Story().connect()


def test_bytes_go_both_ways(story: Story) -> None:
    """As they are; the backend may speak first."""
    story.back.dataReceived(b"220 ready\r\n")
    story.front.dataReceived(b"HELO\r\n")
    assert (story.client.value(), story.backend.value()) == (b"220 ready\r\n", b"HELO\r\n")
    assert story.tunnel.open == 1
    assert story.backend.options == ["nodelay", "keepalive"]


def test_a_transport_that_can_send_at_once_does() -> None:
    """Nothing waits for another turn then."""
    story = Story(wire=Quick()).connect()
    story.back.dataReceived(b"news")
    assert (story.client.now, story.client.value()) == (b"news", b"")


def test_the_client_is_read_once_the_backend_is_there() -> None:
    """What came before, with the handshake, is passed on first."""
    story = Story()
    assert story.client.producerState == "paused"
    story.front.dataReceived(b"ear")
    story.front.dataReceived(b"ly")
    story.connect()
    story.front.dataReceived(b", later")
    assert story.client.producerState == "producing"
    assert story.backend.value() == b"early, later"


def test_each_side_holds_back_the_other(story: Story) -> None:
    """A connection that is behind pauses the one that its bytes come from."""
    for slow, fast in ((story.client, story.backend), (story.backend, story.client)):
        assert (slow.producer, slow.streaming) == (fast, True)
        slow.producer.pauseProducing()
        assert fast.producerState == "paused"
        slow.producer.resumeProducing()
        assert fast.producerState == "producing"


# Ends.


def test_a_client_that_has_said_all(story: Story) -> None:
    """The backend is told, and its answer comes through; then both are closed."""
    story.front.readConnectionLost()
    assert (story.client.ends, story.backend.ends) == ([], ["half"])
    story.back.dataReceived(b"the answer")
    story.back.readConnectionLost()
    assert story.client.value() == b"the answer"
    assert (story.client.ends, story.backend.ends) == (["close"], ["half", "close"])
    assert story.client.producer is None


def test_a_backend_that_has_said_all(story: Story) -> None:
    """The client is told, and may go on; then both are closed."""
    story.back.readConnectionLost()
    story.front.writeConnectionLost()
    assert (story.client.ends, story.backend.ends) == (["half"], [])
    story.front.dataReceived(b"more")
    story.front.readConnectionLost()
    assert story.backend.value() == b"more"
    assert (story.client.ends, story.backend.ends) == (["half", "close"], ["close"])


def test_a_client_that_has_said_all_before_the_backend_is_there() -> None:
    """What it said gets there, and so does its end."""
    story = Story()
    story.front.dataReceived(b"all")
    story.front.readConnectionLost()
    story.connect()
    assert (story.backend.value(), story.backend.ends) == (b"all", ["half"])


def test_a_transport_without_half_close() -> None:
    """It is closed as a whole; what is below it is left alone."""
    story = Story(wire=OneWay()).connect()
    story.back.readConnectionLost()
    assert story.client.ends == ["close"]


@pytest.mark.parametrize("reason", [DONE, LOST])
def test_a_client_that_goes_away(story: Story, reason: Failure) -> None:
    """What it sent is passed on; then the backend's connection is closed."""
    story.front.dataReceived(b"last words")
    story.front.connectionLost(reason)
    assert (story.backend.value(), story.backend.ends) == (b"last words", ["close"])
    story.back.dataReceived(b"for nobody")
    story.back.connectionLost(DONE)
    assert (story.client.ends, story.client.value(), story.tunnel.open) == ([], b"", 0)


@pytest.mark.parametrize(("reason", "end"), [(DONE, "close"), (LOST, "abort")])
def test_a_backend_that_goes_away(story: Story, reason: Failure, end: str) -> None:
    """The client notices whether that was in order."""
    story.back.connectionLost(reason)
    assert story.client.ends == [end]
    story.front.connectionLost(DONE)
    assert story.backend.ends == []


# Connecting.


def test_a_backend_that_refuses(logged: list[Any]) -> None:
    """The client's connection is aborted; the log says so once, and once more when it can be reached again."""
    story = Story()
    for _ in range(2):
        story.place.connecting.errback(ConnectError())
        assert story.client.ends == ["abort"]
        story.front.connectionLost(LOST)
        story.place.connecting = Deferred()
        story.front = story.tunnel.factory(FakeConnection()).buildProtocol(None)
        story.client = Wire()
        story.front.makeConnection(story.client)
    assert story.tunnel.failed == 2
    assert [event["log_level"].name for event in logged] == ["error"]
    story.connect()
    assert [event["log_level"].name for event in logged] == ["error", "info"]


def test_a_backend_that_takes_too_long() -> None:
    """It has five seconds."""
    story = Story()
    story.clock.advance(CONNECT_SECONDS - 0.1)
    assert not story.client.ends
    story.clock.advance(0.2)
    assert (story.place.cancelled, story.client.ends, story.tunnel.failed) == (1, ["abort"], 1)


def test_a_client_that_goes_away_before_the_backend_is_there(logged: list[Any]) -> None:
    """The attempt is given up; that is nobody's fault."""
    story = Story()
    story.front.connectionLost(LOST)
    assert (story.place.cancelled, story.tunnel.failed, story.tunnel.open) == (1, 0, 0)
    assert not story.clock.getDelayedCalls()
    assert not logged


# Who the client is.


def test_the_backend_is_told_who_the_client_is() -> None:
    """Before anything else, also before what the client said early."""
    story = Story(says_who=True)
    story.front.dataReceived(b"hello")
    story.connect()
    found = parse(story.backend.value())
    assert found is not None
    header, length = found
    assert (header.client, header.server) == (("192.0.2.1", 40000), ("192.0.2.2", 443))
    assert header.tlvs == (
        (ALPN, b"http/1.1"),
        (AUTHORITY, b"example.org"),
        (SSL, ssl_value("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
    )
    assert story.backend.value()[length:] == b"hello"


def test_what_is_not_known_is_not_told() -> None:
    """No addresses of a UNIX socket, no TLS, no name."""
    facts = FakeConnection(secure=False, client=("", 0), server_name=None, alpn=b"", tls_version="", cipher="")
    assert parse(client_header(facts)) == (ProxyHeader(), 16)


def test_a_backend_on_a_socket_in_the_file_system() -> None:
    """It has none of TCP's options, and needs none."""
    story = Story(backend_wire=StringTransport()).connect()
    story.front.dataReceived(b"x")
    assert story.backend.value() == b"x"
