"""The head of a request as a backend gets it, and what it says of the client."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

import pytest
from fake_exchange import request
from hypothesis import given
from hypothesis import strategies as st
from passage import Passage

from staplesrv.http.fields import Fields
from staplesrv.http.proxy.forwarded import told
from staplesrv.http.proxy.outgoing import Outgoing

Lines = Callable[..., list[bytes]]


def lines_for(
    *fields: tuple[bytes, bytes], settings: dict[str, object] | None = None, **connection: object
) -> list[bytes]:
    """The lines that a backend gets for a request with these fields."""
    passage = Passage(**(settings or {}))  # type: ignore[arg-type]
    passage.ask(request(fields=fields), **connection)
    return passage.line.written.split(b"\r\n")[:-2]


def starting(lines: list[bytes], name: bytes) -> list[bytes]:
    """The values of a field."""
    return [value.strip() for found, _, value in (line.partition(b":") for line in lines) if found.lower() == name]


def test_the_connections_own_fields_are_not_passed_on() -> None:
    """RFC 9110 §7.6.1: nor those that Connection names; the rest is."""
    lines = lines_for(
        (b"connection", b"close, X-Own"),
        (b"x-own", b"1"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"close"),
        (b"te", b"gzip"),
        (b"accept", b"*/*"),
        (b"cookie", b"a=b"),
        (b"cookie", b"c=d"),
    )
    assert [line for line in lines[2:] if b"orwarded" not in line] == [b"accept: */*", b"cookie: a=b", b"cookie: c=d"]


def test_connection_can_not_take_away_what_the_proxy_says() -> None:
    """A client that names X-Forwarded-For in Connection is told of all the same."""
    lines = lines_for((b"connection", b"x-forwarded-for, host"), (b"x-forwarded-for", b"::1"))
    assert starting(lines, b"x-forwarded-for") == [b"192.0.2.1"]
    assert starting(lines, b"host") == [b"example.org"]


CLAIMS: Fields = (
    (b"x-forwarded-for", b"127.0.0.1"),
    (b"x-forwarded-proto", b"gopher"),
    (b"x-forwarded-host", b"evil.example"),
    (b"forwarded", b"for=127.0.0.1"),
    (b"x-forwarded-port", b"1"),
    (b"x-forwarded-prefix", b"/admin"),
    (b"x-real-ip", b"127.0.0.1"),
    (b"x_forwarded_for", b"127.0.0.1"),
    (b"x-forwarded_for", b"127.0.0.1"),
    (b"x_real_ip", b"127.0.0.1"),
    (b"proxy", b"http://evil.example"),
)


def test_what_a_client_says_of_itself_is_replaced() -> None:
    """In whatever spelling."""
    lines = lines_for(*CLAIMS)
    assert lines[2:] == [
        b"X-Forwarded-For: 192.0.2.1",
        b"X-Forwarded-Proto: https",
        b"Forwarded: for=192.0.2.1;proto=https;host=example.org",
        b"X-Forwarded-Host: example.org",
    ]


@pytest.mark.parametrize("client", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"])
def test_what_a_trusted_proxy_says_is_added_to(client: str) -> None:
    """Its word of the client stays, and it comes last itself."""
    trusted = {"trusted": (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))}
    lines = lines_for(*CLAIMS, settings=trusted, client=(client, 1))
    name = client.removeprefix("::ffff:").encode()
    node = b'"[%s]"' % name if b":" in name else name
    assert starting(lines, b"x-forwarded-for") == [b"127.0.0.1, " + name]
    assert starting(lines, b"x-forwarded-proto") == [b"gopher"]
    assert starting(lines, b"x-forwarded-host") == [b"evil.example"]
    assert starting(lines, b"forwarded") == [b"for=127.0.0.1, for=%s;proto=https;host=example.org" % node]
    assert starting(lines, b"x-forwarded-port") == [b"1"]
    assert starting(lines, b"x-real-ip") == [b"127.0.0.1"]
    assert not [line for line in lines if b"_" in line.partition(b":")[0] or line.startswith(b"proxy")]


@pytest.mark.parametrize("client", ["198.51.100.1", "", "2001:db9::1"])
def test_others_are_not_trusted(client: str) -> None:
    """Neither is a client without an address."""
    trusted = {"trusted": (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))}
    lines = lines_for(*CLAIMS, settings=trusted, client=(client, 1))
    assert starting(lines, b"x-forwarded-for") == [client.encode() or b"unknown"]


@pytest.mark.parametrize(
    ("client", "secure", "host", "forwarded"),
    [
        ("192.0.2.1", True, b"a", b"for=192.0.2.1;proto=https;host=a"),
        ("2001:db8::1", False, b"a", b'for="[2001:db8::1]";proto=http;host=a'),
        ("fe80::1%eth0", False, b"", b'for="[fe80::1]";proto=http'),
        ("::ffff:192.0.2.1", False, b"", b"for=192.0.2.1;proto=http"),
        ("", True, b"a:8443", b'for=unknown;proto=https;host="a:8443"'),
        ("192.0.2.1", True, b"[::1]", b'for=192.0.2.1;proto=https;host="[::1]"'),
        ("192.0.2.1", True, b'a"\\', b'for=192.0.2.1;proto=https;host="a\\"\\\\"'),
    ],
)
def test_forwarded_is_quoted(client: str, secure: bool, host: bytes, forwarded: bytes) -> None:  # noqa: FBT001 - a parameter
    """RFC 7239 §4 and §6: what is no token stands in quotes, and IPv6 in brackets."""
    assert b"Forwarded: " + forwarded in told(client, secure, host)


def test_the_host_is_the_clients_or_as_set() -> None:
    """Or the backend's own, for an HTTP/1.0 client that named none."""
    assert lines_for()[1] == b"Host: example.org"
    lines = lines_for(settings={"host": b"app.internal"})
    assert lines[1] == b"Host: app.internal"
    assert starting(lines, b"x-forwarded-host") == [b"example.org"]
    nameless = lines_for((b"host", b""))
    assert nameless[1] == b"Host: b0.internal:8080"
    assert not starting(nameless, b"x-forwarded-host")


