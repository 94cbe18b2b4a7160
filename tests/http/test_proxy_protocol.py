"""The PROXY protocol, versions 1 and 2."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.http.proxy_protocol import (
    ALPN,
    AUTHORITY,
    CRC32C,
    LONGEST,
    SIGNATURE,
    SSL,
    BadProxyHeader,
    ProxyHeader,
    build,
    crc32c,
    parse,
    ssl_value,
    tlv,
)

CLIENT, SERVER = ("192.0.2.7", 4711), ("198.51.100.1", 443)
V4 = IPv4Address("192.0.2.7").packed + IPv4Address("198.51.100.1").packed + b"\x12\x67\x01\xbb"
V6 = IPv6Address("2001:db8::7").packed + IPv6Address("2001:db8::1").packed + b"\x12\x67\x01\xbb"


def v2(command: int, kind: int, content: bytes, length: int | None = None) -> bytes:
    """A header of version 2, byte by byte."""
    return SIGNATURE + bytes([command, kind]) + (len(content) if length is None else length).to_bytes(2) + content


places = st.one_of(
    st.tuples(st.ip_addresses(v=4).map(str), st.integers(0, 65535)),
    st.tuples(st.ip_addresses(v=6).filter(lambda ip: ip.ipv4_mapped is None).map(str), st.integers(0, 65535)),
)
headers = st.builds(
    ProxyHeader,
    places,
    places,
    st.lists(
        st.tuples(st.integers(0, 255).filter(lambda kind: kind != CRC32C), st.binary(max_size=20)), max_size=4
    ).map(tuple),
)


# Version 1.


@pytest.mark.parametrize(
    ("line", "header"),
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443", ProxyHeader(CLIENT, SERVER)),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", ProxyHeader(*[("255.255.255.255", 65535)] * 2)),
        (b"PROXY TCP6 2001:db8::7 ::1 0 1", ProxyHeader(("2001:db8::7", 0), ("::1", 1))),
        (
            b"PROXY TCP6 2001:0DB8:0:0:0:0:0:7 ::ffff:1.2.3.4 1 1",
            ProxyHeader(("2001:db8::7", 1), ("1.2.3.4", 1)),
        ),
        (b"PROXY UNKNOWN", ProxyHeader()),
        (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535", ProxyHeader()),
        (b"PROXY UNKNOWN " + b"x" * 91, ProxyHeader()),
    ],
)
def test_lines(line: bytes, header: ProxyHeader) -> None:
    """§2.1: what they say, and where they end."""
    assert parse(line + b"\r\n\x16\x03") == (header, len(line) + 2)


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443 ",
        b"PROXY  TCP4 192.0.2.7 198.51.100.1 4711 443",
        b"PROXY TCP4\t192.0.2.7 198.51.100.1 4711 443",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 04711 443",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 99999",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 443",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711",
        b"PROXY TCP4 192.0.2.07 198.51.100.1 4711 443",
        b"PROXY TCP4 192.0.2 198.51.100.1 4711 443",
        b"PROXY TCP4 2001:db8::7 ::1 4711 443",
        b"PROXY TCP6 192.0.2.7 198.51.100.1 4711 443",
        b"PROXY TCP6 fe80::1%eth0 ::1 4711 443",
        b"PROXY TCP6 2001:db8:::7 ::1 4711 443",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 4711 443",
        b"PROXY UNKNOWNS",
        b"PROXY ",
        b"PROXY UNKNOWN " + b"x" * 92,
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\n",
    ],
)
def test_lines_that_are_none(line: bytes) -> None:
    """They are refused, and those without an end not waited for beyond 107 bytes."""
    with pytest.raises(BadProxyHeader):
        parse(line + b"\r\n")


def test_a_line_that_does_not_end() -> None:
    """107 bytes with the CRLF is the longest there can be; a bare line feed ends none."""
    assert parse(b"PROXY UNKNOWN " + b"x" * 92) is None
    with pytest.raises(BadProxyHeader):
        parse(b"PROXY UNKNOWN " + b"x" * 93)
    with pytest.raises(BadProxyHeader):
        parse(b"PROXY UNKNOWN\n")


# Version 2.


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (v2(0x21, 0x11, V4), ProxyHeader(CLIENT, SERVER)),
        (v2(0x21, 0x21, V6), ProxyHeader(("2001:db8::7", 4711), ("2001:db8::1", 443))),
        (v2(0x21, 0x31, bytes(216)), ProxyHeader()),
        (v2(0x21, 0x00, b""), ProxyHeader()),
        (v2(0x21, 0x00, tlv(4, b"x")), ProxyHeader(tlvs=((4, b"x"),))),
        (v2(0x20, 0x11, V4), ProxyHeader()),
        (v2(0x20, 0x00, b""), ProxyHeader()),
        (v2(0x20, 0xFF, b"whatever"), ProxyHeader()),
        (
            v2(0x21, 0x11, V4 + tlv(0xEE, b"") + tlv(2, b"a.example")),
            ProxyHeader(CLIENT, SERVER, ((0xEE, b""), (2, b"a.example"))),
        ),
    ],
)
def test_binary_headers(header: bytes, says: ProxyHeader) -> None:
    """§2.2: what they say, and where they end."""
    assert parse(header + b"\x16\x03") == (says, len(header))


@pytest.mark.parametrize(
    "header",
    [
        v2(0x11, 0x11, V4),
        v2(0x22, 0x11, V4),
        v2(0x31, 0x11, V4),
        v2(0x21, 0x12, V4),
        v2(0x21, 0x10, V4),
        v2(0x21, 0x01, V4),
        v2(0x21, 0x41, V4),
        v2(0x21, 0x32, bytes(216)),
        v2(0x21, 0x11, V4[:-1]),
        v2(0x21, 0x21, V6[:-1]),
        v2(0x21, 0x31, bytes(215)),
        v2(0x21, 0x11, V4 + b"\x01"),
        v2(0x21, 0x11, V4 + b"\x01\x00"),
        v2(0x21, 0x11, V4 + b"\x01\x00\x02a"),
        v2(0x21, 0x11, V4, LONGEST),
        v2(0x20, 0x00, b"", 0xFFFF),
    ],
)
def test_binary_headers_that_are_none(header: bytes) -> None:
    """Other versions, commands and families, and lengths that do not fit."""
    with pytest.raises(BadProxyHeader):
        parse(header)


def test_the_checksum() -> None:
    """§2.2.3: RFC 3720's examples; a header with a wrong one is refused, whatever else it says."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes([0xFF]) * 32) == 0x62A8AB43
    assert crc32c(b"123456789") == 0xE3069283
    good = build(ProxyHeader(CLIENT, SERVER), checksum=True)
    assert parse(good) == (ProxyHeader(CLIENT, SERVER), len(good))
    for place in (17, len(good) - 1):
        spoilt = bytearray(good)
        spoilt[place] ^= 1
        with pytest.raises(BadProxyHeader):
            parse(bytes(spoilt))


