"""A line per request, whatever the client sent."""

from __future__ import annotations

import json
import re

import pytest
from fake_exchange import FakeConnection, FakeExchange, request
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.http.access_log import AccessLog, Form, combined_line, escaped, json_line
from staplesrv.http.exchange import Exchange
from staplesrv.http.fields import Fields
from staplesrv.http.refused_request import RefusedRequest, UnreadRequest
from staplesrv.http.response import Response

NOON = 1_700_000_000.0
COMBINED = re.compile(
    rb"(\S+) - - \[14/Nov/2023:22:13:20 \+0000\] "
    rb'"([ -!#-~]*)" (\d{3}) (\d+) "([ -!#-~]*)" "([ -!#-~]*)" (\S+) (\d+\.\d{3}) (\S+) (\S+) (\S+)\n'
)
UNKNOWN = FakeConnection(False, ("", 0), ("", 0), None, "", "", "", b"", "")


def answered(target: bytes = b"/", fields: Fields = (), connection: FakeConnection | None = None) -> FakeExchange:
    """An exchange that got a short answer."""
    exchange = FakeExchange(request(target, fields=fields), connection)
    exchange.send(Response(200, (), b"hello"))
    return exchange


def test_a_combined_line_is_what_log_readers_know_with_more_at_its_end() -> None:
    """Host, seconds, and what the handshake was like."""
    fields = ((b"referer", b"https://example.org/"), (b"user-agent", b"curl/8"))
    assert combined_line(answered(b"/a?b", fields), NOON, 0.0123) == (
        b'192.0.2.1 - - [14/Nov/2023:22:13:20 +0000] "GET /a?b HTTP/1.1" 200 5 "https://example.org/" "curl/8" '
        b"example.org 0.012 TLSv1.3 X25519 stapled\n"
    )


def test_http2_is_written_as_other_servers_write_it() -> None:
    """With a minor version, which it does not have."""
    assert b'"GET / HTTP/2.0" ' in combined_line(FakeExchange(request(version="2")), NOON, 0)


def test_what_is_not_known_is_a_dash() -> None:
    """No address on a UNIX socket, no TLS on a plain one, no fields."""
    line = combined_line(answered(connection=UNKNOWN), NOON, 0)
    assert line.startswith(b"- - - [")
    assert line.endswith(b'"GET / HTTP/1.1" 200 5 "-" "-" example.org 0.000 - - -\n')


def test_a_json_line_says_all_that_is_known() -> None:
    """With the keys that the documentation names."""
    said = json.loads(json_line(answered(b"/a?b", ((b"user-agent", b"\xff\n"),)), NOON, 0.5))
    assert said == {
        "time": "2023-11-14T22:13:20.000+00:00",
        "client": "192.0.2.1",
        "host": "example.org",
        "method": "GET",
        "target": "/a?b",
        "version": "1.1",
        "status": 200,
        "bytes": 5,
        "seconds": 0.5,
        "referer": "",
        "user_agent": "\\xff\n",
        "tls_version": "TLSv1.3",
        "cipher": "TLS_AES_128_GCM_SHA256",
        "group": "X25519",
        "alpn": "http/1.1",
        "server_name": "example.org",
        "staple": "stapled",
        "client_subject": "",
    }


def test_an_exchange_whose_client_left_before_the_answer_is_a_499() -> None:
    """As nginx counts it."""
    assert b'" 499 0 "' in combined_line(FakeExchange(), NOON, 0)
    assert json.loads(json_line(FakeExchange(), NOON, 0))["status"] == 499


def test_quotes_backslashes_and_controls_are_written_as_numbers() -> None:
    """The three ways into somebody else's field, line or terminal."""
    assert escaped(b'a" \\\x1b[2J\r\n\xc3\xa9') == b"a\\x22 \\x5c\\x1b[2J\\x0d\\x0a\\xc3\\xa9"


@given(target=st.binary(), referer=st.binary(), agent=st.binary(), host=st.binary())
def test_no_request_ends_a_line_or_a_field(target: bytes, referer: bytes, agent: bytes, host: bytes) -> None:
    """Not even one that no HTTP version would let through."""
    fields = ((b"host", host), (b"referer", referer), (b"user-agent", agent))
    exchange = answered(target, fields)
    assert COMBINED.fullmatch(combined_line(exchange, NOON, 1))
    line = json_line(exchange, NOON, 1)
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert isinstance(json.loads(line), dict)


@pytest.mark.parametrize("form", ["combined", "json"])
def test_a_line_is_written_when_the_exchange_is_over(form: Form) -> None:
    """Once, with the time that it took, and whoever else waits for the end is told too."""
    lines: list[bytes] = []
    told: list[Exchange] = []
    times = iter([100.0, 102.5])
    log = AccessLog(lines.append, form, seconds=lambda: next(times), wall_clock=lambda: NOON)
    exchange = FakeExchange()
    exchange.done = told.append
    log.begin(exchange)
    assert lines == []
    exchange.send(Response(204))
    (line,) = lines
    assert b"2.5" in line
    assert told == [exchange]


def test_an_exchange_that_is_broken_off_has_its_line() -> None:
    """What was sent by then is counted."""
    lines: list[bytes] = []
    exchange = FakeExchange()
    AccessLog(lines.append, wall_clock=lambda: NOON).begin(exchange)
    exchange.start(200, ())
    exchange.write(b"half")
    exchange.abort()
    assert b'" 200 4 "' in lines[0]


def refused(line: bytes) -> RefusedRequest:
    """A request with that request line, which was refused."""
    return RefusedRequest(FakeConnection(), UnreadRequest(line), 400, 150, 0.5)


def test_a_refused_request_has_its_line() -> None:
    """With what is known of it, as nginx has it."""
    lines: list[bytes] = []
    AccessLog(lines.append, wall_clock=lambda: NOON).refused(refused(b"GET  /a HTTP/1.1"))
    assert lines == [
        (
            b'192.0.2.1 - - [14/Nov/2023:22:13:20 +0000] "GET  /a HTTP/1.1" 400 150 "-" "-" '
            b"- 0.500 TLSv1.3 X25519 stapled\n"
        )
    ]
    assert b' "-" 400 150 ' in combined_line(refused(b""), NOON, 0)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", ("", "", "")),
        (b"GET", ("GET", "", "")),
        (b"GET /a", ("GET", "/a", "")),
        (b"GET /a HTTP/2.0", ("GET", "/a", "2.0")),
        (b"\xff /a b HTTP/1.1", ("\\xff", "/a", "b HTTP/1.1")),
    ],
)
def test_the_words_of_a_refused_request(line: bytes, words: tuple[str, str, str]) -> None:
    """JSON has them one by one."""
    said = json.loads(json_line(refused(line), NOON, 0))
    assert (said["method"], said["target"], said["version"]) == words
    assert (said["status"], said["bytes"], said["host"]) == (400, 150, "")


@given(st.binary())
def test_no_refused_request_ends_a_line_or_a_field(line: bytes) -> None:
    """Whatever it is."""
    assert COMBINED.fullmatch(combined_line(refused(line), NOON, 1))
    assert json_line(refused(line), NOON, 1).count(b"\n") == 1
