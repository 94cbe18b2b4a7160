"""One address that is listened on: `listen` in its short form, `[[listeners]]` in its long one."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from twisted.internet.endpoints import serverFromString

from staplesrv.server.configuration.networks import read_networks
from staplesrv.server.configuration.paths import folder_problem
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.schema import ELSEWHERE, ListenerTable
from staplesrv.server.configuration.table import read_table
from staplesrv.tls.activation import KIND, Wanted
from staplesrv.tls.preset import PresetName

H2_ENABLED = find_spec("hpack") is not None
"""Whether the library of HTTP/2 is installed, which is an extra."""

DEFAULT_PROTOCOLS: tuple[str, ...] = ("h2", "http/1.1") if H2_ENABLED else ("http/1.1",)
"""ALPN names where none are given: HTTP/2 where its library is installed."""

DEFAULT_LISTEN = "tcp:8443"
"""Where to listen if nothing is said: a port that needs no privileges."""

CAN_REUSE_PORT = sys.platform == "linux"
"""Whether the kernel parts connections between sockets of one port: elsewhere SO_REUSEPORT means other things."""

_OWN_TLS = ("ssl", "staple", "tls")
_TCP = ("tcp", "tcp6")
_MAX_PORT = 65535

HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen, and how.

    Args:
        endpoint: Twisted's endpoint string, without TLS: that is what this is for.
        tls: Mozilla's name for protocol versions and ciphers; None for plain HTTP, which is led to https.
        protocols: ALPN names, the preferred one first.
        proxy_protocol_from: Who begins with a PROXY protocol header that says who the client is.
        https_port: Where plain HTTP is led to.
        acme_challenges: The folder that `/.well-known/acme-challenge/` is answered from, over plain HTTP.
        reuse_port: Whether each worker has a socket of its own.
    """

    endpoint: str
    tls: PresetName | None = "intermediate"
    protocols: tuple[str, ...] = DEFAULT_PROTOCOLS
    proxy_protocol_from: tuple[IPv4Network | IPv6Network, ...] = ()
    https_port: int = HTTPS_PORT
    acme_challenges: Path | None = None
    reuse_port: bool = False


def short_listeners(value: str | list[str] | None, place: Place) -> Iterable[Listener]:
    """Make listeners out of the key `listen`.

    Raises:
        OperatorError: an endpoint can't be understood.
    """
    for endpoint in [value] if isinstance(value, str) else value or ():
        yield Listener(_checked(endpoint, "listen", place))


def long_listeners(tables: list[dict[str, object]] | None, place: Place, base: Path) -> Iterable[Listener]:
    """Make listeners out of the tables `[[listeners]]`.

    Args:
        tables: As they stand in the file.
        place: The file as a whole, for errors.
        base: The folder that relative paths count from.

    Raises:
        OperatorError: a key is unknown, or its value can't be used.
    """
    for number, value in enumerate(tables or (), 1):
        here = place.within(f"listener {number}")
        table = read_table(value, ListenerTable, here, elsewhere=ELSEWHERE)
        _fits(table, here)
        yield Listener(
            _checked(table.endpoint, "endpoint", here),
            None if table.tls == "off" else table.tls,
            _protocols(table.protocols, here),
            read_networks(table.proxy_protocol_from, "proxy_protocol_from", here),
            _https_port(table.https_port, here),
            _folder(table.acme_challenges, here, base),
            table.reuse_port,
        )


def _fits(table: ListenerTable, place: Place) -> None:
    """Refuse keys that say nothing with TLS, or without it."""
    if table.tls == "off":
        odd, advice = ("protocols", "proxy_protocol_from"), 'leave it out, or tls = "off"'
    else:
        odd, advice = ("https_port", "acme_challenges"), 'add tls = "off", or leave it out'
    for key in odd:
        if getattr(table, key) is not None:
            how = "does not go with" if table.tls == "off" else "is for listeners with"
            raise place.error(key, f'{how} tls = "off"', advice)
    if table.reuse_port:
        _can_reuse_port(table.endpoint, place)


def _can_reuse_port(endpoint: str, place: Place) -> None:
    if endpoint.partition(":")[0] not in _TCP:
        raise place.error("reuse_port", "is for tcp: and tcp6: endpoints alone", "leave it out")
    if not CAN_REUSE_PORT:
        raise place.error("reuse_port", "is for Linux alone", "leave it out")


def _https_port(port: int | None, place: Place) -> int:
    if port is None:
        return HTTPS_PORT
    if not 0 < port <= _MAX_PORT:
        raise place.error("https_port", f"is {port}", f"give a port from 1 to {_MAX_PORT}")
    return port


def _folder(text: str | None, place: Place, base: Path) -> Path | None:
    if text is None:
        return None
    if not text:
        raise place.error("acme_challenges", "is empty", "name the directory that the ACME client writes to")
    folder = base / text
    if wrong := folder_problem(folder):
        raise place.path_error("acme_challenges", folder, wrong)
    return folder


def _protocols(names: list[Literal["h2", "http/1.1"]] | None, place: Place) -> tuple[str, ...]:
    if names is None:
        return DEFAULT_PROTOCOLS
    if not names:
        raise place.error("protocols", "is empty", "name at least http/1.1, or leave the key out")
    if "h2" in names and not H2_ENABLED:
        advice = "install it (pip install 'staplesrv[http2]'), or leave h2 out"
        raise place.error("protocols", "h2 needs a library that is not installed", advice)
    return tuple(dict.fromkeys(names))


def _checked(endpoint: str, key: str, place: Place) -> str:
    prefix, _, rest = endpoint.partition(":")
    shown = f"{endpoint[:100]!a}"
    if prefix.lower() in _OWN_TLS:
        raise place.error(key, f"{shown} brings TLS of its own", "name the plain endpoint, like tcp:443")
    if prefix in _TCP and not _is_port(rest.partition(":")[0]):
        raise place.error(key, f"{shown} has no port number", f"give one from 0 to {_MAX_PORT}, as in tcp:443")
    try:
        # Parsing alone: what comes out is thrown away, and nothing is asked of a reactor before it listens.
        if prefix == KIND:
            Wanted.read(endpoint)
        else:
            serverFromString(None, endpoint)  # type: ignore[no-untyped-call]  # Twisted's has no annotations
    # Each parser has its own way to complain: about arguments, or numbers.
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError, OSError) as error:
        # Only a ValueError is made for people; the others name Twisted's own functions.
        why = f": {str(error)[:200]!a}" if isinstance(error, ValueError) else ", or one with other arguments"
        raise place.error(key, f"{shown} is no endpoint{why}", _advice(endpoint)) from error
    return endpoint


def _advice(endpoint: str) -> str:
    if _is_port(endpoint):
        return f"did you mean tcp:{endpoint}?"
    return r"write it like tcp:443 or tcp:443:interface=192.0.2.1, with \: for a colon inside of an address"


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_PORT)) and int(text) <= _MAX_PORT
