"""The factory: which protocol speaks on a connection."""

from __future__ import annotations

from typing import Any

from fake_exchange import FakeConnection
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from wire import Says, Wire, WireTransport
from zope.interface.verify import verifyObject

from staplesrv.http.factory import STOP_SECONDS, HTTPFactory
from staplesrv.http.http1 import HTTP1Connection

GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"


class Shouting(Protocol):
    """Speaks first, and answers in capitals."""

    transport: Any
    lost = False

    def connectionMade(self) -> None:
        """Speak."""
        self.transport.write(b"HELLO ")

    def dataReceived(self, data: bytes) -> None:
        """Answer."""
        self.transport.write(data.upper())

    def connectionLost(self, reason: object = None) -> None:  # type: ignore[override]
        """Take note."""
        self.lost = True


def made(**settings: Any) -> HTTPFactory:
    """Make a factory."""
    settings.setdefault("clock", Clock())
    return HTTPFactory(Says(), describe=lambda _transport: FakeConnection(), wall_clock=lambda: 0.0, **settings)


def test_protocols() -> None:
    """TLS asks the factory for ALPN names."""
    assert made(protocols=("h2", "http/1.1")).acceptableProtocols() == [b"h2", b"http/1.1"]


def test_waits_for_the_handshake() -> None:
    """Over TLS nothing is decided, nor counted, before the handshake is done."""
    factory = made()
    protocol = factory.buildProtocol(None)
    assert verifyObject(IHandshakeListener, protocol)
    assert verifyObject(IHalfCloseableProtocol, protocol)
    transport = WireTransport()
    transport.protocol = protocol
    protocol.makeConnection(transport)
    assert factory.connections == 0
    protocol.handshakeCompleted()
    assert factory.connections == 1
    transport.abortConnection()
    assert factory.connections == 0


def test_lost_before_the_handshake() -> None:
    """A connection whose handshake fails never was one."""
    wire = Wire(Says())
    protocol = wire.factory.buildProtocol(None)
    transport = WireTransport()
    transport.protocol = protocol
    protocol.makeConnection(transport)
    transport.abortConnection()
    assert wire.factory.connections == 1


def test_transport_that_tells_of_no_handshake() -> None:
    """The first data tell that the handshake is done, where nobody else does."""
    factory = made()
    protocol = factory.buildProtocol(None)
    transport = WireTransport()
    transport.protocol = protocol
    protocol.makeConnection(transport)
    protocol.dataReceived(GET)
    assert transport.written.startswith(b"HTTP/1.1 200 OK")


def test_without_tls() -> None:
    """Without TLS there is no handshake to wait for."""
    factory = made()
    protocol = factory.buildProtocol(None)
    transport: Any = StringTransport()
    protocol.makeConnection(transport)
    assert factory.connections == 1
    protocol.dataReceived(GET)
    assert transport.value().startswith(b"HTTP/1.1 200 OK")
    protocol.connectionLost(None)
    assert factory.connections == 0


def test_http_1_is_the_default() -> None:
    """A client that names no protocol is spoken to in HTTP/1.1."""
    for alpn in (None, b"http/1.1"):
        assert isinstance(Wire(Says(), alpn=alpn).protocol._speaker, HTTP1Connection)


def test_raw() -> None:
    """A site that is a byte tunnel speaks for itself, first where it likes, and is not counted as HTTP."""
    wire = Wire(Says(), raw=lambda _connection: Factory.forProtocol(Shouting))
    assert wire.send(b"abc") == b"HELLO ABC"
    assert wire.factory.connections == 0
    speaker = wire.protocol._speaker
    wire.half_close()
    assert wire.ended == "lost"
    assert speaker.lost


def test_not_raw() -> None:
    """A site that is none is spoken to in HTTP."""
    wire = Wire(Says(), raw=lambda _connection: None)
    assert wire.send(GET).startswith(b"HTTP/1.1 200 OK")


def test_raw_that_wants_nothing() -> None:
    """A raw factory that makes no protocol has the connection closed."""

    class Refusing(Factory):
        def buildProtocol(self, addr: object) -> None:  # type: ignore[override]
            """Make none."""

    wire = Wire(Says(), raw=lambda _connection: Refusing())
    assert wire.ended == "lost"


def test_connections_after_the_stop() -> None:
    """A handshake that is done when the server has stopped leads to one request, if that comes soon."""
    clock = Clock()
    factory = made(clock=clock)
    factory.stop()
    for protocol in (connected(factory), connected(factory)):
        assert protocol.transport.ended == ""
    protocol.dataReceived(GET)
    assert b"Connection: close\r\n" in protocol.transport.written
    assert protocol.transport.ended == "lost"
    assert factory.connections == 1
    clock.advance(STOP_SECONDS)
    assert factory.connections == 0
    assert not clock.getDelayedCalls()


def connected(factory: HTTPFactory) -> Any:
    """A connection whose handshake is done."""
    transport = WireTransport()
    protocol = transport.protocol = factory.buildProtocol(None)
    protocol.makeConnection(transport)
    protocol.handshakeCompleted()
    return protocol


def test_log() -> None:
    """Every exchange is told of when it is over, with its status and size."""
    wire = Wire(Says())
    wire.send(GET)
    assert [(exchange.status, exchange.sent) for exchange in wire.done] == [(200, 6)]
