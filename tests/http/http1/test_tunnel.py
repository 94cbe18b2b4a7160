"""Upgrades: connections that become tunnels."""

from __future__ import annotations

from typing import Any

import pytest
from wire import Calls, Wire

from staplesrv.http.exchange import Exchange
from staplesrv.http.factory import STOP_SECONDS
from staplesrv.http.response import Response

ASKS = b"GET /chat HTTP/1.1\r\nHost: example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nA: b\r\n\r\n"


def tunnel(exchange: Exchange) -> None:
    """Accept an upgrade."""
    exchange.tunnel(((b"A", b"b"), (b"Upgrade", b"x"), (b"Connection", b"x")))


def test_tunnel() -> None:
    """Bytes go both ways as they are; those that came with the request are the first."""
    application = Calls(tunnel)
    wire = Wire(application)
    wire.send(ASKS + b"\x01\r\n\r\n", GET)
    assert wire.answer == SWITCHED
    assert application.content == b"\x01\r\n\r\n" + GET
    application.exchange.write(b"\x02")
    assert wire.answer == SWITCHED + b"\x02"
    assert application.exchange.sent == 1
    assert application.exchange.status == 101


def test_later_tunnel() -> None:
    """An application may think about it; what comes meanwhile waits."""
    application = Calls()
    wire = Wire(application)
    wire.send(ASKS + b"early")
    assert application.calls == [("body_end", ())]
    assert not wire.transport.reading
    tunnel(application.exchange)
    assert application.content == b"early"
    assert wire.transport.reading


def test_a_tunnel_goes_on_when_the_server_stops() -> None:
    """Both ways, until it ends by itself; the limit is for the server to set."""
    application = Calls(tunnel)
    wire = Wire(application)
    wire.send(ASKS)
    wire.factory.stop()
    wire.clock.pump([STOP_SECONDS] * 30)
    wire.send(b"ping")
    application.exchange.write(b"pong")
    assert (application.content, wire.answer) == (b"ping", SWITCHED + b"pong")
    assert not wire.ended
    application.exchange.finish()
    wire.half_close()
    assert wire.ended == "lost"
    assert wire.clock.getDelayedCalls() == []


def test_no_upgrade() -> None:
    """What follows a request whose upgrade is not wanted is the next request."""
    application = Calls()
    wire = Wire(application)
    wire.send(ASKS + GET)
    application.exchange.send(Response(200, (), b"no"))
    assert application.exchange.request.target == b"/"
    with pytest.raises(RuntimeError):
        application.exchange.tunnel(())


@pytest.mark.parametrize("client_first", [False, True])
def test_end(*, client_first: bool) -> None:
    """Each side ends its own direction; then the tunnel is over."""
    application = Calls(tunnel)
    wire = Wire(application)
    wire.send(ASKS)
    if client_first:
        wire.half_close()
        assert application.names == ["body_end"]
        assert not wire.ended
        application.exchange.write(b"still there")
        application.exchange.finish()
    else:
        application.exchange.finish()
        application.exchange.finish()
        assert wire.transport.half_closed
        wire.send(b"still there")
        assert not wire.ended
        wire.half_close()
        assert application.names == ["body", "body_end"]
    assert wire.ended == "lost"
    assert wire.done == application.exchanges


def test_finish_from_within_body_end() -> None:
    """A handler that ends when its client does is called no more."""

    class Ending(Calls):
        def body_end(self, trailers: Any) -> None:
            super().body_end(trailers)
            self.exchange.finish()

    application = Ending(tunnel)
    wire = Wire(application)
    wire.send(ASKS)
    wire.half_close()
    assert application.names == ["body_end"]
    assert wire.ended == "lost"
    assert len(wire.done) == 1


def test_transport_without_half_close() -> None:
    """Where our direction can't be closed alone, the end of it is the end of the tunnel."""
    application = Calls(tunnel)
    wire = Wire(application, whole=True)
    wire.send(ASKS)
    application.exchange.finish()
    assert wire.ended == "lost"
    assert application.names == ["lost"]


def test_lost() -> None:
    """A client that is gone is told as such."""
    application = Calls(tunnel)
    wire = Wire(application)
    wire.send(ASKS)
    wire.vanish()
    assert application.names == ["lost"]


def test_no_deadline() -> None:
    """A silent tunnel is kept for as long as its application likes."""
    application = Calls(tunnel)
    wire = Wire(application)
    wire.send(ASKS)
    wire.clock.pump([2.5] * 1000)
    assert not wire.ended


def test_body_limit() -> None:
    """A tunnel's bytes are no body."""

    def handle(exchange: Exchange) -> None:
        exchange.body_limit = 1
        tunnel(exchange)

    application = Calls(handle)
    wire = Wire(application)
    wire.send(ASKS, b"abc")
    assert application.content == b"abc"


def test_back_pressure() -> None:
    """Both directions of a tunnel can be held back."""
    application = Calls(tunnel)
    wire = Wire(application)
    wire.transport.slow = True
    wire.send(ASKS)
    application.exchange.write(b"a" * 100_000)
    assert application.names == ["pause"]
    application.exchange.pause_body()
    assert not wire.transport.reading
    wire.transport.drain()
    assert not wire.transport.reading
    application.exchange.resume_body()
    assert wire.transport.reading
    assert application.names == ["pause", "resume"]
