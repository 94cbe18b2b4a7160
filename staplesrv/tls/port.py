"""A listening socket whose connections speak TLS straight on theirs."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from functools import partial
from typing import Any

from twisted.internet import tcp
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IDelayedCall, IProtocolFactory, IProtocolNegotiationFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from staplesrv.tls.addresses import Address, address_of, network_of
from staplesrv.tls.connections import Closed, Connections
from staplesrv.tls.context_factory import ContextFactory
from staplesrv.tls.openssl import calls
from staplesrv.tls.openssl_calls import Calls
from staplesrv.tls.poller import READING
from staplesrv.tls.preamble import MakePreamble, Preamble, Preface
from staplesrv.tls.transport import TLSTransport

_PASSING = {errno.ECONNABORTED, errno.EPERM, errno.EPROTO}
"""The client, or a packet filter, was faster: the next connection may do better."""

_NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE}

PAUSE = 1.0
"""Seconds without accepting, where the system has no room for a connection."""

SILENCE = 60.0
"""Seconds until that is told again."""

_log = Logger()


class TLSPort(tcp.Port):
    """Accepts connections, holds them to the limits, and puts TLS under the factory's protocols.

    Args:
        reactor: The reactor; one with file descriptors.
        listening: A socket that listens already: TCP over IPv4 or IPv6, or UNIX. The port has a descriptor of its own.
        factory: Makes the protocols.
        context_factory: Makes the TLS connections.
        connections: Holds them to the limits.
        make_preamble: What to expect before the handshake.
        openssl: How to call OpenSSL.
    """

    _type = "TLS"
    # Other processes may listen on the same socket: it is closed here, not shut down.
    _shouldShutdown = False

    def __init__(
        self,
        reactor: Any,
        listening: socket.socket,
        factory: IProtocolFactory,
        context_factory: ContextFactory,
        connections: Connections,
        *,
        make_preamble: MakePreamble | None = None,
        openssl: Calls = calls,
    ) -> None:
        self._listening = listening.dup()
        self._listening.setblocking(False)
        self._address = address_of(listening.family, listening.getsockname())
        super().__init__(getattr(self._address, "port", 0), factory, reactor=reactor)
        self.addressFamily = listening.family
        # Python is slower with the members of enumerations that these are.
        self._family, self._kind = int(listening.family), int(socket.SOCK_STREAM)
        self._negotiation = IProtocolNegotiationFactory(factory, None)
        self._context_factory = context_factory
        self._connections = connections
        self._make_preamble = make_preamble
        self._openssl = openssl
        self._spare = -1
        self._watched = False
        self._paused: IDelayedCall | None = None
        self._silent_until = 0.0

    def startListening(self) -> None:
        """Accept from now on."""
        self.socket = self._listening
        self.fileno = self.socket.fileno  # type: ignore[method-assign]
        if self.addressFamily != socket.AF_UNIX:
            # Else a short answer waits for the client to acknowledge the session tickets. Accepted sockets inherit it.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._realPortNumber = self.port or str(getattr(self._address, "name", b""))  # type: ignore[assignment]
        _log.info("{factory} starting on {port}", factory=self._getLogPrefix(self.factory), port=self._realPortNumber)
        self._reserve()
        self.factory.doStart()  # type: ignore[union-attr]
        self.connected = True
        self._connections.port_opened()
        self.startReading()

    def startReading(self) -> None:
        """Watch for new connections."""
        self._connections.poller.watch(self, 0, READING)
        self._watched = True

    def stopReading(self) -> None:
        """Watch no more for new connections."""
        paused, self._paused = self._paused, None
        if paused is not None:
            paused.cancel()
        if self._watched:
            self._watched = False
            self._connections.poller.watch(self, READING, 0)

    def getHost(self) -> Address:
        """Return what is listened on."""
        return self._address

    def connectionLost(self, reason: Failure) -> None:
        """Stop; connections go on."""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self._connections.port_closed()
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def doRead(self) -> None:
        """Take one new connection in; where more wait the poller tells so at once.

        To look for another one here costs 5 us where there is none: the kernel makes the socket first, then looks.
        """
        try:
            # What `accept` calls; the rest of it makes enumerations of two numbers, and takes longer than that.
            descriptor, address = self.socket._accept()  # type: ignore[union-attr]  # noqa: SLF001
        except BlockingIOError:
            return
        except OSError as error:
            if not (error.errno in _PASSING or (error.errno in _NO_DESCRIPTORS and self._turn_away())):
                self._pause(error)
            return
        # Without the parts of Python's sockets that are written in Python.
        connected = socket.SocketType(self._family, self._kind, 0, descriptor)
        peer = address_of(self._family, address)
        if self._make_preamble is None:
            self._serve(connected, peer)
        else:
            self._introduce(connected, peer, self._make_preamble(peer))

    def _introduce(self, connected: socket.SocketType, proxy: Address, preamble: Preamble | None) -> None:
        """Read the preamble first, if there is to be one."""
        if preamble is None:
            self._serve(connected, proxy)
        # Whoever sends one is a proxy: what it may open is for the clients behind it to use up.
        elif self._connections.admit(""):
            connected.setblocking(False)
            Preface(
                connected,
                preamble,
                self._connections,
                complete=partial(self._introduced, connected, proxy),
                gone=partial(self._connections.release, ""),
            )
        else:
            connected.close()

    def _introduced(self, connected: socket.SocketType, proxy: Address, client: Address | None) -> None:
        self._connections.release("")
        self._serve(connected, client or proxy)

    def _serve(self, connected: socket.SocketType, peer: Address) -> None:
        # What `network_of` says of most, without the call.
        network = peer.host if type(peer) is IPv4Address else network_of(peer)
        if not self._connections.admit(network):
            connected.close()
            return
        try:
            acceptable = () if self._negotiation is None else self._negotiation.acceptableProtocols()
            protocol = self.factory.buildProtocol(peer)  # type: ignore[union-attr]
        except Exception:  # noqa: BLE001 - other people's code; it must not stop the port
            _log.failure("Making a protocol failed; the connection is closed")
            protocol = None
        if protocol is None:
            connected.close()
            self._connections.release(network)
            return
        self.sessionno += 1
        transport = TLSTransport(
            connected,
            protocol,
            peer,
            self.sessionno,
            self.reactor,
            self._context_factory.accept(connected, acceptable, self._openssl),
            self._openssl,
            self._connections,
            network,
        )
        try:
            protocol.makeConnection(transport)
            # The client's hello is there already, as a rule: that saves an event of the reactor.
            transport.doRead()
        except Exception:  # noqa: BLE001 - as above
            _log.failure("A protocol failed at the start of its connection, which is closed")
            transport.abortConnection()

    def _pause(self, error: OSError) -> None:
        """Accept nothing for a moment: whoever waits would keep the listening socket readable, and the reactor busy."""
        now = self.reactor.seconds()  # type: ignore[attr-defined]
        if now >= self._silent_until:
            self._silent_until = now + SILENCE
            _log.error("Accepting a connection failed, and is tried again each second: {error}", error=error)
        self.stopReading()
        self._paused = self.reactor.callLater(PAUSE, self._go_on)  # type: ignore[attr-defined]

    def _go_on(self) -> None:
        self._paused = None
        try:
            self.startReading()
        except OSError as error:
            # With the last one that was watched the poller's own descriptor has gone, and there is none for it now.
            self._pause(error)

    def _reserve(self) -> None:
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)

    def _turn_away(self) -> bool:
        """Close one connection that waits, where there is no descriptor for it; tell whether that worked.

        Left where it is it would keep the listening socket readable, and the reactor busy, for as long.
        """
        if self._spare < 0:
            self._reserve()
        if self._spare < 0:
            return False
        os.close(self._spare)
        self._spare = -1
        try:
            self.socket.accept()[0].close()
        except OSError:
            return False
        finally:
            self._reserve()
        self._connections.closed[Closed.DESCRIPTORS] += 1
        return True
