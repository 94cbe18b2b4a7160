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
        endpoint: `tcp:HOST:PORT` or `unix:PATH`.
        send_proxy_protocol: Whether they begin with a PROXY protocol header.
    """

    endpoint: str
    send_proxy_protocol: bool = False


@dataclass(frozen=True, slots=True)
class RedirectTo:
    """Another place.

    Args:
        url: What path and query are put behind.
    """

    url: str


Content: TypeAlias = Folder | Backends | Resource | WsgiCallable | TunnelEnd | RedirectTo
