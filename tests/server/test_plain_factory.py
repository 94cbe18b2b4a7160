"""HTTP without TLS."""

from __future__ import annotations

from typing import Any

from fake_exchange import FakeConnection
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from staplesrv.http.response import Response
from staplesrv.server.hosts import Page
from staplesrv.server.plain_factory import PlainFactory
from staplesrv.tls.connections import Connections
from staplesrv.tls.limits import Limits

CLIENT = IPv4Address("TCP", "192.0.2.1", 4000)
OTHER = IPv4Address("TCP", "192.0.2.2", 4000)


def factory(connections: Connections) -> PlainFactory:
    """One that answers everything with hello."""
    return PlainFactory(
        Page(Response(200, (), b"hello")),
        connections,
        describe=lambda _: FakeConnection(),
        clock=Clock(),
        wall_clock=lambda: 0.0,
    )


def connected(made: Any) -> StringTransport:
    """A transport for a protocol."""
    transport = StringTransport()
    made.makeConnection(transport)
    return transport


def test_requests_are_answered() -> None:
    """From the first byte on: there is no handshake."""
    made = factory(Connections(Limits(), Clock())).buildProtocol(CLIENT)
    transport = connected(made)
    made.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert transport.value().startswith(b"HTTP/1.1 200 OK\r\n")
    assert transport.value().endswith(b"hello")


def test_connections_can_be_found_and_ended() -> None:
    """As those with TLS can, when the server stops."""
    connections = Connections(Limits(), Clock())
    made = factory(connections).buildProtocol(CLIENT)
    transport = connected(made)
    connections.abort()
    assert transport.disconnected
    made.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]
    assert not connections.members


def test_clients_are_held_to_the_limits() -> None:
    """In all, and each address; there is room again when a connection ends."""
    limits = Limits(connections=2, connections_per_address=1, handshake_rate=0.001)
    connections = Connections(limits, Clock())
    serving = factory(connections)
    first = serving.buildProtocol(CLIENT)
    connected(first)
    assert serving.buildProtocol(CLIENT) is None
    second = serving.buildProtocol(UNIXAddress(None))
    assert serving.buildProtocol(OTHER) is None
    for made in (first, second):
        made.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]
    assert connections.open == 0
    assert serving.buildProtocol(CLIENT) is not None
