"""Bytes before the handshake."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tls.hand_reactor import HandReactor
from tls.toy_preamble import ToyPreamble
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IReadDescriptor
from zope.interface.verify import verifyObject

from staplesrv.tls.addresses import Address
from staplesrv.tls.connections import Closed, Connections
from staplesrv.tls.limits import Limits
from staplesrv.tls.lingering import reset
from staplesrv.tls.preamble import Preface

LINE = b"FROM 192.0.2.7 4711\n"
PEER = IPv4Address("TCP", "192.0.2.7", 4711)
HELLO = bytes(range(256))


class Beginning:
    """A client that has connected and has said nothing so far."""

    def __init__(self) -> None:
        self.reactor = HandReactor()
        self.connections = Connections(Limits(handshake_seconds=3), self.reactor)
        self.client, self.server = socket.socketpair()
        self.server.setblocking(False)
        self.preamble = ToyPreamble()
        self.completed: list[Address | None] = []
        self.gone = 0
        self.preface = Preface(
            self.server,
            self.preamble,
            self.connections,
            complete=self.completed.append,
            gone=self._gone,
        )

    def _gone(self) -> None:
        self.gone += 1

    def send(self, *pieces: bytes) -> None:
        """Send each piece once the one before was read."""
        for piece in pieces:
            self.client.sendall(piece)
            self.reactor.turn()

    def refused(self, *why: Closed) -> None:
        """See that it is over, told and counted, once."""
        assert self.server.fileno() == -1
        assert (self.gone, self.completed, self.connections.closed) == (1, [], dict.fromkeys(why, 1))
        assert not self.reactor.readers
        assert self.connections.handshakes == 0

    def close(self) -> None:
        """Close the sockets."""
        self.client.close()
        self.server.close()


@pytest.fixture
def beginning() -> Iterator[Beginning]:
    """A client that has connected."""
    made = Beginning()
    yield made
    made.close()


def test_it_is_a_descriptor(beginning: Beginning) -> None:
    """As reactors want it, and a handshake in progress as the limits see it."""
    verifyObject(IReadDescriptor, beginning.preface)
    assert beginning.preface.fileno() == beginning.server.fileno()
    assert beginning.preface.logPrefix() == "preamble"
    assert beginning.connections.handshakes == 1


@given(st.sets(st.integers(1, len(LINE) + 20)))
def test_what_follows_stays_in_the_socket(cuts: set[int]) -> None:
    """Wherever the bytes are cut, the whole of the client's hello is there for OpenSSL, and nothing else."""
    beginning, sent = Beginning(), LINE + HELLO
    bounds = [0, *sorted(cuts), len(sent)]
    beginning.send(*(sent[start:end] for start, end in pairwise(bounds)))
    assert beginning.completed == [PEER]
    assert beginning.server.recv(1000) == HELLO
    assert (beginning.gone, beginning.connections.closed, beginning.connections.handshakes) == (0, {}, 0)
    assert not beginning.reactor.readers
    beginning.close()


def test_a_preamble_without_anything_behind_it(beginning: Beginning) -> None:
    """It is complete with its last byte."""
    beginning.send(LINE)
    assert beginning.completed == [PEER]
    with pytest.raises(BlockingIOError):
        beginning.server.recv(1)


def test_a_long_preamble(beginning: Beginning) -> None:
    """It may be longer than one look."""
    beginning.client.sendall(LINE[:-1] + b" " * 8000 + b"\n" + HELLO)
    beginning.reactor.settle()
    assert len(beginning.preamble.fed) > 1
    assert beginning.completed == [PEER]
    assert beginning.server.recv(1000) == HELLO


def test_who_connected_is_the_client_where_it_names_none(beginning: Beginning) -> None:
    """As a proxy's own health checks have it."""
    beginning.send(b"FROM \n")
    assert beginning.completed == [None]


@pytest.mark.parametrize("pieces", [[b"\x16\x03\x01\x02\x00"], [b"FRO", b"X"], [b"FROM 1" * 1000, b"0" * 9000]])
def test_something_else_is_refused(beginning: Beginning, pieces: list[bytes]) -> None:
    """At once, at the byte that can't be, or where it gets too long."""
    for piece in pieces:
        beginning.client.sendall(piece)
        beginning.reactor.settle()
    beginning.refused(Closed.PREAMBLE)


def test_a_client_that_takes_too_long(beginning: Beginning) -> None:
    """A byte now and then is no help."""
    for byte in LINE[:2]:
        beginning.send(bytes([byte]))
        beginning.reactor.advance(1.4)
    assert not beginning.gone
    beginning.reactor.advance(0.3)
    beginning.refused(Closed.TIMEOUT)


@pytest.mark.parametrize("said", [b"", b"FROM"])
def test_a_client_that_is_gone(beginning: Beginning, said: bytes) -> None:
    """Before it said anything, or in the middle."""
    if said:
        beginning.send(said)
    beginning.client.close()
    beginning.reactor.settle()
    beginning.refused(Closed.LOST)


def test_a_client_that_resets() -> None:
    """It is gone as well."""
    beginning = Beginning()
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), 5)
        connected = server.accept()[0]
    connected.setblocking(False)
    gone: list[bool] = []
    reactor, connections = beginning.reactor, beginning.connections
    Preface(connected, ToyPreamble(), connections, complete=gone.append, gone=lambda: gone.append(True))
    reset(client)
    client.close()
    reactor.until(lambda: gone)
    assert gone == [True]
    assert connections.closed == {Closed.LOST: 1}
    assert not reactor.errors
    beginning.close()


@pytest.mark.parametrize("end", ["connectionLost", "readConnectionLost"])
def test_the_reactor_may_end_it(beginning: Beginning, end: str) -> None:
    """Some notice by themselves that a client is gone."""
    for _ in range(2):
        getattr(beginning.preface, end)("a reason")
    beginning.refused(Closed.LOST)


def test_once_complete_it_has_no_part_in_the_connection(beginning: Beginning) -> None:
    """An event that was told late, or an end, is none of its business: the socket is somebody else's now."""
    beginning.send(LINE + HELLO)
    beginning.preface.doRead()
    beginning.preface.abortConnection()
    beginning.preface.connectionLost("a reason")
    beginning.reactor.advance(100)
    assert beginning.server.recv(1000) == HELLO
    assert (beginning.gone, beginning.connections.closed) == (0, {})


def test_an_event_without_input(beginning: Beginning) -> None:
    """It happens, and means nothing."""
    beginning.preface.doRead()
    beginning.send(LINE)
    assert beginning.completed == [PEER]
