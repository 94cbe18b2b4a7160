"""The servers that take part: how each is started, all with the same certificate and the same staple."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from load import Load

from bench.measured import nginx
from bench.measured.processes import Core
from bench.measured.running import Running, free_port
from bench.measured.site import Site

LARGE = 100 << 20

NGINX = """\
  server {{
    listen 127.0.0.1:{port} ssl backlog=1024;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_stapling on;
    ssl_stapling_file {staple};
    location / {{ return 200 "hello\\n"; }}
    location = /large {{ alias {large}; }}
  }}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """The folder with what all servers read.

    Args:
        folder: Where nginx sees it under the same name.
        suite: The TLS 1.3 suite that clients offer.
        nginx: The command that runs nginx.
    """

    folder: Path
    suite: str
    nginx: str

    @property
    def files(self) -> dict[str, Path]:
        """What the servers read, under the names of their options."""
        site = Site(self.folder)
        large = self.folder / "large"
        return {"certificate": site.certificate, "key": site.key, "staple": site.staple, "large": large}

    def fill(self) -> None:
        """Make the certificate, its staple, and the large body."""
        Site(self.folder).fill("bench.example")
        self.files["large"].write_bytes(os.urandom(1 << 20) * (LARGE >> 20))


class Server(Running):
    """A server that runs, alone on one core; a context manager that ends it.

    Args:
        name: `nginx`, `staplesrv` or `stock`.
        place: Its files.
        core: The core that it is held to.
        load: Its clients.
        profile: Where it writes its profile; not for nginx.
    """

    def __init__(
        self, name: str, place: Place, core: Core, load: type[Load] = Load, *, profile: Path | None = None
    ) -> None:
        port = free_port()
        self.load = load(port, place.suite, place.files["staple"].read_bytes())
        command = _nginx(place, port) if name == "nginx" else _program(name, place, port, profile)
        log = place.folder / f"{name}-{port}.log"
        super().__init__(name, command, log=log, core=core, ready=lambda: self.load.connect().close())


def _nginx(place: Place, port: int) -> list[str]:
    return nginx.command(place.nginx, place.folder, port, http=NGINX.format(port=port, **place.files))


def _program(name: str, place: Place, port: int, profile: Path | None) -> list[str]:
    program = Path(__file__).with_name("program.py")
    command = [sys.executable, str(program), "--port", str(port), "--tls", "own" if name == "staplesrv" else "stock"]
    for option, path in place.files.items():
        command += [f"--{option}", str(path)]
    return [*command, "--profile", str(profile)] if profile else command
