"""How exchanges and connections end: time-outs, faults of applications, tunnels, half-closes and a graceful stop."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
from h2spec import WINDOW, raw
from http2_client import GET, POST, PREFACE, Client, data
from hyperframe.frame import GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame
from wire import Calls, Says

from staplesrv.http.exchange import Exchange
from staplesrv.http.factory import STOP_SECONDS
from staplesrv.http.response import Response

CONNECT = (
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"https"),
    (b":path", b"/chat"),
    (b":authority", b"example.org"),
)


def wait(client: Client, seconds: int) -> None:
    """Let time pass, a second at a time."""
    for _ in range(seconds):
        client.wire.clock.advance(1)
    client.read()


def test_a_client_that_says_nothing() -> None:
    """Without a preface the connection ends after the time for heads."""
    client = Client(Says(), greet=False)
    wait(client, 8)
    assert not client.ended
    wait(client, 8)
    assert client.ended


def test_half_a_header_block() -> None:
    """A block that is not finished is waited for as long as a head, whatever else is under way."""
    application = Calls()
    client = Client(application)
    client.request(1)
    client.send_bytes(raw(1, 1, 3, client.block(GET)))
    wait(client, 15)
    assert client.ended
    assert application.names == ["body_end", "lost"]


def test_an_idle_connection() -> None:
    """It is closed, with a GOAWAY, after the time for idle ones; PING does not keep it, a request does."""
    client = Client(Says())
    wait(client, 50)
    client.request(1)
    for _ in range(5):
        wait(client, 10)
        client.send(PingFrame(0, b"12345678"))
    assert not client.ended
    wait(client, 15)
    assert client.ended
    assert client.goaway_code == 0


def test_a_body_that_stalls() -> None:
    """The client is told with a 408, and the handler that it is gone; others go on."""
    application = Calls()
    client = Client(application)
    client.request(1, POST, end=False)
    client.request(3)
    wait(client, 40)
    client.send(data(1, b"x"))
    wait(client, 40)
    assert application.names == ["body_end", "body"]
    wait(client, 30)
    assert client.status(1) == 408
    assert application.names == ["body_end", "body", "lost"]
    assert not client.ended


def test_a_body_that_is_held_back_does_not_stall() -> None:
    """Where the handler wants nothing the client is not waited for."""
    application = Calls(lambda exchange: exchange.pause_body())
    client = Client(application)
    client.request(1, POST, end=False)
    wait(client, 100)
    assert application.calls == []
    assert not client.of(1)


def test_a_response_that_is_not_taken() -> None:
    """A stream whose window stays shut is given up; the connection is not."""
    application = Calls()
    client = Client(application, {WINDOW: 10})
    client.request(1)
    application.exchange.start(200, ())
    application.exchange.write(b"x" * 100)
    wait(client, 40)
    client.send(WindowUpdateFrame(1, 1))
    wait(client, 40)
    assert client.reset_code(1) is None
    wait(client, 40)
    assert client.reset_code(1) == 8
    assert application.names == ["body_end", "lost"]
    assert not client.wire.ended


def test_a_socket_that_stays_full() -> None:
    """A client that reads nothing is aborted."""
    client = Client(Says(Response(200, (), b"x" * 2**20)), {WINDOW: 2**30})
    client.send(WindowUpdateFrame(0, 2**30))
    client.wire.transport.slow = True
    client.request(1)
    wait(client, 100)
    assert not client.ended
    wait(client, 50)
    assert client.wire.ended == "aborted"


class Fails:
    """A handler, or an application, all of whose calls fail.

    Args:
        begin: What is said before `handle` returns.
    """

    def __init__(self, *, begin: bool = False) -> None:
        self._begin = begin

    def handle(self, exchange: Exchange) -> Any:
        """Take it on."""
        if self._begin:
            exchange.start(200, ())
        return self

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object) -> NoReturn:
            raise ZeroDivisionError(name)

        return fail


def test_an_application_that_fails(logged_errors: list[str]) -> None:
    """It costs a 500 and one line, and the other exchanges nothing."""

    def handle(exchange: Exchange) -> None:
        if exchange.request.target == b"/bad":
            raise ZeroDivisionError
        exchange.send(Response(200))

    client = Client(Calls(handle))
    client.request(1, (*GET[:2], (b":path", b"/bad"), GET[3]))
    client.request(3)
    assert (client.status(1), client.status(3)) == (500, 200)
    assert len(logged_errors) == 1


@pytest.mark.parametrize("begin", [True, False])
def test_a_handler_that_fails(logged_errors: list[str], *, begin: bool) -> None:
    """Before the response it is a 500, within it a reset."""
    client = Client(Fails(begin=begin))
    client.request(1)
    assert client.status(1) == (200 if begin else 500)
    assert client.reset_code(1) == (2 if begin else None)
    assert len(logged_errors) == 1
    assert len(client.wire.done) == 1


def test_a_handler_that_fails_when_the_client_is_gone(logged_errors: list[str]) -> None:
    """`lost` may fail too."""
    client = Client(Fails())
    client.request(1, POST, end=False)
    client.send(RstStreamFrame(1, error_code=8))
    assert len(logged_errors) == 1
    client.request(3)
    assert client.status(3) == 500


def test_a_response_that_cant_be_sent(logged_errors: list[str]) -> None:
    """Fields that would split a response are an application's failure."""
    client = Client(Calls(lambda exchange: exchange.start(200, ((b"X", b"a\r\nb"),))))
    client.request(1)
    assert client.status(1) == 500
    assert len(logged_errors) == 1


