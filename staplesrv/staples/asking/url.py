"""URLs out of certificates, redirects and configuration: parsed with suspicion, then a value that can be trusted.

A certificate is somebody else's input, and so is a Location header. What is not plainly an http or https URL with a
host is refused as data; nothing here looks anything up.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import idna

from staplesrv.errors import ResponderError

MAX_URL = 2048
"""Characters. Real responder URLs have under a hundred."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MAX_HOST = 253
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
# Every printable ASCII character but the space: what is escaped already stays as it is, byte for byte.
_KEPT = "".join(map(chr, range(0x21, 0x7F)))


class BadURL(ResponderError):
    """A URL that is never asked; whoever offered it is treated as if it had offered none.

    Args:
        url: The URL as found.
        problem: What is wrong with it.
    """

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(url, problem)
        self.url = url
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.url[:100]!a}: {self.problem}"


@dataclass(frozen=True, slots=True)
class WebURL:
    """An http or https URL without userinfo and fragment.

    Args:
        scheme: "http" or "https".
        host: Lower case ASCII: a name with IDNA A-labels, an IPv4 address, or an IPv6 address without brackets.
        port: 1 to 65535.
        target: Path and query, printable ASCII, starting with a slash; escapes are left as they were found.
    """

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, text: str) -> WebURL:
        """Parse an absolute URL.

        Raises:
            BadURL: it is no http or https URL, has userinfo, no host, a host or a port that can't be, control
                characters, spaces or backslashes, or more than `MAX_URL` characters.
        """
        if len(text) > MAX_URL:
            raise BadURL(text, f"longer than {MAX_URL} characters")
        # urlsplit() drops tabs and line breaks without a word, so they are looked for before it.
        if any(character <= " " or character in "\x7f\\" for character in text):
            raise BadURL(text, "holds a space, a control character or a backslash")
        try:
            parts = urlsplit(text)
            port = parts.port
            host = parts.hostname
            # A lone surrogate has no UTF-8, and so no escape.
            target = quote(f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}", safe=_KEPT)
        except ValueError as error:
            raise BadURL(text, str(error)) from error
        if parts.scheme not in _DEFAULT_PORTS:
            raise BadURL(text, "is neither http nor https")
        if "@" in parts.netloc:
            raise BadURL(text, "carries a user name")
        if not host:
            raise BadURL(text, "has no host")
        if port == 0:
            raise BadURL(text, "has port 0")
        if "[" in parts.netloc:
            host = _ipv6(text, host)
        url = cls(parts.scheme, _host(text, host), port or _DEFAULT_PORTS[parts.scheme], target)
        # Escaping makes it longer: what comes out must be fit to come in again.
        if len(str(url)) > MAX_URL:
            raise BadURL(text, f"longer than {MAX_URL} characters")
        return url

    def join(self, location: str) -> WebURL:
        """Resolve what a Location header says against this URL.

        Raises:
            BadURL: as `parse`, for the URL that comes out.
        """
        if len(location) > MAX_URL:
            raise BadURL(location, f"longer than {MAX_URL} characters")
        try:
            absolute = urljoin(str(self), location)
        except ValueError as error:
            raise BadURL(location, str(error)) from error
        # urljoin() drops what urlsplit() drops: look at the original too.
        if any(character <= " " or character in "\x7f\\" for character in location):
            raise BadURL(location, "holds a space, a control character or a backslash")
        return WebURL.parse(absolute)

    @property
    def netloc(self) -> str:
        """Host and port as they stand in a URL and a Host header; the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.target}"


def parse_host(text: str) -> str:
    """Parse a host name or an IP address (IPv6 without brackets).

    Returns:
        Lower case ASCII, with IDNA A-labels, without a trailing dot.

    Raises:
        BadURL: it can't be a host.
    """
    return _host(text, text)


def _host(url: str, host: str) -> str:
    if ":" in host:
        return _ipv6(url, host)
    try:
        name = host.lower() if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    except UnicodeError as error:
        raise BadURL(url, f"host is no internationalised name: {error}") from error
    name = name.removesuffix(".")
    labels = name.split(".")
    if len(name) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadURL(url, "host is no name that DNS could have")
    # As WHATWG's URL standard: a name that ends in a number is an IPv4 address or nothing. getaddrinfo() would take
    # "127.1" and "0x7f000001" for addresses that no rule about addresses would recognise.
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError as error:
            raise BadURL(url, "host is no IPv4 address") from error
    return name


def _ipv6(url: str, host: str) -> str:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError as error:
        raise BadURL(url, "host is no IPv6 address") from error
    if address.scope_id is not None:
        raise BadURL(url, "host is an IPv6 address with a zone, which means something on one machine only")
    return str(address)