@pytest.mark.parametrize("value", [b"", b"\0\0\0", b"\0\0\0\0\0"])
def test_a_checksum_of_another_length(value: bytes) -> None:
    """It is none."""
    with pytest.raises(BadProxyHeader):
        parse(v2(0x21, 0x00, tlv(CRC32C, value)))


def test_two_checksums() -> None:
    """There is one, or none."""
    first = build(ProxyHeader(), checksum=True)[16:]
    with pytest.raises(BadProxyHeader):
        parse(v2(0x21, 0x00, first + first))


@given(headers, st.booleans())
def test_what_is_built_is_what_is_read(header: ProxyHeader, checksum: bool) -> None:  # noqa: FBT001
    """Whatever the families of the addresses."""
    made = build(header, checksum=checksum)
    assert parse(made + b"more") == (header, len(made))


def test_a_scope_is_left_out() -> None:
    """The format has no place for it."""
    found = parse(build(ProxyHeader(("fe80::1%eth0", 1), ("fe80::2%eth0", 2))))
    assert found is not None
    assert found[0].client == ("fe80::1", 1)


def test_what_is_said_of_tls() -> None:
    """§2.2.6: TLS was used, no certificate was verified, and which version and cipher."""
    value = ssl_value("TLSv1.3", "TLS_AES_128_GCM_SHA256")
    assert value == b"\x01\x00\x00\x00\x01" + b"\x21\x00\x07TLSv1.3" + b"\x23\x00\x16TLS_AES_128_GCM_SHA256"
    header = ProxyHeader(CLIENT, SERVER, ((SSL, value), (AUTHORITY, b"a.example"), (ALPN, b"h2")))
    found = parse(build(header))
    assert found is not None
    assert found[0] == header


# Whatever comes.


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01", b"GET / HTTP/1.1\r\n", b"PROXX", b"proxy TCP4", b"\r\n\r\n\x00\r\nQUIT\r"]
)
def test_something_else(data: bytes) -> None:
    """It is refused at the first byte that can't be."""
    with pytest.raises(BadProxyHeader):
        parse(data)


@given(headers)
def test_a_beginning_is_waited_for(header: ProxyHeader) -> None:
    """Every proper beginning of a header may go on."""
    made = build(header)
    assert all(parse(made[:end]) is None for end in range(len(made)))
    line = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"
    assert all(parse(line[:end]) is None for end in range(len(line)))


@given(st.one_of(st.binary(), st.binary().map(SIGNATURE.__add__), st.binary().map(b"PROXY ".__add__)))
def test_nothing_upsets_it(data: bytes) -> None:
    """Bytes are a header, the beginning of one, or refused; the length is within them."""
    try:
        found = parse(data)
    except BadProxyHeader:
        return
    assert found is None or 0 < found[1] <= len(data)
