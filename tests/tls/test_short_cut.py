"""A descriptor that the reactor serves first hand."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.selectreactor import SelectReactor
from twisted.logger import globalLogPublisher
from zope.interface import implementer

from staplesrv.tls.poller import READING, Poller
from staplesrv.tls.short_cut import leave_short_cut, take_short_cut

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll(7) here")


@implementer(IReadDescriptor)
class Reader:
    """One end of a pair of sockets; counts what comes."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.read = 0

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.near.fileno()

    def logPrefix(self) -> str:
        """Name it."""
        return "reader"

    def doRead(self) -> None:
        """Count."""
        self.near.recv(100)
        self.read += 1

    def connectionLost(self, _reason: object) -> None:
        """End."""
        self.near.close()


@pytest.fixture
def reactor() -> Iterator[Any]:
    """A reactor of Twisted's own."""
    from twisted.internet.epollreactor import EPollReactor  # noqa: PLC0415 - is not there where epoll is not

    made: Any = EPollReactor()
    yield made
    for one in made.removeAll():
        one.connectionLost(None)


@pytest.fixture
def readers(reactor: Any) -> Iterator[list[Reader]]:
    """Two that the reactor reads from, the first of which something has come for; the second is the short cut's."""
    made = [Reader(), Reader()]
    for one in made:
        reactor.addReader(one)
        one.far.send(b"x")
    yield made
    for one in made:
        one.far.close()


def test_one_is_served_first_hand_and_others_as_ever(reactor: Any, readers: list[Reader]) -> None:
    """A turn serves both, the one by what was given."""
    served: list[int] = []
    assert take_short_cut(reactor, readers[1].fileno(), lambda: served.append(readers[1].near.recv(10)[0]))
    reactor.iterate(0)
    reactor.iterate(0)
    assert (readers[0].read, readers[1].read, served) == (1, 0, [ord("x")])


def test_without_it_everything_is_as_ever(reactor: Any, readers: list[Reader]) -> None:
    """It can be left, and left again."""
    take_short_cut(reactor, readers[1].fileno(), list)
    leave_short_cut(reactor)
    leave_short_cut(reactor)
    reactor.iterate(0)
    assert [one.read for one in readers] == [1, 1]
    assert "doIteration" not in vars(reactor)


def test_a_turn_waits_as_long_as_it_is_told_to(reactor: Any) -> None:
    """Timers come in time, and the main loop ends when it is told to."""
    quiet = Reader()
    reactor.addReader(quiet)
    take_short_cut(reactor, quiet.fileno(), list)
    called: list[str] = []
    reactor.callLater(0, called.append, "timer")
    reactor.callLater(0.01, reactor.stop)
    reactor.run(installSignalHandlers=False)
    assert called == ["timer"]
    quiet.far.close()


def test_what_is_raised_is_logged_and_the_loop_goes_on(reactor: Any, readers: list[Reader]) -> None:
    """It is a bug of ours, and no reason to stop serving."""
    events: list[Any] = []

    def serve() -> None:
        readers[1].near.recv(10)
        reactor.callLater(0, reactor.stop)
        raise LookupError("a bug")

    globalLogPublisher.addObserver(events.append)
    try:
        take_short_cut(reactor, readers[1].fileno(), serve)
        reactor.run(installSignalHandlers=False)
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert [event["log_failure"].value.args for event in events if "log_failure" in event] == [("a bug",)]
    assert readers[0].read == 1


def test_other_reactors_are_left_alone(reactor: Any) -> None:
    """A subclass may do other things in its turn; and one with other parts is not known."""

    class Other(type(reactor)):  # type: ignore[misc]  # the class itself can't be named where there is no epoll
        """A reactor of somebody else's."""

    for one in (SelectReactor(), Other()):
        assert not take_short_cut(one, 0, list)
        assert "doIteration" not in vars(one)
        for reader in one.removeAll():
            reader.connectionLost(None)  # type: ignore[attr-defined]


def test_a_reactor_with_other_parts_is_left_alone(reactor: Any) -> None:
    """Another version of Twisted may name them differently."""
    poller = vars(reactor).pop("_poller")
    assert not take_short_cut(reactor, 0, list)
    reactor._poller = poller


def test_the_poller_takes_it_while_it_watches(reactor: Any) -> None:
    """Nothing is left of it when there is nothing to watch."""
    reader, poller = Reader(), Poller(reactor)
    poller.watch(reader, 0, READING)
    assert "doIteration" in vars(reactor)
    reader.far.send(b"x")
    reactor.iterate(0)
    assert reader.read == 1
    poller.watch(reader, READING, 0)
    assert "doIteration" not in vars(reactor)
    reader.near.close()
    reader.far.close()
