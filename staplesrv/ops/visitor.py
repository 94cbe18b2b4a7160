"""Who may look at the admin interface over TCP, and who may steer: programs of this machine, and no page in a browser.

A browser lets any page send requests to loopback. What comes back it keeps from the page, unless the page's own name
leads to loopback (DNS rebinding): then Host has that name. And what a request does it has done, whoever sees the
answer; but browsers say where such requests come from.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]+))(?::[0-9]*)?")
_OWN: Final = frozenset({"same-origin", "none"})
"""What `Sec-Fetch-Site` says of a page of ours, and of somebody who typed the address."""


def is_at_home(hosts: Iterable[str]) -> bool:
    """Tell whether a request was meant for this machine by whoever sent it.

    Args:
        hosts: What `Host` says; none is well, as every browser says something.
    """
    return all(_is_ours(host) for host in hosts)


def may_steer(origins: Iterable[str], fetch_sites: Iterable[str]) -> bool:
    """Tell whether a request may change anything: not where a page had it sent.

    Args:
        origins: What `Origin` says; whatever it is, a page is behind it.
        fetch_sites: What `Sec-Fetch-Site` says.
    """
    return not list(origins) and all(site in _OWN for site in fetch_sites)


def _is_ours(host: str) -> bool:
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    if found["host"] is not None and found["host"].lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(found["v6"] or found["host"])
    except ValueError:
        return False
    return True
