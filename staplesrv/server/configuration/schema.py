"""The keys of the configuration, with their types, as they stand in TOML: nothing is checked here beyond that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from staplesrv.server.configuration.table import Misplaced

File = Annotated[str, Meta(description="the path of a file, as a string")]
Folder = Annotated[str, Meta(description="the path of a directory, as a string")]
Files = Annotated[str | list[str], Meta(description="the path of a file, or a list of paths")]
Texts = Annotated[list[str], Meta(description="a list of strings")]
URL = Annotated[str, Meta(description="a URL, as a string")]
Endpoints = Annotated[str | list[str], Meta(description='an endpoint like "tcp:443", or a list of them')]
Switch = Annotated[bool, Meta(description="true or false")]
Seconds = Annotated[float, Meta(description="a number of seconds")]
Count = Annotated[int, Meta(description="a number of bytes")]
Connections = Annotated[int, Meta(description="a number of connections")]
PerSecond = Annotated[float, Meta(description="a number a second")]
Burst = Annotated[int, Meta(description="a number of them at once")]
Networks = Annotated[list[str], Meta(description="a list of addresses and networks")]
Port = Annotated[int, Meta(description="a port number")]
Patterns = Annotated[dict[str, str], Meta(description='a table of pattern = "value"')]
Who = Annotated[str | int, Meta(description="a name, or a number")]
Attribute = Annotated[str, Meta(description='"package.module:attribute"')]
URLs = Annotated[dict[str, str], Meta(description='a table of host = "URL"')]
Table = Annotated[dict[str, Any], Meta(description="a table")]
Tables = Annotated[list[dict[str, Any]], Meta(description="tables, each under a [[header]] in double brackets")]


class FileTable(msgspec.Struct, kw_only=True):
    """The file as a whole."""

    access_log: Table | None = None
    admin: Annotated[str, Meta(description='"tcp:PORT:interface=127.0.0.1" or "unix:PATH"')] | None = None
    drain: Seconds | None = None
    http: Table | None = None
    limits: Table | None = None
    listen: Endpoints | None = None
    listeners: Tables | None = None
    sites: Tables | None = None
    staples: Table | None = None
    state_dir: Folder | None = None
    user: Who | None = None
    group: Who | None = None
    workers: Annotated[int | Literal["auto"], Meta(description='a number, or "auto"')] = 1


class ListenerTable(msgspec.Struct, kw_only=True):
    """One of `[[listeners]]`."""

    endpoint: Annotated[str, Meta(description='an endpoint like "tcp:443"')]
    tls: Annotated[Literal["modern", "intermediate", "off"], Meta(description='"modern", "intermediate" or "off"')] = (
        "intermediate"
    )
    protocols: Annotated[list[Literal["h2", "http/1.1"]], Meta(description='a list of "h2" and "http/1.1"')] | None = (
        None
    )
    proxy_protocol_from: Networks | None = None
    reuse_port: Switch = False
    https_port: Port | None = None
    acme_challenges: Folder | None = None


class SiteTable(msgspec.Struct, kw_only=True):
    """One of `[[sites]]`."""

    certificate: Files
    private_key: Files | None = None
    names: Texts | None = None
    static: Folder | None = None
    files: Table | None = None
    proxy: Annotated[str | list[str], Meta(description="the URL of a backend, or a list of them")] | None = None
    backends: Table | None = None
    resource: Attribute | None = None
    wsgi: Attribute | None = None
    tunnel: Annotated[str, Meta(description='"tcp:HOST:PORT" or "unix:PATH"')] | None = None
    send_proxy_protocol: Switch | None = None
    protocols: Texts | None = None
    redirect: URL | None = None
    headers: Annotated[dict[str, str], Meta(description='a table of name = "value"')] | None = None
    max_body: Count | None = None
    request_rate: PerSecond | None = None
    request_burst: Burst | None = None
    issuer: File | None = None
    responder: URL | None = None
    staple_file: Files | None = None
    must_staple: Annotated[Literal["serve", "refuse"], Meta(description='"serve" or "refuse"')] = "serve"
    client_ca: Files | None = None
    client_auth: (
        Annotated[Literal["off", "request", "require"], Meta(description='"off", "request" or "require"')] | None
    ) = None


class FilesTable(msgspec.Struct, kw_only=True):
    """`[sites.files]`; what is left out is as in `http.static.settings.StaticSettings`."""

    cache_control: Patterns | None = None
    media_types: Patterns | None = None
    not_found: Annotated[str, Meta(description="the path of a file below the folder")] | None = None
    fallback: Annotated[str, Meta(description="the path of a file below the folder")] | None = None
    file_in_memory: Count | None = None
    memory: Count | None = None
    check_seconds: Seconds | None = None


class BackendsTable(msgspec.Struct, kw_only=True):
    """`[sites.backends]`; what is left out is as in `http.proxy.settings.ProxySettings`."""

    ca_file: File | None = None
    host: Annotated[str, Meta(description="a host, as a string")] | None = None
    trusted: Networks | None = None
    connect_seconds: Seconds | None = None
    answer_seconds: Seconds | None = None
    idle_seconds: Seconds | None = None
    tunnel_seconds: Seconds | None = None
    kept: Connections | None = None
    kept_seconds: Seconds | None = None
    connections: Connections | None = None


class StaplesTable(msgspec.Struct, kw_only=True):
    """`[staples]`; what is left out is as in `staples.settings.Settings`."""

    http_proxy: URL | None = None
    no_proxy: Texts | None = None
    responders: URLs | None = None
    on_revoked: Annotated[Literal["drop", "refuse"], Meta(description='"drop" or "refuse"')] | None = None
    missing_next_update: (
        Annotated[float | Literal["reject"], Meta(description='a number of seconds, or "reject"')] | None
    ) = None
    allow_sha1: Switch | None = None
    certid: Annotated[str, Meta(description='"auto", "sha1", "sha256", "sha384" or "sha512"')] | None = None
    nonce: Switch | None = None
    max_interval: Seconds | None = None
    min_interval: Seconds | None = None
    start_wait: Seconds | None = None
    timeout: Seconds | None = None
    max_response: Count | None = None


class AccessLogTable(msgspec.Struct, kw_only=True):
    """`[access_log]`."""

    file: File
    format: Annotated[Literal["combined", "json"], Meta(description='"combined" or "json"')] = "combined"


class HTTPTable(msgspec.Struct, kw_only=True):
    """`[http]`; what is left out is as in `http.limits.Limits`."""

    request_line: Count | None = None
    headers: Count | None = None
    fields: Annotated[int, Meta(description="a number of header fields")] | None = None
    streams: Annotated[int, Meta(description="a number of streams")] | None = None
    header_seconds: Seconds | None = None
    idle_seconds: Seconds | None = None
    body_seconds: Seconds | None = None
    write_seconds: Seconds | None = None


class LimitsTable(msgspec.Struct, kw_only=True):
    """`[limits]`; what is left out is as in `tls.limits.Limits`."""

    connections: Connections | None = None
    connections_per_address: Connections | None = None
    handshakes: Connections | None = None
    handshake_seconds: Seconds | None = None
    handshake_rate: PerSecond | None = None
    handshake_burst: Burst | None = None
    read_buffer: Count | None = None


def _keys(table: type[msgspec.Struct], advice: str) -> Mapping[str, Misplaced]:
    return {field.encode_name: Misplaced("does not belong here", advice) for field in msgspec.structs.fields(table)}


ELSEWHERE: Mapping[str, Misplaced] = {
    **_keys(StaplesTable, "move it into [staples]"),
    **_keys(HTTPTable, "move it into [http]"),
    **_keys(AccessLogTable, "move it into [access_log]"),
    **_keys(BackendsTable, "move it into [sites.backends]"),
    **_keys(FilesTable, "move it into [sites.files]"),
    **_keys(LimitsTable, "move it into [limits]"),
    **_keys(SiteTable, "move it into one of [[sites]]"),
    **_keys(ListenerTable, "move it into one of [[listeners]]"),
    **_keys(FileTable, "move it to the top of the file, above the first [table]"),
}
"""Keys that stand in the wrong table."""
