"""Where a server to be checked is: `HOST[:PORT]`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from staplesrv.staples.asking.url import BadURL, parse_host

HTTPS: Final = 443

_FORM: Final = re.compile(r"(?:\[(?P<v6>[^\[\]]*:[^\[\]]*)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port.

    Args:
        host: A DNS name in lower case with A-labels, or an IP address; IPv6 without brackets.
        port: 1 to 65535.
    """

    host: str
    port: int = HTTPS

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`; names may have letters beyond ASCII.

        Raises:
            ValueError: it is none of these; the text says what to write instead.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text[:100]!r} is not of the form HOST[:PORT]{_hint(text)}")
        port = int(found["port"] or HTTPS)
        if not 0 < port <= 0xFFFF:  # noqa: PLR2004 - a port has 16 bits
            raise ValueError(f"{port} is no port")
        return cls(host_name(found["v6"] or found["host"]), port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def host_name(text: str) -> str:
    """Read a DNS name or an IP address (IPv6 without brackets, with a zone if need be).

    Returns:
        Lower case ASCII.

    Raises:
        ValueError: it is neither.
    """
    if "%" in text and ":" in text:
        # A link-local address means nothing without its zone, and it is this machine that is asked.
        try:
            return str(ipaddress.IPv6Address(text))
        except ValueError as error:
            raise ValueError(f"{text[:100]!r} is no IPv6 address") from error
    try:
        return parse_host(text)
    except BadURL as error:
        raise ValueError(f"{text[:100]!r}: {error.problem}") from error


def _hint(text: str) -> str:
    """What to write instead."""
    if "://" in text:
        return "; leave the scheme and the path away"
    return "; write IPv6 addresses in brackets" if text.count(":") > 1 else ""
