"""What is behind a site: one of a few kinds of content, with its settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from staplesrv.http.proxy.address import BackendAddress
from staplesrv.http.proxy.settings import ProxySettings
from staplesrv.http.static.settings import StaticSettings


@dataclass(frozen=True, slots=True)
class Folder:
    """Files.

    Args:
        path: The folder, absolute.
        settings: How they are served.
    """

    path: Path
    settings: StaticSettings = field(default_factory=StaticSettings)


@dataclass(frozen=True, slots=True)
class Backends:
    """HTTP servers that requests are passed on to.

    Args:
        addresses: Where they are; at least one.
        settings: How they are treated.
        ca_file: PEM file with the only certificates that an https backend's may lead to; None for the system's.
    """

    addresses: tuple[BackendAddress, ...]
    settings: ProxySettings = field(default_factory=ProxySettings)
    ca_file: Path | None = None

    @property
    def needs_tls(self) -> bool:
        """Whether one of them is https."""
        return any(address.scheme == "https" for address in self.addresses)


@dataclass(frozen=True, slots=True)
class Resource:
    """A Twisted Web resource, or a callable that makes one.

    Args:
        name: `package.module:attribute`.
    """

    name: str


@dataclass(frozen=True, slots=True)
class WsgiCallable:
    """A WSGI application.

    Args:
        name: `package.module:attribute`.
    """

    name: str


@dataclass(frozen=True, slots=True)
class TunnelEnd:
    """What gets the bytes of whole connections.

    Args:
        host: A name or an address; empty where there is a path.
        port: From 1 on; 0 where there is a path.
        path: Of a UNIX socket.
        says_who: Whether they begin with a PROXY protocol header, which says who the client is.
    """

    host: str = ""
    port: int = 0
    path: str = ""
    says_who: bool = False

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"tcp:[{self.host}]:{self.port}" if ":" in self.host else f"tcp:{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RedirectTo:
    """Another place.

    Args:
        url: What path and query are put behind.
    """

    url: str


Content: TypeAlias = Folder | Backends | Resource | WsgiCallable | TunnelEnd | RedirectTo
