"""The PROXY protocol, versions 1 and 2: a load balancer says who the client is, before anything else.

After https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt; its sections are named below. Pure: bytes in, a
header out, and the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from itertools import islice

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"

LONGEST = 16_384
"""Bytes of a header that are taken. The format has room for 64 KiB; a client's certificate is the most there is."""

_V1 = b"PROXY "
_V1_LONGEST = 107  # §2.1, with the CRLF
_V1_LINE = re.compile(
    rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})", re.ASCII
)
_PORTS = 0xFFFF

_FIXED = 16
_LOCAL, _PROXY = 0x20, 0x21
_UNSPEC, _TCP4, _TCP6, _UNIX_STREAM = 0x00, 0x11, 0x21, 0x31
_ADDRESS_BYTES = {_UNSPEC: 0, _TCP4: 4, _TCP6: 16, _UNIX_STREAM: 108}

# §2.2.1 to 2.2.9
ALPN = 0x01
AUTHORITY = 0x02
CRC32C = 0x03
SSL = 0x20
SSL_VERSION = 0x21
SSL_CN = 0x22
SSL_CIPHER = 0x23
_CLIENT_SSL = 0x01
_CLIENT_CERTIFICATE = 0x02 | 0x04  # on this connection, and so in this session
_VERIFIED, _UNVERIFIED = 0, 1


class BadProxyHeader(ValueError):
    """Bytes that are no header, or one that must not be taken. §2: the connection is to be closed."""


Place = tuple[str, int]
"""An IP address, in the usual form, and a port."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a header says.

    Args:
        client: Who connected to the sender; None where that has no IP address, or the sender speaks for itself.
        server: What the client connected to; None as for the client.
        tlvs: Types and values of what version 2 says besides, in order.
    """

    client: Place | None = None
    server: Place | None = None
    tlvs: tuple[tuple[int, bytes], ...] = ()


def parse(data: bytes) -> tuple[ProxyHeader, int] | None:
    """Read a header of either version from the beginning of a connection.

    Args:
        data: All that has come so far.

    Returns:
        The header and its length; None where more has to come.

    Raises:
        BadProxyHeader: this is no header, nor the beginning of one.
    """
    if data.startswith(SIGNATURE):
        return _parse_v2(data)
    if data.startswith(_V1):
        return _parse_v1(data)
    if SIGNATURE.startswith(data) or _V1.startswith(data):
        return None
    raise BadProxyHeader("no signature")


def build(header: ProxyHeader, *, checksum: bool = False) -> bytes:
    """Write a header of version 2.

    Args:
        header: Without a checksum.
        checksum: Whether to add one.
    """
    places = _places(header)
    kind = _UNSPEC if not places else (_TCP4 if len(places) == 12 else _TCP6)  # noqa: PLR2004 - addresses and ports
    content = places + b"".join(tlv(*one) for one in header.tlvs)
    if checksum:
        content += tlv(CRC32C, bytes(4))
    whole = SIGNATURE + bytes([_PROXY, kind]) + len(content).to_bytes(2) + content
    return whole[:-4] + crc32c(whole).to_bytes(4) if checksum else whole


def tlv(kind: int, value: bytes) -> bytes:
    """Write a type, a length and a value: §2.2."""
    return bytes([kind]) + len(value).to_bytes(2) + value


def ssl_value(version: str, cipher: str, common_name: str | None = None) -> bytes:
    """Write the value of an `SSL` TLV: §2.2.6.

    Args:
        version: Like `TLSv1.3`.
        cipher: OpenSSL's name.
        common_name: Of the certificate that the client showed, which is verified; None where it showed none.
    """
    said = tlv(SSL_VERSION, version.encode()) + tlv(SSL_CIPHER, cipher.encode())
    if common_name is None:
        return bytes([_CLIENT_SSL]) + _UNVERIFIED.to_bytes(4) + said
    name = tlv(SSL_CN, common_name.encode())
    return bytes([_CLIENT_SSL | _CLIENT_CERTIFICATE]) + _VERIFIED.to_bytes(4) + said + name


