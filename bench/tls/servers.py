"""The servers that take part: how each is started, all with the same certificate and the same staple."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from load import Load
from OpenSSL import SSL
from processes import Core

from staplesrv.testing import CertificateAuthority

LARGE = 100 << 20
PATIENCE = 30

NGINX = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx-{port}.pid;
error_log stderr;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_timeout 600s;
  keepalive_requests 1000000;
  default_type application/octet-stream;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
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
        names = {"certificate": "fullchain.pem", "key": "privkey.pem", "staple": "staple.der", "large": "large"}
        return {option: self.folder / name for option, name in names.items()}

    def fill(self) -> None:
        """Make a certificate of P-256 with a chain of two, its staple, and the large body."""
        authority = CertificateAuthority("bench root").intermediate("bench issuing CA")
        leaf = authority.issue("bench.example")
        leaf.write(self.folder)
        self.files["staple"].write_bytes(authority.respond(leaf))
        self.files["large"].write_bytes(os.urandom(1 << 20) * (LARGE >> 20))


class Server:
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
        self.name = name
        port = _free_port()
        self._log = place.folder / f"{name}-{port}.log"
        command = _nginx(place, port) if name == "nginx" else _program(name, place, port, profile)
        with self._log.open("wb") as log, core.held():
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.pid = self._process.pid
        self.core = core
        self.load = load(port, place.suite, place.files["staple"].read_bytes())

    def __enter__(self) -> Self:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.load.connect().close()
            except (OSError, SSL.Error):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise SystemExit(f"{self.name} does not serve:\n{self._log.read_text()}") from None
                time.sleep(0.05)
            else:
                return self

    def __exit__(self, *_exc: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(PATIENCE)


def _nginx(place: Place, port: int) -> list[str]:
    configuration = place.folder / f"nginx-{port}.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(NGINX.format(folder=place.folder, port=port, user=user, **place.files))
    return [*shlex.split(place.nginx), "-p", str(place.folder), "-c", str(configuration), "-e", "stderr"]


def _program(name: str, place: Place, port: int, profile: Path | None) -> list[str]:
    program = Path(__file__).with_name("program.py")
    command = [sys.executable, str(program), "--port", str(port), "--tls", "own" if name == "staplesrv" else "stock"]
    for option, path in place.files.items():
        command += [f"--{option}", str(path)]
    return [*command, "--profile", str(profile)] if profile else command


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
