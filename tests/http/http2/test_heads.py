"""Which requests are taken, and which are malformed or refused."""

from __future__ import annotations

import pytest
from h2spec import WHOLE, raw
from http2_client import GET, POST, Client
from hypothesis import given
from hypothesis import strategies as st
from wire import Echo, Says

from staplesrv.http.fields import Fields, is_value
from staplesrv.http.http2.frames import StreamFault
from staplesrv.http.http2.frames import headers as block_frames
from staplesrv.http.http2.heads import Refused, read_head, read_trailers
from staplesrv.http.limits import Limits


def without(name: bytes) -> Fields:
    """A GET without a pseudo-header."""
    return tuple(field for field in GET if field[0] != name)


def changed(name: bytes, value: bytes) -> Fields:
    """A GET with another pseudo-header."""
    return tuple((name, value) if field[0] == name else field for field in GET)


MALFORMED: dict[str, Fields] = {
    "a name with a space": (*GET, (b"x y", b"z")),
    "a name with a colon": (*GET, (b"x:y", b"z")),
    "an empty name": (*GET, (b"", b"z")),
    "a name with a line's end": (*GET, (b"x\r\ny", b"z")),
    "LF in a value": (*GET, (b"x", b"y\nz: 1")),
    "CR in a value": (*GET, (b"x", b"y\rz")),
    "NUL in a value": (*GET, (b"x", b"y\0z")),
    "a control in a value": (*GET, (b"x", b"y\x01z")),
    "DEL in a value": (*GET, (b"x", b"y\x7fz")),
    "white space before a value": (*GET, (b"x", b" y")),
    "white space after a value": (*GET, (b"x", b"y\t")),
    "connection": (*GET, (b"connection", b"close")),
    "proxy-connection": (*GET, (b"proxy-connection", b"close")),
    "keep-alive": (*GET, (b"keep-alive", b"1")),
    "transfer-encoding": (*GET, (b"transfer-encoding", b"chunked")),
    "upgrade": (*GET, (b"upgrade", b"h2c")),
    "te": (*GET, (b"te", b"gzip")),
    "a method with a space": changed(b":method", b"GET /evil"),
    "an empty method": changed(b":method", b""),
    "another scheme": changed(b":scheme", b"ftp"),
    "a path with a space": changed(b":path", b"/ HTTP/1.1"),
    "a path with a line's end": changed(b":path", b"/\r\nx: y"),
    "a path with a fragment": changed(b":path", b"/a#b"),
    "a path with other bytes": changed(b":path", b"/\xc3\xa4"),
    "an absolute path": changed(b":path", b"https://example.org/"),
    "a path without a slash": changed(b":path", b"a"),
    "the asterisk of a GET": changed(b":path", b"*"),
    "two that differ": (*GET, (b"host", b"evil.example")),
    "two hosts": (*without(b":authority"), (b"host", b"example.org"), (b"host", b"example.org")),
    ":protocol without CONNECT": (*GET, (b":protocol", b"websocket")),
    "two lengths": (*POST, (b"content-length", b"1"), (b"content-length", b"1")),
    "a list of lengths": (*POST, (b"content-length", b"1, 1")),
    "a signed length": (*POST, (b"content-length", b"+1")),
    "an endless length": (*POST, (b"content-length", b"1" * 30)),
}

