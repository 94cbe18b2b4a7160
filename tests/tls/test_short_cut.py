"""Turns of the reactor that serve some descriptors first hand."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.selectreactor import SelectReactor
from twisted.logger import globalLogPublisher
from zope.interface import implementer

from staplesrv.tls.poller import READING, Poller
from staplesrv.tls.short_cut import Event, leave_short_cut, take_short_cut

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


class Cut:
    """Has the short cut of a reactor, with one end of a pair of sockets in its epoll.

    Args:
        reactor: The reactor.
        does: Called when something has come, with how often that was.
    """

    def __init__(self, reactor: Any, does: Callable[[int], object] = lambda _count: None) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.served = 0
        self._does = does
        epoll = take_short_cut(reactor, self._serve)
        epoll.register(self.near.fileno(), select.EPOLLIN)

    def _serve(self, ready: Sequence[Event]) -> Sequence[Event]:
        for number, _events in ready:
            if number == self.near.fileno():
                self.near.recv(1)
                self.served += 1
                self._does(self.served)
        return [event for event in ready if event[0] != self.near.fileno()]

    def close(self) -> None:
        """End."""
        self.near.close()
        self.far.close()


@pytest.fixture
def reactor() -> Iterator[Any]:
    """A reactor of Twisted's own."""
    from twisted.internet.epollreactor import EPollReactor  # noqa: PLC0415 - is not there where epoll is not

    made: Any = EPollReactor()
    yield made
    for one in made.removeAll():
        one.connectionLost(None)


@pytest.fixture
def reader(reactor: Any) -> Iterator[Reader]:
    """One that the reactor reads from, as ever; something has come for it."""
    made = Reader()
    reactor.addReader(made)
    made.far.send(b"x")
    yield made
    made.far.close()


def run(reactor: Any) -> None:
    """Run it until it is stopped, for ten seconds at most."""
    late = reactor.callLater(10, reactor.crash)
    reactor.run(installSignalHandlers=False)
    assert late.active()


def test_some_are_served_first_hand_and_others_as_ever(reactor: Any, reader: Reader) -> None:
    """A turn serves both."""
    cut = Cut(reactor)
    cut.far.send(b"x")
    reactor.iterate(0)
    reactor.iterate(0)
    assert (cut.served, reader.read) == (1, 1)
    cut.close()


def test_without_it_everything_is_as_ever(reactor: Any, reader: Reader) -> None:
    """It can be left, and left again."""
    take_short_cut(reactor, lambda ready: ready)
    leave_short_cut(reactor)
    leave_short_cut(reactor)
    reactor.iterate(0)
    assert reader.read == 1
    assert "doIteration" not in vars(reactor)


def test_a_reactor_that_does_not_run_takes_one_turn_at_a_time(reactor: Any) -> None:
    """`iterate` comes back, though there is more, and time to wait for it."""
    cut = Cut(reactor)
    cut.far.send(b"abc")
    reactor.iterate(1)
    assert cut.served == 1
    cut.close()


def test_turns_follow_each_other_without_the_main_loop(reactor: Any) -> None:
    """While nothing else is to be done; a call that is made then is."""
    turns: list[int] = []
    cut: Cut = Cut(reactor, lambda count: count == 3 and reactor.callLater(0, reactor.stop))
    reactor.doIteration = _counted(reactor.doIteration, turns)
    cut.far.send(b"abc")
    run(reactor)
    assert cut.served == 3
    # The turn with the three of them, and one with what was due then.
    assert len(turns) <= 3
    cut.close()


def test_timers_come_in_time(reactor: Any) -> None:
    """However busy the descriptors are, and those too that begin meanwhile."""
    called: list[str] = []

    def does(count: int) -> None:
        cut.far.send(b"x")
        if count == 20:
            reactor.callLater(0.02, reactor.stop)

    cut = Cut(reactor, does)
    cut.far.send(b"x")
    reactor.callLater(0.01, called.append, "timer")
    run(reactor)
    assert called == ["timer"]
    assert cut.served > 20
    cut.close()


def test_a_timer_that_is_moved_nearer_comes_in_time(reactor: Any) -> None:
    """Though nothing but the descriptors happens meanwhile."""
    stop = reactor.callLater(60, reactor.stop)

    def does(count: int) -> None:
        cut.far.send(b"x")
        if count == 20:
            stop.reset(0)

    cut = Cut(reactor, does)
    cut.far.send(b"x")
    run(reactor)
    assert cut.served >= 20
    cut.close()


