"""Twisted's tests that run on the global reactor, of whichever kind it is; see `test_twisteds_own`."""

from __future__ import annotations

from typing import Any

import pytest
from tls.twisteds_own.half_closing import HalfClosingFactory
from tls.twisteds_own.roles import OnGlobalReactor, Stapling, StaplingLater, Swapped, SwappedLater
from twisted.internet.ssl import ClientContextFactory
from twisted.test import test_ssl as global_ssl
from twisted.test import test_tcp as global_tcp

# Twisted has it from PyHamcrest by its old name.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated - use contains_exactly:DeprecationWarning")


class Listening(OnGlobalReactor, global_tcp.ListeningTests):
    """Ports that stop."""

    # A port of ours is made of a socket that listens already, bound perhaps with rights that are gone: once closed
    # there is nothing to start again.
    test_restartListening = None
    test_restartAfterExcept = None
    test_serverRepr = None  # see `Names`


class Loopback(OnGlobalReactor, global_tcp.LoopbackTests):
    """A port closed by its own factory; the socket's options."""

    stapling = StaplingLater

    # These are about a client alone.
    testFailing = None
    test_connectionRefusedErrorNumber = None
    test_connectByServiceFail = None
    test_connectByService = None

    def test_tcpNoDelay(self) -> Any:
        """A server's transport has TCP_NODELAY set, and a protocol can have it otherwise.

        Twisted's test expects that it is not set at first.
        """

        def check(server: Any, _client: Any) -> None:
            states = [server.transport.getTcpNoDelay()]
            for wanted in (False, True):
                server.transport.setTcpNoDelay(wanted)
                states.append(server.transport.getTcpNoDelay())
            assert states == [True, False, True]

        return self._connectedClientAndServerTest(check)


class Factories(OnGlobalReactor, global_tcp.FactoryTests):
    """Factories, started once and stopped once."""

    test_clientStartStop = None  # is about a client alone


class HostAddress(OnGlobalReactor, global_tcp.LocalRemoteAddressTests):
    """The address of a port."""


class Addresses(OnGlobalReactor, global_tcp.AddressTests):
    """The addresses of a connection."""


class WriteData(OnGlobalReactor, global_tcp.WriteDataTests):
    """A server that writes and closes."""


class SwappedWriteData(OnGlobalReactor, global_tcp.WriteDataTests):
    """A server that writes, but does not read that its client is gone.

    Not after the handshake: there Twisted's client waits for a close_notify, as it should, of one that does not read.
    """

    stapling = Swapped


class LargeBuffer(OnGlobalReactor, global_tcp.LargeBufferTests):
    """A server that writes a lot at once."""


class SwappedLargeBuffer(LargeBuffer):
    """A server that reads a lot."""

    stapling = Swapped


class SwappedClosedFiles(OnGlobalReactor, global_ssl.StolenTCPTests):
    """A server's handle after the end."""

    stapling = SwappedLater


# PauseProducingTests ask the reactor at once whether it watches the socket, which it is told at the end of the turn;
# `Reading.test_pauses` asks it later.


class HalfClosing(Stapling):
    """`Stapling` with a client that closes its directions apart."""

    client_factory = HalfClosingFactory


class SwappedHalfClosing(SwappedLater):
    """`Swapped` with such a client."""

    client_factory = HalfClosingFactory


class HalfClose(OnGlobalReactor, global_tcp.HalfCloseTests):
    """Half-closes by the client."""

    stapling = HalfClosing

    async def testCloseWriteCloser(self) -> None:
        """One side closes its direction and hears of that, as does the other, which may go on.

        In place of Twisted's, which looks at the buffers of its TCP transport.
        """
        client, server = self.client, self.f.lastProtocol
        client.transport.write(b"hello")
        client.transport.loseWriteConnection()
        await global_tcp.loopUntil(lambda: client.writeHalfClosed and server.readHalfClosed)
        client.transport.write(b" world")
        client.transport.writeSequence([b"lalala ", b"fooled you"])
        server.transport.write(b"good bye")
        await global_tcp.loopUntil(lambda: client.data)
        assert (client.data, server.data) == (b"good bye", b"hello")
        assert (client.closed, client.readHalfClosed) == (0, False)
        assert (server.closed, server.writeHalfClosed) == (0, False)


class SwappedHalfClose(HalfClose):
    """Half-closes by the server."""

    stapling = SwappedHalfClosing

    async def tearDown(self) -> None:
        """Close what a test left open, and wait for the end.

        In place of Twisted's, whose other side is closed once and by its test alone.
        """
        protocols = [self.client, self.f.lastProtocol]
        for protocol in protocols:
            protocol.transport.loseConnection()
        await global_tcp.loopUntil(lambda: all(protocol.closed for protocol in protocols))


class HalfCloseUnheard(OnGlobalReactor, global_tcp.HalfCloseNoNotificationAndShutdownExceptionTests):
    """Half-closes that a server's protocol does not know of."""

    stapling = HalfClosing


class SwappedHalfCloseUnheard(HalfCloseUnheard):
    """Half-closes that a client's protocol does not know of."""

    stapling = SwappedHalfClosing


class HalfCloseBuggy(OnGlobalReactor, global_tcp.HalfCloseBuggyApplicationTests):
    """Half-closes by the client, and a server's protocol that fails."""

    stapling = HalfClosing


class SwappedHalfCloseBuggy(HalfCloseBuggy):
    """Half-closes by the server, and its protocol fails."""

    stapling = SwappedHalfClosing


class Buffering(OnGlobalReactor, global_ssl.BufferingTests):
    """A server that speaks first."""


class Reasons(OnGlobalReactor, global_ssl.ConnectionLostTests):
    """Why connections end."""

    def setupServerAndClient(self, *_: Any) -> None:
        """Make a client's context; theirs is made of certificates in files, which nobody asks for."""
        self.clientCtxFactory = OneContext()
        self.serverCtxFactory = None


class OneContext(ClientContextFactory):
    """Has one context, which a test may change."""

    def __init__(self) -> None:
        self._one = super().getContext()

    def getContext(self) -> Any:
        """Return it."""
        return self._one


class SwappedReasons(Reasons):
    """The same with the roles swapped."""

    stapling = Swapped
