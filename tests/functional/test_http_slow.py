"""Clients that take their time: with their headers, with their bodies, with reading. Nobody else waits for them."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from functional.harness import MIB, Pki, descriptors, need, resident_kib, wait_until, write_large
from functional.http_server import VERSIONS, HTTPServer, http_backend, http_server, site_table

SECONDS = 8
PATIENCE = 5.0
"""In seconds: what a good client may wait, on a machine that does other things besides."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTTPServer]:
    """Files, and a backend, with little patience."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "www").mkdir()
    (folder / "www" / "small.txt").write_text("small")
    write_large(folder / "www" / "large.bin", 8 * MIB)
    pki = Pki("ca")
    files = pki.issue(folder, "localhost", "proxy.test")
    with http_backend(folder / "backend") as backend:
        static = site_table(files, names=["localhost"], static=folder / "www")
        proxy = site_table(files, names=["proxy.test"], proxy=f"http://127.0.0.1:{backend}", max_body=MIB)
        limits = "[http]\nheader_seconds = 2\nbody_seconds = 2\nwrite_seconds = 2\n"
        with http_server(pki, folder, static, proxy, limits) as running:
            yield running
            running.program.stop()
            assert "Traceback" not in running.program.output()
    pki.close()


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(["-H", "-c", "300", "-r", "100", "-i", "1", "-u", "/small.txt"], id="header"),
        pytest.param(["-B", "-c", "300", "-r", "100", "-i", "1", "-s", "8192", "-u", "/"], id="body"),
        # Fewer: the system takes megabytes for each, so that they keep the server busy at first.
        pytest.param(
            ["-X", "-c", "100", "-r", "50", "-w", "512", "-y", "1024", "-n", "1", "-z", "32", "-u", "/large.bin"],
            id="read",
        ),
        pytest.param(["-R", "-c", "300", "-r", "100", "-a", "5", "-b", "3000", "-u", "/large.bin"], id="ranges"),
    ],
)
def test_slow_clients(server: HTTPServer, tmp_path: Path, attack: Sequence[str]) -> None:
    """While hundreds of slow clients are there others are served at once, and afterwards nothing is left of them."""
    wait_until(lambda: server.curl("/small.txt").body == b"small", "a first answer")
    before, resident = descriptors(server.program.pid), resident_kib(server.program.pid)
    *options, path = attack
    command = [need("slowhttptest"), "-l", str(SECONDS), "-p", "5", *options]
    with subprocess.Popen(
        [*command, f"https://localhost:{server.port}{path}"], stdout=subprocess.PIPE, cwd=tmp_path, text=True
    ) as running:
        waits = []
        while running.poll() is None:
            for version in VERSIONS:
                start = time.monotonic()
                assert server.curl("/small.txt", version=version).body == b"small"
                waits.append(time.monotonic() - start)
        assert running.stdout is not None
        said = re.sub(r"\x1b\[[0-9;]*m", "", running.stdout.read())
    assert max(waits) < PATIENCE, said
    assert re.search(r"service available:\s+YES", said), said
    wait_until(lambda: descriptors(server.program.pid) <= before + 5, f"about {before} descriptors again")
    assert resident_kib(server.program.pid) - resident < 64 * 1024
