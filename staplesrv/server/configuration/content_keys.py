"""The keys of a site that say what is behind it, and the tables with their settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from staplesrv.http.proxy.address import BackendAddress
from staplesrv.http.proxy.settings import ProxySettings
from staplesrv.http.redirect import Redirect
from staplesrv.http.static.settings import StaticSettings
from staplesrv.server.configuration.content import (
    Backends,
    Content,
    Folder,
    RedirectTo,
    Resource,
    TunnelEnd,
    WsgiCallable,
)
from staplesrv.server.configuration.networks import read_networks
from staplesrv.server.configuration.paths import file_problem, folder_problem
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.schema import ELSEWHERE, BackendsTable, FilesTable, SiteTable
from staplesrv.server.configuration.table import read_given

_ATTRIBUTE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_TUNNEL = re.compile(
    r"tcp:(?:(?P<name>[0-9A-Za-z._-]+)|\[(?P<address>[0-9A-Fa-f:.]+)\]):(?P<port>[0-9]{1,5})|unix:(?P<path>/[^\0]+)",
    re.ASCII,
)

_MAX_PORT = 65535

_BELONGS: Mapping[str, tuple[str, str]] = {
    "files": ("static", "the directory to serve"),
    "backends": ("proxy", "the backends"),
    "send_proxy_protocol": ("tunnel", "the backend"),
    "protocols": ("tunnel", "the backend"),
}
"""Keys that say nothing without another one, and what that would name."""


def read_content(table: SiteTable, place: Place, base: Path) -> Content:
    """Find the one kind of content that a site names.

    Args:
        table: The site.
        place: Of the site, for errors.
        base: The folder that relative paths count from.

    Raises:
        OperatorError: there is none, or more than one, or it can't be used.
    """
    given = [key for key in _KINDS if getattr(table, key) is not None]
    if not given:
        others = ", ".join(key for key in _KINDS if key != "static")
        raise place.error("static", "is missing", f"name the directory to serve, or give one of {others}")
    if len(given) > 1:
        raise place.error(given[1], f"{given[0]} is there too", "keep one of them")
    for key, (kind, what) in _BELONGS.items():
        if getattr(table, key) is not None and kind not in given:
            raise place.error(key, f"does not go with {given[0]}", f"name {what} with {kind}, or leave it out")
    return _KINDS[given[0]](table, place, base)


def _folder(table: SiteTable, place: Place, base: Path) -> Folder:
    if not table.static:
        raise place.error("static", "is empty", "name the directory to serve")
    path = base / table.static
    if wrong := folder_problem(path):
        raise place.path_error("static", path, wrong)
    here = place.inside("files")
    given = read_given(table.files or {}, FilesTable, here, elsewhere=ELSEWHERE)
    with here.explaining():
        return Folder(path, StaticSettings(**given))


def _backends(table: SiteTable, place: Place, base: Path) -> Backends:
    urls = [table.proxy] if isinstance(table.proxy, str) else table.proxy or []
    if not urls:
        raise place.error("proxy", "is empty", "name a backend, like http://127.0.0.1:8080")
    with place.explaining("proxy"):
        addresses = tuple(map(BackendAddress.parse, urls))
    here = place.inside("backends")
    given = read_given(table.backends or {}, BackendsTable, here, elsewhere=ELSEWHERE)
    ca_file = _file(given.pop("ca_file", None), "ca_file", here, base)
    if "trusted" in given:
        given["trusted"] = read_networks(given["trusted"], "trusted", here)
    if "host" in given:
        given["host"] = given["host"].encode()
    with here.explaining():
        return Backends(addresses, ProxySettings(**given), ca_file)


def _resource(table: SiteTable, place: Place, _: Path) -> Resource:
    return Resource(_attribute(table.resource, "resource", place))


def _wsgi(table: SiteTable, place: Place, _: Path) -> WsgiCallable:
    return WsgiCallable(_attribute(table.wsgi, "wsgi", place))


def _tunnel(table: SiteTable, place: Place, _: Path) -> TunnelEnd:
    endpoint = table.tunnel or ""
    match = _TUNNEL.fullmatch(endpoint)
    if match is None or not (match["path"] or 0 < int(match["port"]) <= _MAX_PORT):
        raise place.error("tunnel", f"{endpoint[:100]!a} is no place", "write it like tcp:127.0.0.1:5432 or unix:/path")
    says_who = bool(table.send_proxy_protocol)
    if match["path"]:
        return TunnelEnd(path=match["path"], says_who=says_who)
    return TunnelEnd(match["name"] or match["address"], int(match["port"]), says_who=says_who)


def _redirect(table: SiteTable, place: Place, _: Path) -> RedirectTo:
    url = table.redirect or ""
    with place.explaining("redirect"):
        Redirect(url)
    return RedirectTo(url)


_KINDS: Mapping[str, Callable[[SiteTable, Place, Path], Content]] = {
    "static": _folder,
    "proxy": _backends,
    "resource": _resource,
    "wsgi": _wsgi,
    "tunnel": _tunnel,
    "redirect": _redirect,
}


def _file(text: str | None, key: str, place: Place, base: Path) -> Path | None:
    if text is None:
        return None
    if not text:
        raise place.error(key, "is empty", "give the path of a file")
    if wrong := file_problem(base / text):
        raise place.path_error(key, base / text, wrong)
    return base / text


def _attribute(text: str | None, key: str, place: Place) -> str:
    if text is None or not _ATTRIBUTE.fullmatch(text):
        problem = f"{(text or '')[:100]!a} names no attribute of a module"
        raise place.error(key, problem, 'write it like "package.module:attribute"')
    return text
