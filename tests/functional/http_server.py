"""The whole program as an HTTP server, and curl as its client."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from functional.harness import (
    ROOT,
    Pki,
    Program,
    SiteFiles,
    free_port,
    is_listening,
    need,
    twistd,
    wait_until,
    write_config,
)

VERSIONS = ["1.1", "2"]


class Answer(NamedTuple):
    """What curl got.

    `fields` has names in lower case; of several with one name, the last.
    """

    status: int
    version: str
    interim: list[int]
    fields: dict[str, str]
    trailers: dict[str, str]
    body: bytes
    exit_status: int


@dataclass
class HTTPServer:
    """A running program.

    Args:
        program: The process.
        port: Of its TLS.
        folder: Its files, and the root that clients trust.
        plain: The port of a listener without TLS, where there is one.
    """

    program: Program
    port: int
    folder: Path
    plain: int = 0

    def curl(self, target: str, *options: str, name: str = "localhost", version: str = "1.1") -> Answer:
        """Ask for something, and return what came.

        Args:
            target: Path and query, taken as they are.
            options: More for curl.
            name: The site.
            version: Of HTTP.
        """
        with tempfile.TemporaryDirectory() as folder:
            head, body = Path(folder, "head"), Path(folder, "body")
            done = subprocess.run(
                [
                    *curl_command(self.folder, name, self.port, version),
                    *("-D", str(head), "-o", str(body), "-w", "%{http_version}", *options),
                    f"https://{name}:{self.port}{target}",
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            came = head.read_bytes().decode("latin-1") if head.exists() else ""
            return answer(came, body.read_bytes() if body.exists() else b"", done.stdout, done.returncode)


def curl_command(folder: Path, name: str, port: int, version: str = "1.1") -> list[str]:
    """Return how to start curl for a site on loopback, whose root is in a folder."""
    common = ["--silent", "--show-error", "--path-as-is", "--max-time", "60", "--cacert", str(folder / "root.pem")]
    return [need("curl"), *common, "--resolve", f"{name}:{port}:127.0.0.1", f"--http{version}"]


def answer(heads: str, body: bytes, version: str, exit_status: int) -> Answer:
    """Read the heads that curl has written down: interim ones, the final one, and trailers after its empty line."""
    interim: list[int] = []
    status, blocks = 0, []
    for block in heads.split("\r\n\r\n"):
        first, *lines = block.split("\r\n")
        if first.startswith("HTTP/"):
            if status:
                interim.append(status)
            status, blocks = int(first.split()[1]), [lines]
        else:
            blocks.append([first, *lines])
    fields, *trailers = [_fields(lines) for lines in blocks] or [{}]
    return Answer(
        status, version, interim, fields, {k: v for more in trailers for k, v in more.items()}, body, exit_status
    )


def _fields(lines: Sequence[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.lower(): value.strip() for name, _colon, value in pairs}


def site_table(files: SiteFiles, **keys: object) -> str:
    """Make a `[[sites]]` table; a dict becomes a table inside of it."""
    keys = {"certificate": str(files.certificate), "private_key": str(files.private_key), **keys}
    return "\n".join(["[[sites]]", *(f"{key} = {toml(value)}" for key, value in keys.items()), ""])


def toml(value: object) -> str:
    """Write a value the way TOML has it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(str(value) if isinstance(value, Path) else value)


@contextmanager
def http_server(pki: Pki, folder: Path, *tables: str, **environment: str) -> Iterator[HTTPServer]:
    """Run the program with some tables of a configuration, its state and output in the folder."""
    port = free_port()
    pki.root("ca", str(folder / "root.pem"))
    config = write_config(folder, port, *tables)
    with twistd(folder, "--config", str(config), **environment) as program:
        program.wait_for("serving on")
        yield HTTPServer(program, port, folder)


@contextmanager
def http_backend(folder: Path) -> Iterator[int]:
    """Run `http_backend.py`, and yield its port."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    script = ROOT / "tests" / "functional" / "http_backend.py"
    paths = f"{ROOT}:{ROOT / 'tests'}"
    with Program([sys.executable, str(script), str(port)], folder, {"PYTHONPATH": paths}):
        wait_until(lambda: is_listening(port), "the backend")
        yield port