def test_other_threads_are_heard(reactor: Any) -> None:
    """What they ask for is done while the descriptors are busy."""
    cut = Cut(reactor, lambda count: reactor.callFromThread(reactor.stop) if count == 5 else cut.far.send(b"x"))
    cut.far.send(b"x")
    run(reactor)
    assert cut.served == 5
    cut.close()


def test_it_waits_where_nothing_is_due_at_all(reactor: Any) -> None:
    """A reactor without a timer waits for as long as it takes."""
    cut = Cut(reactor, lambda count: count == 2 and reactor.stop())
    cut.far.send(b"xx")
    reactor.run(installSignalHandlers=False)
    assert cut.served == 2
    cut.close()


def test_what_is_raised_is_logged_and_the_loop_goes_on(reactor: Any, reader: Reader) -> None:
    """It is a bug of ours, and no reason to stop serving."""
    events: list[Any] = []

    def does(_count: int) -> None:
        reactor.callLater(0.01, reactor.stop)
        raise LookupError("a bug")

    cut = Cut(reactor, does)
    cut.far.send(b"x")
    globalLogPublisher.addObserver(events.append)
    try:
        run(reactor)
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert [event["log_failure"].value.args for event in events if "log_failure" in event] == [("a bug",)]
    assert reader.read == 1
    cut.close()


def test_other_reactors_are_left_alone(reactor: Any) -> None:
    """A subclass may do other things in its turn."""

    class Other(type(reactor)):  # type: ignore[misc]  # the class itself can't be named where there is no epoll
        """A reactor of somebody else's."""

    for one in (SelectReactor(), Other()):
        assert take_short_cut(one, lambda ready: ready) is None
        assert "doIteration" not in vars(one)
        for reader in one.removeAll():
            reader.connectionLost(None)  # type: ignore[attr-defined]


def test_a_reactor_with_other_parts_is_left_alone(reactor: Any) -> None:
    """Another version of Twisted may name them differently."""
    poller = vars(reactor).pop("_poller")
    assert take_short_cut(reactor, lambda ready: ready) is None
    reactor._poller = poller


def test_the_poller_takes_it_while_it_watches(reactor: Any) -> None:
    """Nothing is left of it when there is nothing to watch."""
    reader, poller = Reader(), Poller(reactor)
    poller.watch(reader, 0, READING)
    assert "doIteration" in vars(reactor)
    assert poller in reactor.getReaders()
    reader.far.send(b"x")
    reactor.iterate(0)
    assert reader.read == 1
    poller.watch(reader, READING, 0)
    assert "doIteration" not in vars(reactor)
    assert poller not in reactor.getReaders()
    reader.near.close()
    reader.far.close()


def test_the_poller_ends_with_the_reactor(reactor: Any) -> None:
    """Its sockets are in the reactor's epoll, but only the poller knows whose they are."""
    reader, poller = Reader(), Poller(reactor)
    lost: list[object] = []

    def connection_lost(reason: object) -> None:
        lost.append(reason)
        poller.watch(reader, READING, 0)
        reader.near.close()

    reader.connectionLost = connection_lost  # type: ignore[method-assign]
    poller.watch(reader, 0, READING)
    reactor.callLater(0, reactor.stop)
    run(reactor)
    assert len(lost) == 1
    reader.far.close()


def test_a_number_that_another_transport_uses_now(reactor: Any) -> None:
    """What was told of a socket of the poller's that was closed meanwhile is not taken for one of the reactor's."""
    first, old, new, poller = Reader(), Reader(), Reader(), Poller(reactor)
    poller.watch(first, 0, READING)
    first.far.send(b"x")
    poller.watch(old, 0, READING)
    old.far.shutdown(socket.SHUT_RDWR)
    old.far.close()
    number = old.fileno()
    told: list[str] = []

    def replace() -> None:
        poller.watch(old, READING, 0)
        old.near.close()
        os.dup2(new.near.fileno(), number)
        new.near.close()
        new.near = socket.socket(fileno=number)
        reactor.addReader(new)

    new.doRead = lambda: told.append("read")  # type: ignore[method-assign]
    first.doRead = replace  # type: ignore[method-assign]
    reactor.iterate(0)
    assert told == []
    assert new.fileno() == number
    reactor.removeReader(new)
    poller.watch(first, READING, 0)
    for one in (first, new):
        one.near.close()
        one.far.close()


def _counted(call: Callable[[Any], None], turns: list[int]) -> Callable[[Any], None]:
    def counted(timeout: Any) -> None:
        turns.append(1)
        call(timeout)

    return counted
