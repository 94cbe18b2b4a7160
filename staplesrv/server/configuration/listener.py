"""One address that is listened on: `listen` in its short form, `[[listeners]]` in its long one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from twisted.internet.endpoints import serverFromString
from twisted.web.http import H2_ENABLED

from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.schema import ELSEWHERE, ListenerTable
from staplesrv.server.configuration.table import read_table
from staplesrv.tls.preset import PresetName

DEFAULT_PROTOCOLS: tuple[str, ...] = ("h2", "http/1.1") if H2_ENABLED else ("http/1.1",)
"""ALPN names where none are given: HTTP/2 where its library is installed."""

DEFAULT_LISTEN = "tcp:8443"
"""Where to listen if nothing is said: a port that needs no privileges."""

_OWN_TLS = ("ssl", "staple", "tls")
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen, and how.

    Args:
        endpoint: Twisted's endpoint string, without TLS: that is what this is for.
        tls: Mozilla's name for protocol versions and ciphers.
        protocols: ALPN names, the preferred one first.
    """

    endpoint: str
    tls: PresetName = "intermediate"
    protocols: tuple[str, ...] = DEFAULT_PROTOCOLS


def short_listeners(value: str | list[str] | None, place: Place) -> Iterable[Listener]:
    """Make listeners out of the key `listen`.

    Raises:
        OperatorError: an endpoint can't be understood.
    """
    for endpoint in [value] if isinstance(value, str) else value or ():
        yield Listener(_checked(endpoint, "listen", place))


def long_listeners(tables: list[dict[str, object]] | None, place: Place) -> Iterable[Listener]:
    """Make listeners out of the tables `[[listeners]]`.

    Raises:
        OperatorError: a key is unknown, or its value can't be used.
    """
    for number, value in enumerate(tables or (), 1):
        here = place.within(f"listener {number}")
        table = read_table(value, ListenerTable, here, elsewhere=ELSEWHERE)
        endpoint = _checked(table.endpoint, "endpoint", here)
        yield Listener(endpoint, table.tls, _protocols(table.protocols, here))


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
    if prefix in ("tcp", "tcp6") and not _is_port(rest.partition(":")[0]):
        raise place.error(key, f"{shown} has no port number", f"give one from 0 to {_MAX_PORT}, as in tcp:443")
    try:
        # Parsing alone: what comes out is thrown away, and nothing is asked of a reactor before it listens.
        serverFromString(None, endpoint)  # type: ignore[no-untyped-call]  # Twisted's has no annotations
    # Each parser has its own way to complain: about arguments, numbers, or a file descriptor of systemd's.
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
