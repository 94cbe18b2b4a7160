"""Host and port, as Host and `:authority` name them: RFC 9110 §7.2, RFC 3986 §3.2."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

LAST_PORT = 65_535

# A registered name or an IPv4 address. RFC 3986 also has percent-encoding and sub-delimiters in a registered name: no
# name of the DNS has them, and a comma or a quote in a name is read in two ways by those who come after us.
_AUTHORITY = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~-]+)(?::([0-9]{0,5}))?")


class Authority(NamedTuple):
    """A host and a port.

    Args:
        host: In lower case; an IPv6 address is in brackets.
        port: None where none is named.
    """

    host: bytes
    port: int | None


@lru_cache(maxsize=1024)
def split(authority: bytes) -> Authority | None:
    """Split `host`, `host:port` or `[address]:port`.

    Returns:
        Host and port; None where it is neither of these: also with user information, or without a host.
    """
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return None
    host, digits = found.groups()
    if host.startswith(b"[") and not _is_ipv6(host[1:-1]):
        return None
    # RFC 9110 §4.2.3: an empty port is the same as none.
    port = int(digits) if digits else None
    return None if port is not None and port > LAST_PORT else Authority(host.lower(), port)


def _is_ipv6(address: bytes) -> bool:
    try:
        IPv6Address(address.decode())
    except AddressValueError:
        return False
    return True