def test_two_responses(logged_errors: list[str]) -> None:
    """There is one; a second one is the application's failure, and the client notices."""

    def handle(exchange: Exchange) -> None:
        exchange.start(200, ())
        exchange.send(Response(404))

    client = Client(Calls(handle))
    client.request(1)
    assert client.reset_code(1) == 2
    assert len(logged_errors) == 1


def test_an_abort() -> None:
    """What an application breaks off, the client sees as broken."""
    application = Calls()
    client = Client(application)
    client.request(1)
    application.exchange.start(200, ())
    application.exchange.write(b"half")
    application.exchange.abort()
    client.read()
    assert client.body(1) == b"half"
    assert client.reset_code(1) == 2
    assert not client.ended_stream(1)
    assert application.names == ["body_end"]
    assert client.wire.done == [application.exchange]


@pytest.mark.parametrize("said", [True, False])
def test_a_body_that_is_too_long(*, said: bool) -> None:
    """Past the limit there is a 413, at once where the length is said before."""

    def handle(exchange: Exchange) -> None:
        exchange.body_limit = 10

    application = Calls(handle)
    client = Client(application)
    client.request(1, (*POST, (b"content-length", b"11")) if said else POST, end=False)
    if not said:
        client.send(data(1, b"0123456789"))
        assert application.content == b"0123456789"
        client.send(data(1, b"0"))
    assert client.status(1) == 413
    wait(client, 1)
    assert client.reset_code(1) == 0
    assert application.names[-1] == "lost"
    assert len(application.content) == (0 if said else 10)


def test_continue() -> None:
    """A client that waits for a 100 gets it when there is a handler, unless the application sees to that."""
    application = Calls()
    client = Client(application)
    client.request(1, (*POST, (b"expect", b"100-continue")), end=False)
    assert client.of(1, HeadersFrame)[0].fields == ((b":status", b"100"),)

    def handle(exchange: Exchange) -> None:
        exchange.holds_continue = True

    client = Client(Calls(handle))
    client.request(1, (*POST, (b"expect", b"100-continue")), end=False)
    assert not client.of(1)


def test_a_tunnel() -> None:
    """Bytes go both ways after an extended CONNECT, and each side ends its own: RFC 8441."""
    application = Calls(lambda exchange: exchange.tunnel(((b"sec-websocket-protocol", b"chat"),)))
    client = Client(application)
    assert client.got[0].settings[8] == 1
    client.request(1, CONNECT, end=False)
    exchange = application.exchange
    assert (exchange.request.method, exchange.request.upgrade, exchange.request.target) == (
        b"CONNECT",
        b"websocket",
        b"/chat",
    )
    assert client.status(1) == 200
    client.send(data(1, b"ping"))
    exchange.write(b"pong")
    client.read()
    assert (application.content, client.body(1)) == (b"ping", b"pong")
    exchange.finish()
    client.read()
    assert client.ended_stream(1)
    client.send(data(1, b" more", end=True))
    assert application.content == b"ping more"
    assert application.names == ["body", "body", "body_end"]
    assert client.wire.done == [exchange]
    assert client.reset_code(1) is None


