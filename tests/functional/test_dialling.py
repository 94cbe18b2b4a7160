"""Connections to backends over loopback, whoever watches their sockets."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from staplesrv.http.proxy.address import BackendAddress
from staplesrv.http.proxy.dialling import Dialler
from staplesrv.tls.poller import ReactorPoller, poller_for


class Peer(Protocol):
    """One end of a connection, which keeps what it got."""

    transport: Any

    def __init__(self, does: Callable[[Peer], None] = lambda _: None) -> None:
        self.got = b""
        self.changed: Deferred[None] = Deferred()
        self.lost: Any = None
        self._does = does

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.got += data
        self._does(self)
        self._tell()

    def connectionLost(self, reason: Any) -> None:
        """Keep why."""
        self.lost = reason
        self._tell()

    def _tell(self) -> None:
        changed, self.changed = self.changed, Deferred()
        changed.callback(None)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds."""
        while not condition():
            await self.changed


class Connections(Factory):
    """Makes peers, and keeps them."""

    noisy = False

    def __init__(self, does: Callable[[Peer], None] = lambda _: None) -> None:
        self.made: list[Peer] = []
        self.first: Deferred[Peer] = Deferred()
        self._does = does

    def buildProtocol(self, addr: object) -> Peer:
        """Make one."""
        peer = Peer(self._does)
        self.made.append(peer)
        if len(self.made) == 1:
            self.first.callback(peer)
        return peer


class UnderAPoller(TestCase):
    """An epoll of its own watches."""

    timeout = 20

    def poller(self) -> Any:
        """The one that everybody has."""
        return poller_for(reactor)

    def socket_path(self) -> str:
        """A name for a socket, which must be short."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        return f"{folder}/s"

    async def connect(self, does: Callable[[Peer], None], unix: str = "") -> tuple[Peer, Connections]:
        """Connect to a server that does something whenever data has come."""
        there = Connections(does)
        if unix:
            port = reactor.listenUNIX(unix, there)  # type: ignore[attr-defined]
            url = f"unix:{unix}"
        else:
            port = reactor.listenTCP(0, there, interface="127.0.0.1")  # type: ignore[attr-defined]
            url = f"http://localhost:{port.getHost().port}"
        self.addCleanup(port.stopListening)
        here: Any = await Dialler(reactor, poller=self.poller())(BackendAddress.parse(url)).connect(Connections())
        return here, there

    async def test_much_goes_both_ways_in_order(self) -> None:
        """What is sent at once and what is sent later do not overtake each other, however much it is."""
        pieces = [bytes([number]) * 300_000 for number in range(30)]
        for unix in ("", self.socket_path()):
            here, _ = await self.connect(lambda peer: peer.transport.write(peer.got) or setattr(peer, "got", b""), unix)
            for number, piece in enumerate(pieces):
                (here.transport.write_now if number % 3 else here.transport.write)(piece)
            await here.until(lambda here=here: len(here.got) == sum(map(len, pieces)))  # type: ignore[misc]
            assert here.got == b"".join(pieces)
            here.transport.loseConnection()
            await here.until(lambda here=here: here.lost)  # type: ignore[misc]

    async def test_nobody_there(self) -> None:
        """A refused connection is one that failed."""
        port = reactor.listenTCP(0, Connections(), interface="127.0.0.1")  # type: ignore[attr-defined]
        number = port.getHost().port
        await port.stopListening()
        endpoint = Dialler(reactor, poller=self.poller())(BackendAddress.parse(f"http://127.0.0.1:{number}"))
        with pytest.raises(ConnectError):
            await endpoint.connect(Connections())  # type: ignore[arg-type]

    async def test_an_answer_that_comes_before_the_end_of_the_question(self) -> None:
        """What was sent before a reset is read, though sending has failed by then."""

        def refuse(peer: Peer) -> None:
            peer.transport.write(b"no")
            # With unread input, so that the kernel resets the connection.
            peer.transport.stopReading()
            peer.transport.loseConnection()

        here, _ = await self.connect(refuse)
        here.transport.write_now(bytes(8_000_000))
        await here.until(lambda: here.lost)
        assert here.got == b"no"

    async def test_the_end_of_a_connection(self) -> None:
        """An orderly one and a reset are told apart."""
        for end, orderly in (("loseConnection", True), ("abortConnection", False)):
            here, _ = await self.connect(lambda peer, end=end: getattr(peer.transport, end)())  # type: ignore[misc]
            here.transport.write_now(b"?")
            await here.until(lambda here=here: here.lost)  # type: ignore[misc]
            assert (here.lost.check(ConnectionLost) is None) == orderly
            here.transport.write_now(b"nobody hears this")
            here.transport.write(b"nor this")

    async def test_a_connection_that_was_closed_is_not_open(self) -> None:
        """That shows before the reactor has told it."""
        here, there = await self.connect(lambda _peer: None)
        here.transport.write_now(b"?")
        peer = await there.first
        await peer.until(lambda: peer.got)
        assert here.transport.is_open()
        here.transport.stopReading()
        peer.transport.loseConnection()
        await peer.until(lambda: peer.lost)
        assert not here.transport.is_open()
        here.transport.startReading()
        await here.until(lambda: here.lost)
        assert not here.transport.is_open()


class UnderAReactorPoller(UnderAPoller):
    """The reactor watches, as it does where there is no epoll."""

    def poller(self) -> Any:
        """As on other systems."""
        return ReactorPoller(reactor)  # type: ignore[arg-type]
