"""What stays of a connection while its client may still be sending."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tls.hand_reactor import HandReactor
from twisted.internet.interfaces import IReadDescriptor
from zope.interface.verify import verifyObject

from staplesrv.deadlines import Deadlines
from staplesrv.tls.lingering import LINGER_SECONDS, Lingering, reset, unread
from staplesrv.tls.poller import poller_for


class Parting:
    """A pair of sockets, of which the server's lingers."""

    def __init__(self) -> None:
        self.reactor = HandReactor()
        self.gone = 0
        self.deadlines: Deadlines[Lingering] = Deadlines(self.reactor, LINGER_SECONDS, Lingering.abortConnection)
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.client = socket.create_connection(server.getsockname(), 5)
            self.server = server.accept()[0]
        self.server.setblocking(False)

    def linger(self) -> Lingering:
        """Begin."""
        return Lingering(self.server, poller_for(self.reactor), self.deadlines, self._gone)

    def _gone(self) -> None:
        self.gone += 1

    @property
    def over(self) -> bool:
        """Whether nothing is left of it: no socket, no event, no deadline."""
        over = self.server.fileno() < 0
        assert over == (not self.reactor.readers) == (not len(self.deadlines)) == bool(self.gone)
        assert self.gone <= 1
        return over


@pytest.fixture
def parting() -> Iterator[Parting]:
    """A pair of sockets."""
    made = Parting()
    yield made
    made.client.close()
    made.server.close()


def test_it_is_a_descriptor(parting: Parting) -> None:
    """As reactors want it, down to its name in the log."""
    lingering = parting.linger()
    verifyObject(IReadDescriptor, lingering)
    assert lingering.fileno() == parting.server.fileno()
    assert lingering.logPrefix() == "lingering"


def test_the_client_gets_what_was_sent_and_the_end(parting: Parting) -> None:
    """Though it sent what nobody read, which at close(2) would have been a reset."""
    parting.client.sendall(b"x" * 10_000)
    parting.server.sendall(b"the answer")
    parting.linger()
    parting.reactor.settle()
    assert parting.client.recv(100) == b"the answer"
    assert parting.client.recv(100) == b""
    assert not parting.over


def test_it_ends_with_the_client(parting: Parting) -> None:
    """Whatever that still sent is thrown away."""
    parting.linger()
    parting.client.sendall(b"x" * 200_000)
    parting.client.close()
    parting.reactor.until(lambda: parting.over)


def test_it_ends_with_a_reset(parting: Parting) -> None:
    """Which is no error of anybody's."""
    parting.linger()
    reset(parting.client)
    parting.client.close()
    parting.reactor.until(lambda: parting.over)
    assert not parting.reactor.errors


def test_it_ends_in_time(parting: Parting) -> None:
    """Also for a client that goes on sending."""
    parting.linger()
    parting.reactor.advance(LINGER_SECONDS - 0.1)
    parting.client.sendall(b"x")
    parting.reactor.settle()
    assert not parting.over
    parting.reactor.advance(0.1)
    assert parting.over


@pytest.mark.parametrize("end", ["abortConnection", "connectionLost", "readConnectionLost"])
def test_it_ends_once(parting: Parting, end: str) -> None:
    """Whoever says so, and however often."""
    lingering = parting.linger()
    for _ in range(2):
        getattr(lingering, end)(*[] if end == "abortConnection" else ["a reason"])
    assert parting.over
    assert lingering.fileno() == -1


def test_a_client_that_is_gone_already(parting: Parting) -> None:
    """There is nobody to tell of the end."""
    reset(parting.client)
    parting.client.close()
    parting.linger()
    parting.reactor.until(lambda: parting.over)


def test_unread_input(parting: Parting) -> None:
    """The kernel tells."""
    assert not unread(parting.server)
    parting.client.sendall(b"x")
    parting.server.setblocking(True)
    parting.server.recv(1, socket.MSG_PEEK)
    assert unread(parting.server)
    parting.server.recv(1)
    assert not unread(parting.server)


def test_reset(parting: Parting) -> None:
    """The client learns that something is amiss; a closed socket has nobody to tell."""
    reset(parting.server)
    parting.server.close()
    with pytest.raises(ConnectionResetError):
        parting.client.recv(1)
    reset(parting.server)
