"""Addresses and networks that the configuration trusts."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from staplesrv.server.configuration.place import Place


def read_networks(texts: Sequence[str] | None, key: str, place: Place) -> tuple[IPv4Network | IPv6Network, ...]:
    """Make networks of texts like `10.0.0.0/8`; a single address is a network too.

    Raises:
        OperatorError: one is none.
    """
    return tuple(_network(text, key, place) for text in texts or ())


def _network(text: str, key: str, place: Place) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip())
    except ValueError as error:
        shown = f"{text[:100]!a}"
        try:
            meant = ip_network(text.strip(), strict=False)
        except ValueError:
            raise place.error(key, f"{shown} is no network", "write it like 10.0.0.0/8 or 2001:db8::/32") from error
        raise place.error(key, f"{shown} has bits beyond its mask", f"did you mean {meant}?") from error
