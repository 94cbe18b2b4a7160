"""How a proxy treats its backends."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from staplesrv.errors import OperatorError
from staplesrv.http.fields import is_value
from staplesrv.http.limits import LONGEST

WHERE = "proxy"
"""What an `OperatorError` names as its place; whoever knows the file may name that instead."""

Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What a proxy does beyond passing on. A value that exists is valid.

    Args:
        host: What Host says to the backends; the client's own where it is None.
        trusted: Networks of proxies in front of this one, whose X-Forwarded-* and Forwarded are added to. Those of
            everybody else are replaced.
        connect_seconds: How long connecting to a backend may take, its TLS handshake included.
        answer_seconds: How long a backend may take from the end of the request to the head of its answer.
        idle_seconds: How long a backend may neither take nor send anything in the middle of a request or an answer.
        tunnel_seconds: How long a tunnel (WebSocket) may be silent in both directions.
        kept: Idle connections that are kept to each backend.
        kept_seconds: How long they are kept.
        connections: To each backend at most; a 503 where all have as many.
        upgrades: The protocols that tunnels are made for, in lower case. Never h2c: what goes through the tunnel then
            would be requests that nobody has checked.

    Raises:
        OperatorError: a setting can't be used.
    """

    host: bytes | None = None
    trusted: tuple[Network, ...] = ()
    connect_seconds: float = 5.0
    answer_seconds: float = 60.0
    idle_seconds: float = 60.0
    tunnel_seconds: float = 3600.0
    kept: int = 64
    kept_seconds: float = 30.0
    connections: int = 1024
    upgrades: frozenset[bytes] = frozenset({b"websocket"})

    def __post_init__(self) -> None:
        for key in ("connect_seconds", "answer_seconds", "idle_seconds", "tunnel_seconds", "kept_seconds"):
            if not 0 < getattr(self, key) <= LONGEST:
                raise _bad(key, "is out of range", f"use above 0 and at most {LONGEST:.0f} seconds")
        if not self.connections >= 1:
            raise _bad("connections", "is not above zero", "use a number of connections")
        if not self.kept >= 0:
            raise _bad("kept", "is below zero", "use a number of connections, or 0 to keep none")
        if self.host is not None and (not self.host or not is_value(self.host) or b" " in self.host):
            raise _bad("host", "is no host", "use a name, with a port where it needs one")
        if b"h2c" in self.upgrades:
            raise _bad("upgrades", "has h2c, which goes around every check", "leave it out")


def _bad(key: str, problem: str, advice: str) -> OperatorError:
    return OperatorError(WHERE, problem, advice, key=key)
