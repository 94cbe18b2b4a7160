"""What is served, in one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from staplesrv.ops import text
from staplesrv.ops.inventory import first_name
from staplesrv.staples.cache import Entry
from staplesrv.tls.live_site import LiveSite

MOST = 8
"""Certificates that are named one by one; of more, only how many."""


def serving(addresses: Sequence[Any], sites: Iterable[LiveSite], now: float) -> str:
    """Say where is listened, and how each certificate stands.

    Args:
        addresses: As sockets say them.
        sites: What is served.
        now: Seconds since the epoch.
    """
    states = list(_states(sites, now))
    more = [f"{len(states) - MOST} more"] if len(states) > MOST else []
    return f"serving on {', '.join(map(address, addresses))}: {', '.join([*states[:MOST], *more])}"


def address(of_socket: Any) -> str:
    """An address as `HOST:PORT`; a path as it is."""
    if not isinstance(of_socket, tuple):
        return of_socket.decode(errors="replace") if isinstance(of_socket, bytes) else str(of_socket)
    host, port = of_socket[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _states(sites: Iterable[LiveSite], now: float) -> Iterator[str]:
    for site in sites:
        for entry in site.entries:
            yield text.plain(f"{first_name(site)} {_state(entry, now)}")


def _state(entry: Entry, now: float) -> str:
    if entry.held is not None and entry.fresh(now):
        return f"stapled until {text.moment(entry.held.staple.cut_off)}"
    return f"without a staple ({entry.reason_at(now)})"