@pytest.mark.parametrize(
    ("method", "length", "line"),
    [
        (b"GET", 0, None),
        (b"DELETE", 0, None),
        (b"POST", 0, b"Content-Length: 0"),
        (b"PROPFIND", 0, b"Content-Length: 0"),
        (b"GET", 5, b"Content-Length: 5"),
        (b"GET", None, b"Transfer-Encoding: chunked"),
    ],
)
def test_content_is_announced_once(method: bytes, length: int | None, line: bytes | None) -> None:
    """Never by both fields, and not at all where methods with content are meant by it."""
    passage = Passage()
    passage.ask(request(method=method, length=length, fields=((b"content-length", b"9"),)))
    lines = passage.line.written.split(b"\r\n")
    assert [one for one in lines if one.startswith((b"Content-Length", b"content-length", b"Transfer"))] == (
        [] if line is None else [line]
    )


@given(st.lists(st.binary(min_size=1, max_size=30)), st.booleans())
def test_content_is_framed_as_announced(pieces: list[bytes], known: bool) -> None:  # noqa: FBT001 - a parameter
    """Of a known length it is as it is; of an unknown one, chunks that say how long they are."""
    content = b"".join(pieces)
    outgoing = Outgoing(len(content) if known else None)
    sent = b"".join(outgoing.data(piece) or b"" for piece in pieces)
    sent += outgoing.end(()) or b""
    assert outgoing.complete
    if known:
        assert sent == content
        return
    read = b""
    while (size := int(sent[: sent.index(b"\r\n")], 16)) > 0:
        start = sent.index(b"\r\n") + 2
        read += sent[start : start + size]
        assert sent[start + size : start + size + 2] == b"\r\n"
        sent = sent[start + size + 2 :]
    assert sent == b"0\r\n\r\n"
    assert read == content
