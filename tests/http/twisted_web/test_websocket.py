"""Resources that take a connection over."""

from __future__ import annotations

from typing import Any

import pytest
from fake_exchange import FakeExchange, request
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.websocket import WebSocketResource, WebSocketServerFactory, WebSocketTransport
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage

from staplesrv.http.exchange import Handler
from staplesrv.http.fields import Fields
from staplesrv.http.request import Request
from staplesrv.http.twisted_web.application import TwistedWeb

KEY: Fields = ((b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),)
HANDSHAKE: Fields = (
    (b"connection", b"keep-alive, Upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-version", b"13"),
)
HTTP1 = request(b"/socket", fields=(*HANDSHAKE, *KEY), upgrade=b"websocket")
HTTP2 = request(b"/socket", b"CONNECT", HANDSHAKE[2:], version="2", upgrade=b"websocket")


class Echo:
    """Twisted's kind of WebSocket protocol; sends back what comes."""

    transport: WebSocketTransport

    def __init__(self) -> None:
        self.lost: list[Any] = []

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        """Begin."""
        self.transport = transport

    def negotiationFinished(self) -> None:
        """Greet."""
        self.transport.sendTextMessage("hello")

    def textMessageReceived(self, message: str) -> None:
        """Send it back."""
        self.transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes) -> None:
        """Not here."""

    def pongReceived(self, payload: bytes) -> None:
        """Not here."""

    def connectionLost(self, reason: Any) -> None:
        """Remember it."""
        self.lost.append(reason.value)


class Factory(WebSocketServerFactory[Echo]):
    """Makes one."""

    def __init__(self) -> None:
        self.echo = Echo()

    def buildProtocol(self, request: Any) -> Echo:
        """Make it."""
        return self.echo


class Thief(Resource):
    """A resource that takes the transport as Autobahn's does, and writes what it is told."""

    isLeaf = True

    def __init__(self, *writes: bytes) -> None:
        super().__init__()
        self._writes = writes
        self.protocol = Recorder()

    def render(self, request: Any) -> int:
        """Take it."""
        transport, request.channel.transport = request.channel.transport, None
        transport.protocol = self.protocol
        self.protocol.makeConnection(transport)
        for data in self._writes:
            transport.write(data)
        return NOT_DONE_YET


class Recorder(Protocol):
    """Records."""

    transport: Any

    def __init__(self) -> None:
        self.data = b""
        self.lost: list[type[BaseException]] = []

    def dataReceived(self, data: bytes) -> None:
        """Record."""
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        """Record."""
        self.lost.append(type(reason.value))


def opened(resource: Resource, of: Request = HTTP1) -> tuple[FakeExchange, Handler]:
    """An exchange whose connection the resource has taken."""
    exchange = FakeExchange(of)
    exchange.handler = TwistedWeb(resource, Clock()).handle(exchange)
    assert exchange.handler is not None
    return exchange, exchange.handler


def socket_of(factory: Factory) -> Resource:
    """A tree with a WebSocket resource of Twisted's."""
    root = Resource()
    root.putChild(b"socket", WebSocketResource(factory))
    return root


