"""The servers that take part, and the backend behind them."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import configurations
from load import Load

from bench.measured import nginx
from bench.measured.processes import Core
from bench.measured.running import Running, free_port
from bench.measured.site import Site

SITES = ("files", "proxy", "resource", "tunnel")
SMALL = 1 << 10
LARGE = 128 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """The folder with what all servers read, and the commands that run them.

    Args:
        folder: Where every server sees it under the same name.
        nginx: What runs nginx.
        caddy: What runs Caddy.
        node: What runs Node.
        sites: Which of `SITES` are measured.
    """

    folder: Path
    nginx: str
    caddy: str
    node: str
    sites: Collection[str]

    @property
    def site(self) -> Site:
        """The certificate and its staple."""
        return Site(self.folder)

    @property
    def www(self) -> Path:
        """The folder of files."""
        return self.folder / "www"

    def fill(self) -> None:
        """Make the certificate and the files."""
        self.site.fill(*(f"{name}.example" for name in SITES))
        self.www.mkdir(exist_ok=True)
        (self.www / "small.bin").write_bytes(bytes(SMALL))
        (self.www / "large.bin").write_bytes(os.urandom(1 << 20) * (LARGE >> 20))

    def values(self, port: int, tunnel: int, backend: int) -> dict[str, Any]:
        """Return what stands in the configurations."""
        files = {name: getattr(self.site, name) for name in ("certificate", "key", "staple")}
        return {"folder": self.folder, "www": self.www, "port": port, "tunnel": tunnel, "backend": backend, **files}


def backend(place: Place, core: Core) -> tuple[Running, int]:
    """Return an nginx that serves the files without TLS, for proxies and tunnels, and its port."""
    port = free_port()
    http = configurations.NGINX_BACKEND.format(backend=port, www=place.www)
    command = nginx.command(place.nginx, place.folder, f"backend-{port}", http=http)
    log = place.folder / f"backend-{port}.log"

    def ready() -> None:
        socket.create_connection(("127.0.0.1", port)).close()

    return Running("backend", command, log=log, core=core, ready=ready), port


class Server(Running):
    """A server that runs, alone on one core; a context manager that ends it.

    Args:
        name: One of `PEERS`.
        place: Its files.
        core: The core that it is held to.
        backend: The backend's port.
        profile: Where it writes its profile; for staplesrv alone.

    Attributes:
        sites: Which of `SITES` it has.
        load: Its clients.
    """

    def __init__(self, name: str, place: Place, core: Core, backend: int, *, profile: Path | None = None) -> None:
        peer = PEERS[name]
        port = free_port()
        tunnel = free_port() if peer.tunnels_apart else port
        values = place.values(port, tunnel, backend)
        self.sites = [site for site in place.sites if site in peer.sites]
        self.load = Load({site: tunnel if site == "tunnel" else port for site in self.sites}, place.site.root)
        command = peer.command(place, values)
        if profile:
            command[1:1] = ["--profile", str(profile), "--profiler", "cprofile", "--savestats"]
        log = place.folder / f"{name}-{port}.log"
        # Python's modules for staplesrv, and Caddy's own folders.
        modules = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
        environment = {"PYTHONPATH": modules, "HOME": str(place.folder)}
        super().__init__(name, command, log=log, core=core, ready=self.load.knock, environment=environment)


@dataclass(frozen=True, slots=True)
class Peer:
    """A kind of server.

    Args:
        command: Writes its configuration; returns what starts it.
        sites: Which of `SITES` it can have.
        http2: Whether it speaks HTTP/2.
        tunnels_apart: Whether tunnels have a port of their own.
    """

    command: Callable[[Place, dict[str, Any]], list[str]]
    sites: tuple[str, ...]
    http2: bool = True
    tunnels_apart: bool = False


def _nginx(place: Place, values: dict[str, Any]) -> list[str]:
    http = configurations.NGINX.format(**values)
    stream = configurations.NGINX_TUNNEL.format(**values) if "tunnel" in place.sites else ""
    return nginx.command(place.nginx, place.folder, values["port"], http=http, stream=stream)


def _staplesrv(place: Place, values: dict[str, Any]) -> list[str]:
    path = place.folder / f"staplesrv-{values['port']}.toml"
    text = configurations.STAPLESRV.format(**values)
    for name in place.sites:
        serves = configurations.STAPLESRV_SERVES[name].format(**values)
        text += configurations.STAPLESRV_SITE.format(name=name, serves=serves, **values)
    path.write_text(text)
    return [
        str(Path(sys.executable).with_name("twistd")),
        "--nodaemon",
        "--pidfile=",
        "staplesrv",
        "--config",
        str(path),
    ]


def _stock(_place: Place, values: dict[str, Any]) -> list[str]:
    command = [sys.executable, str(Path(__file__).with_name("stock.py"))]
    for option in ("port", "backend", "certificate", "key", "www"):
        command += [f"--{option}", str(values[option])]
    return command


def _caddy(place: Place, values: dict[str, Any]) -> list[str]:
    path = place.folder / f"caddy-{values['port']}"
    path.write_text(configurations.CADDY.format(**values))
    return [*shlex.split(place.caddy), "run", "--config", str(path), "--adapter", "caddyfile"]


def _node(place: Place, values: dict[str, Any]) -> list[str]:
    program = Path(__file__).with_name("node.js")
    given = [str(values[name]) for name in ("port", "backend", "certificate", "key")]
    return [*shlex.split(place.node), str(program), *given, str(place.www / "small.bin")]


PEERS = {
    "nginx": Peer(_nginx, SITES, tunnels_apart=True),
    "staplesrv": Peer(_staplesrv, SITES),
    "stock": Peer(_stock, ("files", "proxy", "resource")),
    "caddy": Peer(_caddy, ("files", "proxy")),
    "node": Peer(_node, ("files", "proxy"), http2=False),
}
