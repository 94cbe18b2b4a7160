"""Sockets of all connections in one epoll, and without it."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tls.hand_reactor import HandReactor
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.selectreactor import SelectReactor
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from staplesrv.tls.poller import READING, WRITING, Poller, ReactorPoller, poller_for

needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll(7) here")


class Watched:
    """A socket that is watched, and what it was told."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.mask = 0
        self.told: list[str] = []
        self.does: dict[str, Callable[[], object]] = {}
        self.reason: Any = None

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.near.fileno()

    def watch(self, mask: int) -> Watched:
        """Have it watched for something else."""
        self.pool.poller.watch(self, self.mask, mask)
        self.mask = mask
        return self

    def doRead(self) -> None:
        """Take what there is."""
        self.told.append("read")
        self.near.recv(100)
        self.does.get("read", int)()

    def doWrite(self) -> None:
        """Write no more."""
        self.told.append("write")
        self.watch(self.mask & ~WRITING)
        self.does.get("write", int)()

    def connectionLost(self, reason: Failure) -> None:
        """End, once."""
        if self.near.fileno() < 0:
            return
        self.told.append("lost")
        self.reason = reason.value
        self.close()
        self.does.get("lost", int)()

    def close(self) -> None:
        """Close it."""
        if self.near.fileno() >= 0:
            if self.mask:
                self.watch(0)
            self.near.close()
            self.far.close()


class Pool:
    """Sockets and what watches them."""

    def __init__(self, kind: Callable[[Any], Any]) -> None:
        self.reactor = HandReactor()
        self.poller = kind(self.reactor)
        self.sockets: list[Watched] = []

    def add(self, mask: int = READING) -> Watched:
        """Watch another one."""
        self.sockets.append(Watched(self).watch(mask))
        return self.sockets[-1]


@pytest.fixture(params=[pytest.param(Poller, marks=needs_epoll), ReactorPoller])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """Either kind."""
    made = Pool(request.param)
    yield made
    for one in made.sockets:
        one.close()
    assert not made.reactor.readers
    assert not made.reactor.writers


@pytest.fixture
def epoll() -> Iterator[Pool]:
    """The one with an epoll."""
    made = Pool(Poller)
    yield made
    for one in made.sockets:
        one.close()
    assert not made.reactor.readers


@needs_epoll
def test_which_is_taken() -> None:
    """An epoll under Twisted's own reactors; what is no such thing watches by itself."""
    reactor = SelectReactor()
    assert isinstance(poller_for(reactor), Poller)
    for reader in reactor.removeAll():
        reader.connectionLost(None)
    assert isinstance(poller_for(HandReactor()), ReactorPoller)


def test_what_is_watched_is_told(pool: Pool) -> None:
    """Of what it is watched for, and of nothing else."""
    reader, writer, both = pool.add(READING), pool.add(WRITING), pool.add(READING | WRITING)
    for one in pool.sockets:
        one.far.send(b"x")
    pool.reactor.settle()
    assert (reader.told, writer.told, both.told) == (["read"], ["write"], ["read", "write"])


def test_changes(pool: Pool) -> None:
    """From one to the other, to nothing and back."""
    one = pool.add(WRITING)
    one.watch(READING)
    pool.reactor.settle()
    assert one.told == []
    one.watch(0)
    one.far.send(b"x")
    pool.reactor.settle()
    assert one.told == []
    one.watch(READING)
    pool.reactor.settle()
    assert one.told == ["read"]


def test_one_that_ends_another(pool: Pool) -> None:
    """Which was ready as well: it is not told any more."""
    first, second = pool.add(), pool.add()
    first.does["read"], second.does["read"] = second.close, first.close
    first.far.send(b"x")
    second.far.send(b"x")
    pool.reactor.settle()
    assert sorted(first.told + second.told) == ["read"]


def test_one_that_ends_itself(pool: Pool) -> None:
    """In the midst of an event for both directions."""
    one = pool.add(READING | WRITING)
    one.does["read"] = one.close
    one.far.send(b"x")
    pool.reactor.settle()
    assert one.told == ["read"]


