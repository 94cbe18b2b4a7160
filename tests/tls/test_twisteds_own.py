"""Twisted's own tests of transports, with this project's endpoint as what listens, on each reactor.

Each class here takes one of Twisted's as it is. Where a test can't hold, it is replaced by one under the same name, or
by None, with the reason beside it. `twisteds_own` has those of the global reactor and of TLS in memory.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest
from tls.twisteds_own.listening import StapleCreator, StartTLSCreator, listen
from tls.twisteds_own.recording import Recording, turns, until
from tls.twisteds_own.roles import EachReactor, Stapling, StaplingLater, Swapped, SwappedCreator, SwappedLater
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import ClientFactory, Factory, Protocol, ServerFactory
from twisted.internet.test import connectionmixins
from twisted.internet.test import test_tcp as reactor_tcp
from twisted.python.log import err, textFromEventDict


def for_each_reactor(*builders: Any) -> dict[str, Any]:
    """Return a test case per builder and reactor, for the module's namespace."""
    return {name: case for builder in builders for name, case in builder.makeTestCaseClasses().items()}


class Connections(EachReactor, connectionmixins.ConnectionTestsMixin):
    """Connections by Twisted's `connectSSL`."""

    endpoints = StapleCreator()

    def test_logPrefix(self) -> None:
        """What a transport is called in the log has in it what its protocol wants to be called.

        Twisted's test looks for it in the log's context while the protocol is called. The reactor calls one descriptor
        for all connections here, and that is what the context names.
        """
        prefixes: list[str] = []

        class Named(connectionmixins.ConnectableProtocol):
            def logPrefix(self) -> str:
                return "Custom"

            def connectionMade(self) -> None:
                prefixes.append(self.transport.logPrefix())
                self.transport.loseConnection()

        connectionmixins.runProtocolsWithReactor(self, Named(), Named(), self.endpoints)
        assert ["Custom" in prefix for prefix in prefixes] == [True, True]


class StartTLSConnections(Connections):
    """Connections by a client that calls `startTLS` itself."""

    endpoints = StartTLSCreator()


class SwappedConnections(Connections):
    """The same with the roles swapped."""

    endpoints = SwappedCreator()


class Aborts(EachReactor, reactor_tcp.AbortConnectionMixin):
    """Clients that abort."""

    endpoints = StapleCreator()

    # It takes for granted that 32 MB are not through in ten milliseconds of the clock.
    test_fullWriteBuffer = None


class SwappedAborts(Aborts):
    """A server that aborts, some of the time before the handshake."""

    endpoints = SwappedCreator()


class SwappedLaterAborts(Aborts):
    """A server that aborts after the handshake."""

    endpoints = SwappedCreator(handshake_first=True)


class Ports(
    EachReactor,
    reactor_tcp.ConnectToTCPListenerMixin,
    reactor_tcp.TCPPortTestsMixin,
    reactor_tcp.StreamTransportTestsMixin,
):
    """Ports, their addresses and what they log."""

    def getListeningPort(self, reactor: Any, factory: Any, port: int = 0, interface: str = "") -> Any:
        """Return one of ours."""
        return listen(reactor, factory, port, interface)

    def getExpectedStartListeningLogMessage(self, port: Any, factory: str) -> str:
        """Return what our ports log, where Twisted has "(TLS)" after the name of the factory."""
        return f"{factory} starting on {port.getHost().port}"

    def getExpectedConnectionLostLogMsg(self, port: Any) -> str:
        """Return what Twisted's TLS ports log."""
        return f"(TLS Port {port.getHost().port} Closed)"

    def test_startedListeningLogMessage(self) -> None:
        """When a port starts, a message that names the factory is logged.

        Twisted's test looks for the message as the first of the log's old interface has it; ours is an event with
        fields, which has its text from the format.
        """
        events = self.observe()
        factory = ServerFactory()
        factory.logPrefix = lambda: "Crazy Factory"
        port = self.getListeningPort(self.buildReactor(), factory)
        expected = self.getExpectedStartListeningLogMessage(port, "Crazy Factory")
        assert expected in [textFromEventDict(event) for event in events]


class Names(EachReactor, reactor_tcp.TCPTransportServerAddressTestMixin):
    """What a server's transport is called."""

    stapling = Stapling
    getConnectedClientAndServer = reactor_tcp.TCPTransportTestsBuilder.getConnectedClientAndServer

    def _testServerAddress(self, interface: str, addressFamily: Any, adressClass: type) -> None:
        """A transport has a name in the log, and its protocol's factory was told the client's address.

        Twisted's own has the port's number in its representation, in place of the client's address.
        """

        def connected(protocols: Any) -> None:
            _client, server, _port = protocols
            transport = server.transport
            names.extend([transport.logPrefix(), str(transport)])
            numbers.append(transport.sessionno)
            addresses.extend(server.factory.peerAddresses)
            transport.loseConnection()

        names: list[str] = []
        numbers: list[int] = []
        addresses: list[Any] = []
        reactor = self.buildReactor()
        self.getConnectedClientAndServer(reactor, interface, addressFamily).addCallback(connected).addErrback(err)
        self.runReactor(reactor)
        name = f"AccumulatingProtocol,{numbers[0]},{interface}"
        assert names == [name, f"<TLS {name}>"]
        assert [type(address) for address in addresses] == [adressClass]
        assert [address.host for address in addresses] == [interface]


