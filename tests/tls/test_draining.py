"""The end of a server's connections."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from staplesrv.tls.connections import Connections
from staplesrv.tls.draining import LAST_SECONDS, Draining
from staplesrv.tls.limits import Limits


class Open:
    """A connection that is open."""

    def __init__(self, connections: Connections) -> None:
        connections.admit("a")
        connections.members.add(self)
        self._connections = connections

    def end(self) -> None:
        """End."""
        self._connections.members.discard(self)
        self._connections.release("a")

    def abortConnection(self) -> None:
        """End at once."""
        self.end()


class Stop:
    """A server that stops."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.connections = Connections(Limits(), self.clock)
        self.over: list[Any] = []

    def begin(self, seconds: float = 30) -> Draining:
        """Stop."""
        draining = Draining(self.connections, self.clock)
        Deferred.fromCoroutine(draining.wait(seconds)).addBoth(self.over.append)
        return draining


@pytest.fixture
def stop() -> Stop:
    """A server that is to stop."""
    return Stop()


def test_without_connections_nothing_is_waited_for(stop: Stop) -> None:
    """Nothing is left in the reactor either."""
    stop.begin()
    assert stop.over == [None]
    assert not stop.clock.getDelayedCalls()


def test_the_last_connection_is_waited_for(stop: Stop) -> None:
    """Its own protocol knows of its end before the server does."""
    first, last = Open(stop.connections), Open(stop.connections)
    stop.begin()
    first.end()
    stop.clock.advance(29)
    last.end()
    assert stop.over == []
    stop.clock.advance(0)
    assert stop.over == [None]
    assert not stop.clock.getDelayedCalls()


def test_a_connection_that_replaces_the_last_one_is_waited_for(stop: Stop) -> None:
    """Behind a preamble another one begins in the turn in which the first one ends."""
    preamble = Open(stop.connections)
    stop.begin()
    preamble.end()
    behind = Open(stop.connections)
    stop.clock.advance(1)
    assert stop.over == []
    behind.end()
    stop.clock.advance(0)
    assert stop.over == [None]


def test_what_takes_too_long_is_closed(stop: Stop) -> None:
    """When the time is over, and not before."""
    Open(stop.connections)
    stop.begin(30)
    stop.clock.advance(29)
    assert stop.connections.open == 1
    stop.clock.advance(1)
    stop.clock.advance(0)
    assert stop.over == [None]
    assert stop.connections.open == 0
    assert not stop.clock.getDelayedCalls()


def test_hurry(stop: Stop) -> None:
    """Who is in a hurry does not wait for the time to be over."""
    Open(stop.connections)
    draining = stop.begin(30)
    draining.hurry()
    stop.clock.advance(0)
    assert stop.over == [None]
    draining.hurry()
    assert not stop.clock.getDelayedCalls()


def test_hurry_from_the_start(stop: Stop) -> None:
    """It may have come before connections are waited for."""
    Open(stop.connections)
    draining = Draining(stop.connections, stop.clock)
    draining.hurry()
    Deferred.fromCoroutine(draining.wait(30)).addBoth(stop.over.append)
    stop.clock.advance(0)
    stop.clock.advance(0)
    assert stop.over == [None]


def test_handshakes_and_the_lingering_are_closed_too(stop: Stop) -> None:
    """Whatever counts as open can be found."""
    stop.connections.admit("a")
    stop.connections.admit("b")

    class Other:
        def __init__(self, network: str) -> None:
            self.network = network

        def abortConnection(self) -> None:
            """End."""
            stop.connections.release(self.network)

    stop.connections.opening.begin(Other("a"))
    stop.connections.lingering.begin(Other("b"))  # type: ignore[arg-type]
    stop.begin(0)
    stop.clock.pump([0, 0])
    assert stop.over == [None]


def test_what_can_t_be_found_is_not_waited_for(stop: Stop) -> None:
    """A connection that was counted in and never out is no reason not to stop."""
    stop.connections.admit("a")
    stop.begin(30)
    stop.clock.pump([30, LAST_SECONDS])
    assert stop.over == [None]
    assert not stop.clock.getDelayedCalls()
    stop.connections.release("a")
    stop.clock.advance(0)