REFUSED: dict[str, tuple[int, Fields]] = {
    "CONNECT": (501, ((b":method", b"CONNECT"), (b":authority", b"example.org:443"))),
    "no authority": (400, without(b":authority")),
    "a bad authority": (400, changed(b":authority", b"exam ple.org")),
    "a user": (400, changed(b":authority", b"me@example.org")),
    "an empty authority": (400, changed(b":authority", b"")),
    "another expectation": (417, (*POST, (b"expect", b"200-ok"))),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    """What could have two readings elsewhere, or is no request, is a stream error: RFC 9113 §8.1.1."""
    application = Says()
    client = Client(application)
    client.request(1, MALFORMED[name], end=False)
    assert client.reset_code(1) == 1
    assert client.wire.factory.requests == 0
    client.request(3)
    assert client.status(3) == 200


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """What no application is to see is answered by a status, and the connection lives."""
    status, fields = REFUSED[name]
    client = Client(Says())
    client.request(1, fields, end=False)
    assert client.status(1) == status
    ((line, logged),) = [(refused.request.line, refused.status) for refused in client.wire.refused]
    assert (line.split()[0], line.split()[2], logged) == (dict(fields)[b":method"], b"HTTP/2.0", status)
    client.wire.clock.advance(0.1)
    client.read()
    assert client.reset_code(1) == 0
    client.request(3)
    assert client.status(3) == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((*GET, (b"x", b"y" * 33_000)), 431),
        ((*GET, *[(b"x%d" % index, b"") for index in range(100)]), 431),
        (changed(b":path", b"/" + b"a" * 9000), 414),
    ],
)
def test_too_much(fields: Fields, status: int) -> None:
    """The limits are HTTP/1.1's, and what is beyond has the same status."""
    client = Client(Says())
    client.send_bytes(block_frames(1, client.block(fields), ended=True))
    assert client.status(1) == status
    client.request(3)
    assert client.status(3) == 200


def test_the_limits_are_settings() -> None:
    """Another limit holds, and the client is told what concerns it."""
    client = Client(Says(), limits=Limits(fields=10, streams=7))
    assert client.got[0].settings[3] == 7
    client.request(1, (*GET, *[(b"x", b"y")] * 6))
    client.request(3, (*GET, *[(b"x", b"y")] * 7))
    assert (client.status(1), client.status(3)) == (200, 431)


def test_host_stands_in() -> None:
    """Without `:authority` Host says it; with both they are one: RFC 9113 §8.3.1."""
    client = Client(Echo())
    client.request(1, (*without(b":authority"), (b"host", b"Example.org")))
    client.request(3, (*GET, (b"host", b"EXAMPLE.org")))
    assert b"((b'host', b'Example.org'),)" in client.body(1)
    assert b"((b'host', b'EXAMPLE.org'),)" in client.body(3)


def test_the_asterisk_of_options() -> None:
    """OPTIONS may ask about the server as a whole."""
    client = Client(Echo())
    client.request(1, ((b":method", b"OPTIONS"), (b":scheme", b"https"), (b":path", b"*"), GET[3]))
    assert client.body(1).startswith(b"(b'OPTIONS', b'*', b'example.org'")


def test_a_repeated_request_means_the_same_until_the_table_changes() -> None:
    """A block that was read before is looked up, and no longer once it may mean something else."""
    client = Client(Echo())
    first = (*GET, (b"x-a", b"1"))
    client.request(1, first)
    block = client.block(first)
    client.send_bytes(raw(1, WHOLE, 3, block))
    client.send_bytes(raw(1, WHOLE, 5, block))
    assert client.body(1) == client.body(3) == client.body(5)
    # One more entry, and what was the index of the authority is that of another field.
    client.request(7, (*GET, (b"x-b", b"2")))
    client.send_bytes(raw(1, WHOLE, 9, block))
    assert client.status(9) == 400


@given(
    fields=st.lists(
        st.tuples(
            st.sampled_from([b"host", b"x", b"cookie", b"te", b"content-length", b":path", b"X"])
            | st.binary(max_size=5),
            st.sampled_from([b"1", b"example.org", b"trailers", b""]) | st.binary(max_size=5),
        ),
        max_size=4,
    ),
    ended=st.booleans(),
)
def test_no_request_could_be_two_elsewhere(fields: list[tuple[bytes, bytes]], *, ended: bool) -> None:
    """What is taken can be written as HTTP/1.1 lines, with one Host and one length at most."""
    try:
        request = read_head((*GET, *fields), ended=ended)
        read_trailers(tuple(fields))
    except (StreamFault, Refused):
        return
    names = [name for name, _ in request.fields]
    assert names.count(b"host") == 1
    assert names.count(b"content-length") <= 1
    assert all(is_value(value) and name and not set(name) & set(b" \r\n:\0") for name, value in request.fields)