class Writes(EachReactor, reactor_tcp.TCPTransportTestsBuilder):
    """`writeSequence` by a server, and its producers."""

    stapling = Swapped

    # It is `Names` that has the server's.
    test_serverAddressTCP4 = None
    test_serverAddressTCP6 = None

    def test_writeSequenceWithUnicodeRaisesException(self) -> None:
        """A sequence with text in it raises a TypeError, and nothing of it is sent.

        As in Twisted's TLS, but not its TCP, the words of the error are those of `bytes.join`; so here is a test in
        place of Twisted's, which compares them.
        """
        reactor = self.buildReactor()

        def connected(protocols: Any) -> None:
            client, server, _port = protocols
            with pytest.raises(TypeError):
                client.transport.writeSequence([b"bytes", "text"])
            client.transport.write(b"more")
            client.transport.loseConnection()
            servers.append(server)

        servers: list[Any] = []
        self.getConnectedClientAndServer(reactor, "127.0.0.1", socket.AF_INET).addCallback(connected).addErrback(err)
        self.runReactor(reactor)
        assert [server.data for server in servers] == [b"more"]


class LaterWrites(Writes):
    """The same after the handshake."""

    stapling = SwappedLater


class Reading(EachReactor, reactor_tcp.TCPConnectionTestsBuilder):
    """Servers that pause and resume."""

    stapling = StaplingLater

    # These ask the reactor at once whether it watches the socket. It is told at the end of the turn, and until the
    # handshake is done it has to watch whatever the protocol wants: `test_pauses` looks at what is delivered.
    test_resumeProducing = None
    test_resumeProducingWhileDisconnecting = None

    def test_pauses(self) -> None:
        """A transport that is paused delivers nothing until it is resumed, and nothing after it lost its connection.

        In place of Twisted's `test_resumeProducing` and `test_resumeProducingWhileDisconnecting`.
        """
        reactor = self.buildReactor()
        server, client = Recording(), Recording()
        delivered: list[bytes] = []

        async def steps() -> None:
            port = reactor.listenTCP(0, Factory.forProtocol(lambda: server), interface="127.0.0.1")
            await StapleCreator().client(reactor, port.getHost()).connect(Factory.forProtocol(lambda: client))
            client.transport.write(b"one")
            await until(lambda: server.data == b"one", reactor)
            server.transport.pauseProducing()
            client.transport.write(b" two")
            await turns(reactor)
            delivered.append(server.data)
            server.transport.resumeProducing()
            await until(lambda: server.data == b"one two", reactor)
            client.transport.pauseProducing()
            server.transport.write(bytes(8 << 20))  # more than both sockets take
            server.transport.loseConnection()
            server.transport.resumeProducing()
            client.transport.write(b" three")
            await turns(reactor)
            client.transport.resumeProducing()
            await until(lambda: ("lost", ConnectionDone) in client.calls, reactor)
            delivered.append(server.data)

        reactor.callWhenRunning(
            lambda: Deferred.fromCoroutine(steps()).addErrback(err).addCallback(lambda _: reactor.stop())
        )
        self.runReactor(reactor)
        assert delivered == [b"one", b"one two"]


class Clients(EachReactor, reactor_tcp.TCP4ClientTestsBuilder):
    """What Twisted demands of a client's transport, of ours."""

    stapling = SwappedLater

    test_logPrefix = None  # is in `Connections`
    # These are about connecting, and look at nothing that a server has.
    test_addresses = None
    test_badContext = None
    test_clientConnectionFailedStopsReactor = None
    test_connectPortNotNumeric = None
    test_connectPortOverflow = None
    test_connectPortUnderflow = None
    test_connectPortZero = None
    test_getaddrinfo_negative_port = None
    test_getaddrinfo_overflow_port = None
    test_interface = None

    def test_unregisterProducerAfterDisconnect(self) -> None:
        """A producer that is taken off after the connection is gone does not have the reactor watch it again.

        In Twisted's test the other side closes in order, and waits for us to do the same. In TLS 1.3 it may go on
        reading until then, so that a producer goes on, too; here the other side aborts.
        """
        writing: list[bool] = []

        class Aborting(Protocol):
            def dataReceived(self, data: bytes) -> None:
                self.transport.abortConnection()

        class Producing(Protocol):
            def connectionMade(self) -> None:
                self.transport.registerProducer(connectionmixins._SimplePullProducer(self.transport), False)
                self.transport.loseConnection()

            def connectionLost(self, reason: Any = None) -> None:
                self.transport.unregisterProducer()
                writing.append(self.transport in reactor.getWriters())
                reactor.stop()

        reactor = self.buildReactor()
        self.listen(reactor, Factory.forProtocol(Aborting))
        self.connect(reactor, ClientFactory.forProtocol(Producing))
        self.runReactor(reactor)
        assert writing == [False]


globals().update(
    for_each_reactor(
        *(Connections, StartTLSConnections, SwappedConnections),
        *(Aborts, SwappedAborts, SwappedLaterAborts),
        *(Ports, Names, Writes, LaterWrites, Reading, Clients),
    )
)