def thief(*more: bytes) -> Thief:
    """One that accepts."""
    return Thief(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\nX-A: 1\r\n\r\n", *more)


@pytest.mark.parametrize("of", [HTTP1, HTTP2])
def test_twisteds_own_resource(of: Request) -> None:
    """The handshake becomes a tunnel in the version's own form, and messages go both ways through it."""
    factory = Factory()
    exchange, handler = opened(socket_of(factory), of)
    assert (exchange.told.tunnelled, exchange.told.status) == (True, 101 if of is HTTP1 else 200)
    accept = exchange.told.field(b"sec-websocket-accept")
    assert accept == (b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" if of is HTTP1 else None)
    client = Connection(ConnectionType.CLIENT)
    handler.body(client.send(TextMessage("one")))
    handler.body(client.send(TextMessage("two")))
    client.receive_data(exchange.told.body)
    assert [event.data for event in client.events() if isinstance(event, TextMessage)] == ["hello", "one", "two"]
    handler.body(client.send(CloseConnection(1000)))
    assert exchange.told.finished
    handler.body_end(())
    assert [type(reason) for reason in factory.echo.lost] == [ConnectionDone]


def test_no_handshake() -> None:
    """It is 400, and no tunnel."""
    exchange = FakeExchange(request(b"/socket"))
    assert TwistedWeb(socket_of(Factory()), Clock()).handle(exchange) is None
    assert (exchange.told.status, exchange.told.tunnelled) == (400, False)


def test_a_resource_that_takes_the_transport() -> None:
    """What it writes is the head of the answer, in whatever pieces, and then the tunnel's bytes."""
    exchange, handler = opened(Thief(b"HTTP/1.1 101 x\r\nConnection: Upgrade\r", b"\nX-A:  1 \r\n\r\nfir", b"st"))
    assert exchange.told.fields == ((b"X-A", b"1"),)
    assert exchange.told.body == b"first"
    assert handler is not None


def test_bytes_of_the_client() -> None:
    """They go to the protocol that the resource has set."""
    resource = thief()
    _, handler = opened(resource)
    handler.body(b"one ")
    handler.body(b"two")
    assert resource.protocol.data == b"one two"


def test_a_handshake_that_is_refused() -> None:
    """The answer is an ordinary one, and over when the protocol says so."""
    resource = Thief(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    exchange, _ = opened(resource)
    resource.protocol.transport.loseConnection()
    told = exchange.told
    assert (told.status, told.body, told.finished, told.tunnelled) == (403, b"no", True, False)


@pytest.mark.parametrize("how", ["loseConnection", "abortConnection"])
def test_a_protocol_that_gives_up_before_it_has_answered(how: str) -> None:
    """The exchange is broken off."""
    resource = Thief(b"HTTP/1.1 1")
    exchange, _ = opened(resource)
    getattr(resource.protocol.transport, how)()
    assert exchange.told.aborted
    assert resource.protocol.lost == [ConnectionLost]


def test_a_client_that_ends_in_order() -> None:
    """Our direction is ended too, and the protocol is told, once."""
    resource = thief()
    exchange, handler = opened(resource)
    handler.body_end(())
    handler.body(b"late")
    handler.body_end(())
    assert exchange.told.finished
    assert (resource.protocol.lost, resource.protocol.data) == ([ConnectionDone], b"")


def test_a_client_that_is_lost() -> None:
    """The protocol is told, and so are those who wait for the request's end."""
    resource = thief()
    _, handler = opened(resource)
    handler.lost()
    assert resource.protocol.lost == [ConnectionLost]


def test_back_pressure_both_ways() -> None:
    """The protocol's producer follows the client, and the client the protocol."""
    resource, told = thief(), []
    exchange, handler = opened(resource)
    transport = resource.protocol.transport

    class Producer:
        """Records."""

        pauseProducing = staticmethod(lambda: told.append("pause"))
        resumeProducing = staticmethod(lambda: told.append("resume"))
        stopProducing = staticmethod(lambda: told.append("stop"))

    transport.registerProducer(Producer, True)
    handler.pause()
    handler.resume()
    transport.unregisterProducer()
    handler.pause()
    assert told == ["pause", "resume"]
    transport.pauseProducing()
    assert exchange.told.body_paused
    transport.resumeProducing()
    assert not exchange.told.body_paused
    transport.setTcpNoDelay(True)
    transport.writeSequence([b"a", b"b"])
    assert exchange.told.body == b"ab"


@pytest.mark.parametrize("later", [False, True])
def test_a_page_is_no_tunnel(later: bool) -> None:  # noqa: FBT001
    """RFC 9110 §9.3.6: over HTTP/2 a 200 would be one, so that a resource that knows of no WebSocket answers 501."""

    class Page(Resource):
        isLeaf = True
        request: Any = None

        def render_GET(self, request: Any) -> Any:
            Page.request = request
            return NOT_DONE_YET if later else b"hello"

    exchange = FakeExchange(HTTP2)
    TwistedWeb(Page(), Clock()).handle(exchange)
    if later:
        Page.request.write(b"hello")
        Page.request.finish()
    assert (exchange.told.status, exchange.told.tunnelled, exchange.told.finished) == (501, False, True)
