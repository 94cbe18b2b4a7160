"""Connections, against the limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from staplesrv.rates import Rates
from staplesrv.tls.connections import Closed, Connections, spoke_http
from staplesrv.tls.limits import Limits

HTTP = SSL.Error([("SSL routines", "", "http request")])
OTHER = SSL.Error([("SSL routines", "", "no shared cipher")])


class Opening:
    """A connection that has not done its handshake."""

    def __init__(self) -> None:
        self.aborted = False

    def abortConnection(self) -> None:
        """Take note."""
        self.aborted = True


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


def test_so_many_connections_and_no_more(clock: Clock) -> None:
    """The one too many is counted; there is room again when another one has ended."""
    connections = Connections(Limits(connections=2), clock)
    assert [connections.admit(name) for name in "abc"] == [True, True, False]
    assert connections.closed == {Closed.CONNECTIONS: 1}
    connections.release("a")
    assert connections.admit("c")
    assert (connections.open, connections.accepted) == (2, 3)


def test_so_many_connections_of_one_address(clock: Clock) -> None:
    """Another one has its own number."""
    connections = Connections(Limits(connections_per_address=2), clock)
    assert [connections.admit(name) for name in "aabab"] == [True, True, True, False, True]
    assert connections.closed == {Closed.ADDRESS: 1}
    connections.release("a")
    assert connections.admit("a")


def test_so_many_handshakes_a_second_of_one_address(clock: Clock) -> None:
    """A burst, then the rate; others have their own, and who has no address has none. Without TLS there are none."""
    connections = Connections(Limits(handshake_rate=2, handshake_burst=3), clock)
    assert [connections.admit("a") for _ in range(5)] == [True, True, True, False, False]
    assert connections.closed == {Closed.RATE: 2}
    assert connections.admit("b")
    assert all(connections.admit("") for _ in range(10))
    assert connections.admit("a", handshake=False)
    clock.advance(0.5)
    assert [connections.admit("a") for _ in range(2)] == [True, False]
    connections.release("a")


def test_who_is_turned_away_for_another_reason_has_made_no_handshake(clock: Clock) -> None:
    """The rate counts what was let in."""
    connections = Connections(Limits(connections_per_address=1, handshake_rate=0.001, handshake_burst=2), clock)
    assert [connections.admit("a") for _ in range(5)] == [True, False, False, False, False]
    connections.release("a")
    assert connections.admit("a")
    assert connections.closed == {Closed.ADDRESS: 4}


def test_a_rate_is_shared_by_those_who_share_the_buckets(clock: Clock) -> None:
    """As the processes that were forked from one do."""
    rates = Rates(clock.seconds)
    limits = Limits(handshake_rate=1, handshake_burst=3)
    first, second = Connections(limits, clock, rates), Connections(limits, clock, rates)
    assert [first.admit("a"), second.admit("a"), first.admit("a"), second.admit("a")] == [True, True, True, False]


def test_what_has_no_address_is_limited_as_a_whole_alone(clock: Clock) -> None:
    """Clients of a UNIX socket can't be told apart."""
    connections = Connections(Limits(connections=3, connections_per_address=1), clock)
    assert [connections.admit("") for _ in range(4)] == [True, True, True, False]
    assert connections.closed == {Closed.CONNECTIONS: 1}


def test_so_many_handshakes_at_once(clock: Clock) -> None:
    """Those that are done do not count any more."""
    connections = Connections(Limits(handshakes=1), clock)
    opening = Opening()
    assert connections.admit("a")
    connections.opening.begin(opening)
    assert not connections.admit("b")
    assert (connections.closed, connections.handshakes) == ({Closed.HANDSHAKES: 1}, 1)
    connections.opening.end(opening)
    assert connections.admit("b")


def test_a_handshake_that_takes_too_long(clock: Clock) -> None:
    """It is cut off and counted; one that is done is left alone."""
    connections = Connections(Limits(handshake_seconds=3), clock)
    slow, quick = Opening(), Opening()
    connections.opening.begin(slow)
    connections.opening.begin(quick)
    connections.opening.end(quick)
    clock.advance(2.9)
    assert not slow.aborted
    clock.advance(0.1)
    assert (slow.aborted, quick.aborted) == (True, False)
    assert (connections.closed, connections.handshakes) == ({Closed.TIMEOUT: 1}, 0)


@pytest.mark.parametrize(
    ("error", "handshaking", "counted"),
    [
        (ConnectionDone(), False, None),
        (ConnectionDone(), True, None),
        (ConnectionAborted(), True, None),
        (ValueError("a protocol's own"), False, None),
        (ConnectionLost(), False, Closed.LOST),
        (ConnectionLost(), True, Closed.LOST),
        (OTHER, True, Closed.HANDSHAKE),
        (OTHER, False, Closed.FAULT),
        (HTTP, True, Closed.PLAIN_HTTP),
        (SSL.Error(), True, Closed.HANDSHAKE),
        (SSL.Error([("SSL routines", "", "certificate verify failed")]), True, Closed.CERTIFICATE),
        (SSL.Error([("SSL routines", "", "peer did not return a certificate")]), True, Closed.CERTIFICATE),
    ],
)
def test_how_a_connection_ended_is_counted(
    clock: Clock, error: Exception, *, handshaking: bool, counted: Closed | None
) -> None:
    """Under one name, or under none where it ended in order or at our own wish."""
    connections = Connections(Limits(), clock)
    failure: Any = Failure(error)  # type: ignore[no-untyped-call]
    connections.ended(failure, handshaking=handshaking)
    assert connections.closed == ({counted: 1} if counted else {})


@pytest.mark.parametrize("error", [SSL.SysCallError(-1, "Unexpected EOF"), SSL.Error([]), SSL.Error(), ValueError("x")])
def test_what_is_not_http_is_not_taken_for_it(error: Exception) -> None:
    """Whatever an error carries."""
    assert not spoke_http(error)


def test_nothing_is_left_in_the_reactor_after_the_last_port(clock: Clock) -> None:
    """Once the last connection is over; also where its end begins after that of the port."""
    connections = Connections(Limits(), clock)
    connections.port_opened()
    connections.port_opened()
    connections.opening.begin(first := Opening())
    connections.port_closed()
    connections.opening.end(first)
    assert clock.getDelayedCalls()
    connections.port_closed()
    assert not clock.getDelayedCalls()
    connections.opening.begin(second := Opening())
    assert clock.getDelayedCalls()
    connections.opening.end(second)
    assert not clock.getDelayedCalls()


def test_a_port_that_listens_again_keeps_its_timer(clock: Clock) -> None:
    """As the first one did."""
    connections = Connections(Limits(), clock)
    for _ in range(2):
        connections.port_opened()
        connections.opening.begin(one := Opening())
        connections.opening.end(one)
        assert len(clock.getDelayedCalls()) == 1
        connections.port_closed()
        assert not clock.getDelayedCalls()


@given(st.lists(st.sampled_from(["", "a", "b"]) | st.integers(0, 9)))
def test_the_books_agree(script: list[str | int]) -> None:
    """Whoever comes and goes: none counts that is gone, and no network is remembered without connections."""
    connections, here = Connections(Limits(connections=4, connections_per_address=2), Clock()), list[str]()
    for step in script:
        if isinstance(step, str):
            room = len(here) < 4 and (not step or here.count(step) < 2)
            assert connections.admit(step) is room
            here += [step] if room else []
        elif step < len(here):
            connections.release(here.pop(step))
        assert connections.open == len(here)
        assert connections._by_network == {name: here.count(name) for name in set(here)}
