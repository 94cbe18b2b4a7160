"""What the backend is told of the client: X-Forwarded-For, -Proto and -Host, and Forwarded (RFC 7239)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address

from staplesrv.http.fields import Fields, combined, is_token
from staplesrv.http.proxy.settings import Network

MAPPED = "::ffff:"
"""What an IPv4 address begins with on a socket for both families."""


@lru_cache(maxsize=4096)
def told(client: str, secure: bool, host: bytes) -> tuple[bytes, ...]:  # noqa: FBT001 - a memo takes its arguments by position
    """Return the lines, without their ends, about a client that is no trusted proxy: nothing of what it said.

    Args:
        client: Its address; empty where it has none.
        secure: Whether it came over TLS.
        host: What it asked for; empty where it named nothing.
    """
    return _lines(_name(client), b"https" if secure else b"http", host, _element(client, secure, host))


def told_on(client: str, secure: bool, host: bytes, fields: Fields) -> tuple[bytes, ...]:  # noqa: FBT001
    """Return the lines about a trusted proxy's client: what the proxy said, and the proxy itself at the end.

    Args:
        client: The proxy's address.
        secure: Whether the proxy came over TLS.
        host: What it asked for.
        fields: Of the request.
    """
    return _lines(
        _joined(combined(fields, b"x-forwarded-for"), _name(client)),
        combined(fields, b"x-forwarded-proto") or (b"https" if secure else b"http"),
        combined(fields, b"x-forwarded-host") or host,
        _joined(combined(fields, b"forwarded"), _element(client, secure, host)),
    )


@lru_cache(maxsize=4096)
def is_trusted(client: str, trusted: Sequence[Network]) -> bool:
    """Tell whether a client is one of the trusted proxies.

    Args:
        client: Its address; a client without one is not trusted.
        trusted: Hashable.
    """
    try:
        address = ip_address(_plain(client))
    except ValueError:
        return False
    return any(address in network for network in trusted)


def _lines(client: bytes, proto: bytes, host: bytes, forwarded: bytes) -> tuple[bytes, ...]:
    lines = (b"X-Forwarded-For: " + client, b"X-Forwarded-Proto: " + proto, b"Forwarded: " + forwarded)
    return (*lines, b"X-Forwarded-Host: " + host) if host else lines


def _joined(before: bytes | None, last: bytes) -> bytes:
    return b"%s, %s" % (before, last) if before else last


def _plain(client: str) -> str:
    """The address without its zone, and IPv4 as IPv4."""
    return client.partition("%")[0].removeprefix(MAPPED)


def _name(client: str) -> bytes:
    # RFC 7239 §6.2: `unknown` where there is nothing to tell.
    return _plain(client).encode("ascii", "replace") or b"unknown"


def _element(client: str, secure: bool, host: bytes) -> bytes:  # noqa: FBT001 - as `told`
    name = _name(client)
    # RFC 7239 §6: an IPv6 address stands in brackets, and so in quotes.
    node = b'"[%s]"' % name if b":" in name else name
    element = b"for=%s;proto=%s" % (node, b"https" if secure else b"http")
    return b"%s;host=%s" % (element, _quoted(host)) if host else element


def _quoted(value: bytes) -> bytes:
    """A token as it is, anything else as a quoted-string (RFC 9110 §5.6.4)."""
    if is_token(value):
        return value
    return b'"%s"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
