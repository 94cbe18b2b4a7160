"""Which hosts are asked without the proxy: the `no_proxy` rule."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from staplesrv.staples.asking.url import BadURL, parse_host

EVERY_HOST = "*"


def is_pattern(entry: str) -> bool:
    """Whether `entry` can be used in `bypasses`: `*`, a domain, an IP address, or a network in CIDR notation."""
    return entry == EVERY_HOST or _network(entry) is not None or _domain(entry) is not None


def bypasses(host: str, no_proxy: Iterable[str]) -> bool:
    """Whether a host is asked directly.

    There is no standard for this. As most programs do: `example.org` and `.example.org` mean the domain and everything
    below it, addresses and networks match hosts given as addresses (no name is looked up), `*` matches all.

    Args:
        host: As in `WebURL.host`.
        no_proxy: Patterns; one that is none matches nothing.
    """
    return any(_matches(host, entry) for entry in no_proxy)


def _matches(host: str, entry: str) -> bool:
    if entry == EVERY_HOST:
        return True
    network = _network(entry)
    if network is not None:
        address = _address(host)
        return address is not None and address in network
    domain = _domain(entry)
    return domain is not None and (host == domain or host.endswith(f".{domain}"))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        # strict=False: 10.0.0.1/8 is how people write it.
        return ipaddress.ip_network(entry.removeprefix("[").removesuffix("]"), strict=False)
    except ValueError:
        return None


def _domain(entry: str) -> str | None:
    try:
        return parse_host(entry.removeprefix("*").removeprefix("."))
    except BadURL:
        return None