def test_a_tunnel_that_the_client_ends_first() -> None:
    """The server may go on until it is done."""
    application = Calls(lambda exchange: exchange.tunnel(()))
    client = Client(application)
    client.request(1, CONNECT, end=False)
    client.send(data(1, b"bye", end=True))
    assert application.names == ["body", "body_end"]
    application.exchange.write(b"and you")
    wait(client, 200)
    application.exchange.finish()
    client.read()
    assert client.body(1) == b"and you"
    assert client.ended_stream(1)
    assert client.wire.done == [application.exchange]


def test_a_half_closed_connection() -> None:
    """A client that sends no more gets what it has asked for, and not what it has not asked to the end."""
    application = Calls()
    client = Client(application)
    client.request(1)
    client.request(3, POST, end=False)
    client.wire.half_close()
    assert not client.ended
    assert application.names == ["body_end", "lost"]
    application.exchanges[0].send(Response(200, (), b"late"))
    client.read()
    assert client.body(1) == b"late"
    assert client.ended


def test_a_client_that_says_goodbye() -> None:
    """After its GOAWAY what is under way is answered; then the connection ends."""
    application = Calls()
    client = Client(application)
    client.request(1)
    client.send(GoAwayFrame(0))
    assert not client.ended
    application.exchange.send(Response(200, (), b"."))
    client.read()
    assert client.ended_stream(1)
    assert client.ended


def test_a_graceful_stop() -> None:
    """Requests on their way are served, later ones refused, and the connection ends with the last response."""
    application = Calls()
    client = Client(application)
    client.request(1)
    client.wire.factory.stop()
    client.read()
    first = [frame for frame in client.got if isinstance(frame, GoAwayFrame)]
    assert [frame.last_stream_id for frame in first] == [2**31 - 1]
    client.request(3)
    assert len(application.exchanges) == 2
    ping = next(frame for frame in client.got if isinstance(frame, PingFrame))
    client.send(PingFrame(0, ping.opaque_data, flags=["ACK"]))
    assert client.got[-1].last_stream_id == 3
    client.request(5)
    assert client.reset_code(5) == 7
    application.exchanges[0].send(Response(200))
    application.exchanges[1].send(Response(200))
    client.read()
    assert client.ended
    assert client.status(3) == 200


def test_an_idle_connection_stops() -> None:
    """One without requests ends as soon as the client has heard of it, or soon without an answer."""
    client = Client(Says())
    client.wire.factory.stop()
    client.read()
    ping = next(frame for frame in client.got if isinstance(frame, PingFrame))
    client.send(PingFrame(0, ping.opaque_data, flags=["ACK"]))
    assert client.ended
    client = Client(Says())
    client.wire.factory.stop()
    client.wire.clock.advance(STOP_SECONDS)
    client.read()
    assert client.got[-1].last_stream_id == 0
    assert client.ended


def test_nothing_is_heard_after_the_end(logged_errors: list[str]) -> None:
    """Frames behind a fault are dropped, and so is what comes later."""
    client = Client(Says())
    client.send_bytes(raw(6, 0, 1, bytes(8)) + raw(1, 5, 1, client.block(GET)))
    assert client.wire.factory.requests == 0
    client.wire.protocol.dataReceived(raw(6, 0, 0, bytes(8)))
    assert isinstance(client.got[-1], GoAwayFrame)
    assert not client.read()
    assert not logged_errors


def test_the_factory_counts() -> None:
    """Requests and open connections are known, and connections that are over are forgotten."""
    client = Client(Says())
    factory = client.wire.factory
    client.request(1)
    client.request(3)
    assert (factory.requests, factory.connections) == (2, 1)
    client.wire.vanish()
    assert factory.connections == 0


def test_settings_first() -> None:
    """An acknowledgement is none."""
    client = Client(Says(), greet=False)
    client.send_bytes(PREFACE + SettingsFrame(0, flags=["ACK"]).serialize())
    assert client.goaway_code == 1