def crc32c(data: bytes) -> int:
    """Return the checksum of §2.2.3: CRC-32C, as RFC 3720 appendix B.4 has it."""
    table = _crc_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _parse_v1(data: bytes) -> tuple[ProxyHeader, int] | None:
    line, end, _ = data[:_V1_LONGEST].partition(b"\r\n")
    if not end:
        if len(data) >= _V1_LONGEST or b"\n" in line:
            raise BadProxyHeader("no end of the line")
        return None
    length = len(line) + 2
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        # §2.1: what follows is to be ignored.
        return ProxyHeader(), length
    match = _V1_LINE.fullmatch(line)
    if match is None:
        raise BadProxyHeader("no line of version 1")
    kind, *texts = (part.decode() for part in match.groups())
    client, server = (_place(kind == "TCP4", texts[number], texts[number + 2]) for number in (0, 1))
    return ProxyHeader(client, server), length


def _place(ipv4: bool, host: str, port: str) -> Place:  # noqa: FBT001 - of two kinds
    try:
        address = IPv4Address(host) if ipv4 else IPv6Address(host)
    except ValueError as error:
        raise BadProxyHeader("no address") from error
    if int(port) > _PORTS:
        raise BadProxyHeader("no port")
    return _text(address), int(port)


def _text(address: IPv4Address | IPv6Address) -> str:
    # As a socket for both families shows those of IPv4: RFC 4291 §2.5.5.2.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _parse_v2(data: bytes) -> tuple[ProxyHeader, int] | None:
    if len(data) < _FIXED:
        return None
    command, kind = data[12], data[13]
    length = _FIXED + int.from_bytes(data[14:_FIXED])
    # §2.2: connections with other values, those reserved included, are to be dropped.
    if command not in {_LOCAL, _PROXY} or (command == _PROXY and kind not in _ADDRESS_BYTES):
        raise BadProxyHeader("no command or family that is known")
    if length > LONGEST:
        raise BadProxyHeader("too long")
    if len(data) < length:
        return None
    if command == _LOCAL:
        # The sender speaks for itself, as for a health check; the rest is to be ignored.
        return ProxyHeader(), length
    return _header(data[:length], kind), length


def _header(whole: bytes, kind: int) -> ProxyHeader:
    size = _ADDRESS_BYTES[kind]
    ports = 0 if kind in {_UNSPEC, _UNIX_STREAM} else 2
    start = _FIXED + 2 * (size + ports)
    if start > len(whole):
        raise BadProxyHeader("too short for its addresses")
    tlvs = tuple(_tlvs(whole, start))
    if not ports:
        return ProxyHeader(tlvs=tlvs)
    make = IPv4Address if kind == _TCP4 else IPv6Address
    at = _FIXED + 2 * size
    hosts = [_text(make(whole[here : here + size])) for here in (_FIXED, _FIXED + size)]
    numbers = [int.from_bytes(whole[here : here + 2]) for here in (at, at + 2)]
    return ProxyHeader((hosts[0], numbers[0]), (hosts[1], numbers[1]), tlvs)


def _tlvs(whole: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """Read what follows the addresses; a checksum among it is looked at, and not returned."""
    checked = False
    while start < len(whole):
        kind, length = whole[start], int.from_bytes(whole[start + 1 : start + 3])
        value = whole[start + 3 : start + 3 + length]
        if start + 3 > len(whole) or len(value) != length:
            raise BadProxyHeader("a TLV that is cut off")
        if kind == CRC32C:
            if checked or length != 4 or int.from_bytes(value) != _checksum(whole, start + 3):  # noqa: PLR2004 - 32 bits
                raise BadProxyHeader("a wrong checksum")
            checked = True
        else:
            yield kind, value
        start += 3 + length


def _checksum(whole: bytes, at: int) -> int:
    return crc32c(whole[:at] + bytes(4) + whole[at + 4 :])


def _places(header: ProxyHeader) -> bytes:
    if header.client is None or header.server is None:
        return b""
    hosts = [_packed(place[0]) for place in (header.client, header.server)]
    if len(hosts[0]) != len(hosts[1]):
        # One family for both.
        hosts = [bytes(10) + b"\xff\xff" + host if len(host) == 4 else host for host in hosts]  # noqa: PLR2004 - IPv4
    return b"".join(hosts) + header.client[1].to_bytes(2) + header.server[1].to_bytes(2)


def _packed(host: str) -> bytes:
    return IPv6Address(host.partition("%")[0]).packed if ":" in host else IPv4Address(host).packed


@cache
def _crc_table() -> tuple[int, ...]:
    return tuple(next(islice(_crc_steps(byte), 8, None)) for byte in range(256))


def _crc_steps(crc: int) -> Iterator[int]:
    while True:
        yield crc
        crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
