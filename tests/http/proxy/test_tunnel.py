"""Upgrades: WebSocket through the proxy."""

from __future__ import annotations

import pytest
from fake_exchange import FakeExchange, request
from passage import Line, Passage

KEY = b"AAAAAAAAAAAAAAAAAAAAAA=="
ACCEPT = b"ICX+Yqv66kxgM0FcWaLWlFLwTAI="
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
FIELDS = (
    (b"connection", b"Upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-key", KEY),
    (b"sec-websocket-version", b"13"),
)


def opened(**settings: object) -> tuple[Passage, FakeExchange, Line]:
    """A tunnel."""
    passage = Passage(**settings)  # type: ignore[arg-type]
    exchange = passage.get(fields=FIELDS, upgrade=b"websocket")
    passage.line.say(SWITCHED + b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n")
    passage.line.written = b""
    return passage, exchange, passage.line


def test_an_upgrade_that_the_backend_accepts_is_a_tunnel() -> None:
    """Bytes go both ways, those that came with the answer too."""
    passage = Passage()
    exchange = passage.get(b"/ws", fields=FIELDS, upgrade=b"websocket")
    assert passage.line.written.startswith(b"GET /ws HTTP/1.1\r\n")
    assert b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" in passage.line.written
    assert b"\r\nsec-websocket-key: " + KEY in passage.line.written
    passage.line.say(SWITCHED + b"Sec-WebSocket-Accept: x\r\n\r\nhello")
    assert exchange.told.tunnelled
    assert exchange.told.fields == ((b"Sec-WebSocket-Accept", b"x"),)
    assert exchange.told.body == b"hello"
    assert exchange.handler is not None
    exchange.handler.body(b"ping")
    assert passage.line.written.endswith(b"\r\n\r\nping")


def test_an_upgrade_that_the_backend_refuses_is_an_answer_like_any_other() -> None:
    """But the connection is not kept: some backends have left HTTP by then, and would hide what follows on it."""
    passage = Passage()
    exchange = passage.get(fields=FIELDS, upgrade=b"websocket")
    passage.line.say(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
    assert (exchange.told.status, exchange.told.body) == (403, b"no")
    assert passage.line.ended


@pytest.mark.parametrize("upgrade", [b"h2c", b"tls/1.0"])
def test_other_upgrades_are_not_passed_on(upgrade: bytes) -> None:
    """A server may ignore Upgrade (RFC 9110 §7.8), and must with h2c: nobody would check what goes through it."""
    passage = Passage()
    fields = ((b"connection", b"upgrade, http2-settings"), (b"upgrade", upgrade), (b"http2-settings", b"AAMA"))
    passage.get(fields=fields, upgrade=upgrade)
    assert b"pgrade" not in passage.line.written
    assert b"http2" not in passage.line.written.lower()


def test_the_backend_can_not_change_to_another_protocol() -> None:
    """A 101 to something else is a 502."""
    passage = Passage()
    exchange = passage.get(fields=FIELDS, upgrade=b"websocket")
    passage.line.say(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")
    assert exchange.told.status == 502


def test_http_2_has_no_keys_so_the_proxy_has_its_own() -> None:
    """RFC 8441 §5: an extended CONNECT becomes a GET with a key, and the accept stays here."""
    passage = Passage()
    fields = ((b"sec-websocket-version", b"13"),)
    exchange = passage.ask(request(b"/ws", b"CONNECT", fields, version="2", upgrade=b"websocket", length=None))
    assert passage.line.written.startswith(b"GET /ws HTTP/1.1\r\n")
    assert b"\r\nSec-WebSocket-Key: " + KEY + b"\r\n" in passage.line.written
    assert b"Transfer-Encoding" not in passage.line.written
    passage.line.say(SWITCHED + b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\nSec-WebSocket-Protocol: chat\r\n\r\n")
    assert exchange.told.tunnelled
    assert exchange.told.fields == ((b"Sec-WebSocket-Protocol", b"chat"),)


def test_a_backend_that_does_not_know_the_key_is_no_websocket_server() -> None:
    """A 502: it might be a cache that replays an answer."""
    passage = Passage()
    exchange = passage.ask(request(b"/ws", b"CONNECT", version="2", upgrade=b"websocket", length=None))
    passage.line.say(SWITCHED + b"Sec-WebSocket-Accept: AAAA\r\n\r\n")
    assert exchange.told.status == 502
    assert passage.line.ended == "aborted"


def test_an_extended_connect_for_another_protocol_is_not_implemented() -> None:
    """A 501, and no backend is asked."""
    passage = Passage()
    exchange = passage.ask(request(b"/", b"CONNECT", version="2", upgrade=b"connect-udp", length=None))
    assert exchange.told.status == 501
    assert not passage.backend.lines


def test_each_side_may_end_before_the_other() -> None:
    """The tunnel is over when both have ended, whoever was first."""
    for client_first in (True, False):
        _, exchange, line = opened()
        assert exchange.handler is not None
        if client_first:
            exchange.handler.body_end(())
            assert line.half_closed
            line.say(b"still here")
            assert exchange.told.body == b"still here"
            line.close()
            assert exchange.told.finished
        else:
            line.close()
            assert exchange.told.finished
            exchange.handler.body(b"still here")
            assert line.written == b"still here"
            exchange.handler.body_end(())
        assert line.ended


def test_a_tunnel_that_breaks_is_broken_off() -> None:
    """A reset of the backend is one for the client."""
    _, exchange, line = opened()
    line.reset()
    assert exchange.told.aborted


def test_slow_sides_of_a_tunnel_hold_the_other_one_back() -> None:
    """Neither is read faster than the other one takes it."""
    _, exchange, line = opened()
    assert exchange.handler is not None
    exchange.handler.pause()
    assert not line.reading
    exchange.handler.resume()
    assert line.reading
    line.slow = True
    exchange.handler.body(b"a" * 100_000)
    assert exchange.told.body_paused
    line.drain()
    assert not exchange.told.body_paused


def test_what_the_client_sent_last_arrives() -> None:
    """A client that goes away does not take back what it sent."""
    _, exchange, line = opened()
    assert exchange.handler is not None
    exchange.handler.body(b"bye")
    exchange.handler.lost()
    assert line.written == b"bye"
    assert line.ended == "lost"


def test_silent_tunnels_end() -> None:
    """After `tunnel_seconds` without a byte in either direction."""
    passage, exchange, line = opened(tunnel_seconds=100.0)
    assert exchange.handler is not None
    passage.clock.advance(99)
    line.say(b"a")
    passage.clock.advance(99)
    exchange.handler.body(b"a")
    passage.clock.advance(99)
    assert not exchange.told.aborted
    passage.clock.advance(1)
    assert exchange.told.aborted
    assert line.ended
