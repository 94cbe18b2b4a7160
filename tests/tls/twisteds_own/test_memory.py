"""Twisted's tests of its TLS in memory, over sockets and of our transport; see `test_twisteds_own`."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from tls.twisteds_own.listening import StapleCreator, listen
from tls.twisteds_own.rebinding import ClosesSockets, OurSide, our_client, our_server, over_sockets, rebind
from tls.twisteds_own.recording import Producer, Recording, turns, until
from twisted.internet import reactor as any_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.testing import NonStreamingProducer
from twisted.protocols.test import test_tls as memory_tls
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test.ssl_helpers import ClientTLSContext
from twisted.test.test_tcp import ClosingProtocol
from twisted.trial.unittest import TestCase

reactor: Any = any_reactor


class MemoryTLS(
    ClosesSockets, rebind(memory_tls.TLSMemoryBIOTests, TLSMemoryBIOFactory=our_server, loopbackAsync=over_sockets)
):
    """What Twisted demands of its TLS in memory, of a server."""

    # These look into TLSMemoryBIOProtocol, or at it while it is connected to nothing.
    test_connectionLostOnlyAfterUnderlyingCloses = None
    test_errorWriting = None
    test_getHandle = None
    test_interfaces = None
    test_makeConnection = None
    test_wrappedProtocolInterfaces = None
    # This one has no TLS on the other side.
    test_disorderlyShutdown = None
    # This one compares with the certificate in Twisted's own files.
    test_getPeerCertificate = None
    # In this one the server asks for the client's certificate; `Reasons` has a handshake that fails.
    test_handshakeFailure = None

    async def shaken_hands(self) -> tuple[Any, Any, Any]:
        """Wait for the handshake, on both sides."""
        client, server, handshake, end = self.handshakeProtocols()
        ready: list[bytes] = []
        server.wrappedProtocol.dataReceived = ready.append
        await handshake
        client.wrappedProtocol.transport.write(b"ready")
        await until(lambda: ready, reactor)
        return client, server, end

    async def test_loseConnectionAfterHandshake(self) -> None:
        """A server that loses its connection sends what it wrote, hears nothing more, and ends in order.

        In Twisted's test it hears all that its client has still to say. Here a client that says so much in that very
        moment may find its connection closed under it.
        """
        client, server, end = await self.shaken_hands()
        reasons: list[Any] = []
        received: list[bytes] = []
        server.wrappedProtocol.connectionLost = reasons.append
        for side in (client, server):
            side.wrappedProtocol.dataReceived = received.append
        client.wrappedProtocol.transport.write(b"123456890" * 100_000)
        server.wrappedProtocol.transport.write(b"x")
        server.wrappedProtocol.transport.loseConnection()
        await end
        assert [reason.type for reason in reasons] == [ConnectionDone]
        assert received == [b"x"]

    async def test_loseConnectionTwice(self) -> None:
        """A connection that is lost twice is lost once.

        In place of Twisted's, which counts calls inside its transport.
        """
        _client, server, end = await self.shaken_hands()
        reasons: list[Any] = []
        server.wrappedProtocol.connectionLost = reasons.append
        for _ in range(2):
            server.wrappedProtocol.transport.loseConnection()
        await end
        assert [reason.type for reason in reasons] == [ConnectionDone]

    async def test_loseConnectionAfterConnectionLost(self) -> None:
        """To lose a connection that is lost does nothing.

        In place of Twisted's, which counts calls inside its transport.
        """
        client, server, end = await self.shaken_hands()
        transport = server.wrappedProtocol.transport
        client.wrappedProtocol.transport.loseConnection()
        await end
        transport.loseConnection()
        transport.abortConnection()
        transport.write(b"late")
        assert not transport.connected

    async def test_noCircularReferences(self) -> None:
        """A connection that has ended leaves no circle of references: it is gone without the garbage collector.

        In place of Twisted's, which has no socket and counts instances of its own class.
        """

        class Weak(Protocol):
            def connectionMade(self) -> None:
                transports.append(weakref.ref(self.transport))

            def connectionLost(self, reason: Any = None) -> None:
                ended.callback(None)

        transports: list[Any] = []
        ended: Deferred[None] = Deferred()
        gc.disable()
        self.addCleanup(gc.enable)
        port = listen(reactor, Factory.forProtocol(Weak), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        connecting = StapleCreator().client(reactor, port.getHost()).connect(Factory.forProtocol(Greeting))
        client = await connecting
        await ended
        await deferLater(reactor, 0)
        assert [transport() for transport in transports] == [None]
        assert client.data == b""


class SwappedMemoryTLS(
    ClosesSockets, rebind(memory_tls.TLSMemoryBIOTests, TLSMemoryBIOFactory=our_client, loopbackAsync=over_sockets)
):
    """What Twisted demands of its TLS in memory, of what its tests call the client."""

    # As in `MemoryTLS`, which also has what was put in the place of the last five.
    test_connectionLostOnlyAfterUnderlyingCloses = None
    test_errorWriting = None
    test_getHandle = None
    test_getPeerCertificate = None
    test_handshakeFailure = None
    test_interfaces = None
    test_makeConnection = None
    test_wrappedProtocolInterfaces = None
    test_loseConnectionAfterConnectionLost = None
    test_loseConnectionAfterHandshake = None
    test_loseConnectionTwice = None
    test_noCircularReferences = None
    test_unexpectedEOF = None

    async def test_writeUnicodeRaisesTypeError(self) -> None:
        """Text is refused, and the connection goes on.

        In place of Twisted's, which in some versions counts what its own transport logs.
        """

        def write(transport: Any) -> None:
            with pytest.raises(TypeError):
                transport.write("text")
            transport.write(b"bytes")
            transport.loseConnection()

        server, client = Recording(made=write), Recording()
        theirs = TLSMemoryBIOFactory(ClientTLSContext(), True, Factory.forProtocol(lambda: client))
        await over_sockets(OurSide(None, Factory.forProtocol(lambda: server)), theirs.buildProtocol(None))
        assert client.data == b"bytes"

    async def test_disorderlyShutdown(self) -> None:
        """A client that goes away before its handshake is reported as what it is.

        In place of Twisted's, where the other side is one in memory.
        """
        protocol = Recording()
        plain = ClosingProtocol()
        await over_sockets(OurSide(None, Factory.forProtocol(lambda: protocol)), plain)
        assert protocol.calls == ["made", ("lost", ConnectionLost)]


class Producers(ClosesSockets, TestCase):
    """What Twisted's `TLSProducerTests` demand, under the same names, and of a socket in place of TLSMemoryBIOProtocol.

    Left out are `test_interface`, of a class that is not used here;
    `test_streamingProducerBothTransportsDecideToPause`, for here there is one transport; and
    `test_maximumCompatibilityWarning` and `test_brokenContextFactoryErrors`, of context factories that are not ours.
    `NonStreamingProducerTests` are about a class that makes a push producer of a pull one, which no socket needs.
    """

    much = 8 << 20  # more than both sockets take

    def connect(self, server: Recording) -> tuple[Recording, Any]:
        """Connect a client; return its protocol, and a Deferred of the end of both."""
        client = Recording()
        theirs = TLSMemoryBIOFactory(ClientTLSContext(), True, Factory.forProtocol(lambda: client))
        end = over_sockets(OurSide(None, Factory.forProtocol(lambda: server)), theirs.buildProtocol(None))
        return client, end

    async def connected(self) -> tuple[Recording, Recording, Any]:
        """Connect a client, and wait for the handshake on both sides."""
        server = Recording()
        client, end = self.connect(server)
        await until(lambda: "handshook" in server.calls and "handshook" in client.calls, reactor)
        return server, client, end

    async def test_streamingProducerPausedInNormalMode(self) -> None:
        """A producer is paused when it has written more than the socket takes, and resumed when that is sent."""
        server, client, _end = await self.connected()
        producer = Producer()
        client.transport.pauseProducing()
        server.transport.registerProducer(producer, True)
        server.transport.write(bytes(self.much))
        await turns(reactor)
        assert producer.calls == ["pause"]
        client.transport.resumeProducing()
        await until(lambda: len(client.data) == self.much, reactor)
        assert producer.calls == ["pause", "resume"]

    async def test_streamingProducerPausedInWriteBlockedOnReadMode(self) -> None:
        """Before the handshake, too; Twisted pauses at the first byte then, here it is where a buffer is full."""
        producer = Producer()

        def write(transport: Any) -> None:
            transport.registerProducer(producer, True)
            transport.write(b"hello")
            assert producer.calls == []
            transport.write(bytes(self.much))
            assert producer.calls == ["pause"]

        server = Recording(made=write)
        client, _end = self.connect(server)
        await until(lambda: len(client.data) == len(b"hello") + self.much, reactor)
        assert producer.calls == ["pause", "resume"]
        assert server.calls == ["made", "handshook"]

    async def test_streamingProducerTwice(self) -> None:
        """A second producer is refused, and the first one stays."""
        server, _client, _end = await self.connected()
        producer = Producer()
        server.transport.registerProducer(producer, True)
        with pytest.raises(RuntimeError):
            server.transport.registerProducer(Producer(), True)
        assert server.transport.producer is producer

    async def test_streamingProducerUnregister(self) -> None:
        """A producer is taken off once or twice, and has no part in what follows."""
        server, client, _end = await self.connected()
        producer = Producer()
        server.transport.registerProducer(producer, True)
        server.transport.unregisterProducer()
        server.transport.unregisterProducer()
        server.transport.write(bytes(self.much))
        server.transport.loseConnection()
        await until(lambda: len(client.data) == self.much, reactor)
        assert producer.calls == []

    def lose_with_producer(self, transport: Any) -> None:
        """Lose a connection with a producer that writes on for a while."""
        transport.registerProducer(Producer(), True)
        transport.write(b"x ")
        transport.loseConnection()

        def write_on() -> None:
            transport.write(b"hello")
            transport.writeSequence([b" ", b"world"])
            transport.unregisterProducer()
            transport.write(b"won't")
            transport.writeSequence([b"won't!"])

        reactor.callLater(0, reactor.callLater, 0, write_on)

    async def test_streamingProducerLoseConnectionWithProducer(self) -> None:
        """A connection that is lost ends when its producer is done, with all that it wrote by then and no more."""
        server = Recording(handshook=self.lose_with_producer)
        client, end = self.connect(server)
        await end
        assert client.data == b"x hello world"
        assert (server.calls[-1], client.calls[-1]) == (("lost", ConnectionDone), ("lost", ConnectionDone))

    async def test_streamingProducerLoseConnectionWithProducerWBOR(self) -> None:
        """It does so where it was lost before the handshake."""
        server = Recording(made=self.lose_with_producer)
        client, end = self.connect(server)
        await end
        assert client.data == b"x hello world"
        assert (server.calls[-1], client.calls[-1]) == (("lost", ConnectionDone), ("lost", ConnectionDone))

    async def test_streamingProducerStopProducing(self) -> None:
        """A producer is stopped when the connection is gone."""
        server, client, end = await self.connected()
        producer = Producer()
        server.transport.registerProducer(producer, True)
        client.transport.abortConnection()
        await end
        assert producer.calls == ["stop"]

    async def test_stopProducingRaises(self) -> None:
        """A producer that fails when it is stopped is logged, and the connection ends all the same.

        Twisted has no such test.
        """
        server, client, end = await self.connected()
        producer = Producer()
        producer.stopProducing = lambda: 1 / 0  # type: ignore[assignment]
        server.transport.registerProducer(producer, True)
        client.transport.abortConnection()
        await until(lambda: self.flushLoggedErrors(ZeroDivisionError), reactor)
        await end
        assert server.calls[-1] == ("lost", ConnectionLost)

    async def test_nonStreamingProducer(self) -> None:
        """A pull producer is asked until it is done."""
        server, client, end = await self.connected()
        producer = NonStreamingProducer(server.transport)
        server.transport.registerProducer(producer, False)
        await producer.result
        server.transport.loseConnection()
        await end
        assert client.data == b"0123456789"
        assert producer.consumer is None

    async def test_streamingProducerAfterConnectionLost(self) -> None:
        """A producer that comes after the end is stopped at once."""
        server, client, end = await self.connected()
        client.transport.loseConnection()
        transport = server.transport
        await end
        producers = [Producer(), Producer()]
        for producer, streaming in zip(producers, (True, False), strict=True):
            transport.registerProducer(producer, streaming)
        assert [producer.calls for producer in producers] == [["stop"], ["stop"]]

    test_streamingProducerResumedInNormalMode = None  # is in what it resumes from, as are the other two
    test_streamingProducerResumedInWriteBlockedOnReadMode = None
    test_nonStreamingProducerAfterConnectionLost = None

    # From here on `DeterministicTLSMemoryBIOTests`, which are of a pair of TLSMemoryBIOProtocol, too.

    async def test_handshakeNotification(self) -> None:
        """A protocol that asks for it is told of the handshake, before it gets data."""
        server, client, _end = await self.connected()
        client.transport.write(b"hello")
        await until(lambda: server.data, reactor)
        assert server.calls == ["made", "handshook", "data"]

    async def test_handshakeStopWriting(self) -> None:
        """What was written before the handshake is not sent where the protocol aborts when it is told of it."""
        server = Recording(
            made=lambda transport: transport.write(b"trusting"), handshook=lambda transport: transport.abortConnection()
        )
        client, end = self.connect(server)
        await end
        assert client.data == b""
        assert server.calls == ["made", "handshook", ("lost", ConnectionAborted)]

    async def test_smallWriteBuffering(self) -> None:
        """Small writes of one turn go out together."""

        def write(transport: Any) -> None:
            transport.write(b"hel")
            transport.write(b"lo")
            transport.loseConnection()

        client, end = self.connect(Recording(handshook=write))
        await end
        assert client.calls == ["made", "handshook", "data", ("lost", ConnectionDone)]
        assert client.data == b"hello"


class Greeting(Protocol):
    """Says something, then closes."""

    data = b""

    def connectionMade(self) -> None:
        """Say it."""
        self.transport.write(b"hello")
        self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.data += data