def test_one_that_fails(pool: Pool) -> None:
    """It ends with its own reason, and the others go on."""
    one, other = pool.add(), pool.add()
    one.does["read"] = lambda: 1 // 0
    one.far.send(b"x")
    pool.reactor.settle()
    assert one.told == ["read", "lost"]
    assert isinstance(one.reason, ZeroDivisionError)
    other.far.send(b"x")
    pool.reactor.settle()
    assert other.told == ["read"]


@needs_epoll
def test_one_that_fails_at_its_end_too(epoll: Pool) -> None:
    """As when both run into the same mistake: the others go on."""
    one, other = epoll.add(), epoll.add()
    one.does["read"] = one.does["lost"] = lambda: 1 // 0
    one.far.send(b"x")
    epoll.reactor.settle()
    assert other.told == []
    other.far.send(b"x")
    epoll.reactor.settle()
    assert other.told == ["read"]
    assert not epoll.reactor.errors


@needs_epoll
def test_one_whose_client_is_gone(epoll: Pool) -> None:
    """It is told to read, where the end shows; who does not read is told that it is lost."""
    reading, writing = epoll.add(READING), epoll.add(WRITING)
    writing.doWrite = lambda: None  # type: ignore[method-assign]
    reading.does["read"] = reading.close
    for one in epoll.sockets:
        one.far.close()
    epoll.reactor.until(lambda: writing.told)
    assert reading.told == ["read"]
    assert isinstance(writing.reason, ConnectionLost)


@needs_epoll
def test_the_reactor_sees_one_descriptor(epoll: Pool) -> None:
    """And only while there is something to watch."""
    assert not epoll.reactor.readers
    assert epoll.poller.fileno() == -1
    first, second = epoll.add(), epoll.add()
    assert epoll.reactor.readers == {epoll.poller}
    verifyObject(IReadDescriptor, epoll.poller)
    first.close()
    assert epoll.reactor.readers == {epoll.poller}
    second.close()
    assert not epoll.reactor.readers
    assert epoll.poller.fileno() == -1
    epoll.add().far.send(b"x")
    epoll.reactor.settle()
    assert epoll.sockets[-1].told == ["read"]


@needs_epoll
def test_others_have_their_turn(epoll: Pool) -> None:
    """A socket that is always ready keeps the reactor for a while only."""
    busy = epoll.add(WRITING)
    calls: list[int] = []
    busy.doWrite = lambda: calls.append(1)  # type: ignore[method-assign]
    epoll.reactor.turn(1)
    assert 1 < len(calls) < 1000


@needs_epoll
def test_the_reactor_stops(epoll: Pool) -> None:
    """Everything ends, for the reactor's reason."""
    for _ in range(3):
        epoll.add()
    (watched,) = epoll.reactor.removeAll()
    watched.connectionLost(Failure(ConnectionLost()))  # type: ignore[no-untyped-call]
    assert [one.told for one in epoll.sockets] == [["lost"]] * 3


@needs_epoll
def test_one_that_fails_when_the_reactor_stops(epoll: Pool) -> None:
    """The others are told all the same."""
    for _ in range(3):
        epoll.add().does["lost"] = lambda: 1 // 0
    (watched,) = epoll.reactor.removeAll()
    watched.connectionLost(Failure(ConnectionLost()))  # type: ignore[no-untyped-call]
    assert [one.told for one in epoll.sockets] == [["lost"]] * 3


def test_a_number_that_is_used_again(epoll: Pool) -> None:
    """What was told of a socket that was closed meanwhile is not taken for one that has its number now."""
    first, old = epoll.add(), epoll.add()
    number = old.fileno()
    new: list[Watched] = []

    def replace() -> None:
        old.close()
        one = Watched(epoll)
        os.dup2(one.near.fileno(), number)
        one.near = socket.socket(fileno=one.near.detach() and number)
        new.append(one.watch(READING))

    first.does["read"] = replace
    first.far.send(b"x")
    old.far.close()
    epoll.reactor.turn()
    assert first.told == ["read"]
    assert new[0].told == []
    new[0].far.send(b"x")
    epoll.reactor.settle()
    assert new[0].told == ["read"]
    new[0].close()
