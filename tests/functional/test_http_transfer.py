"""Large bodies both ways through the whole program: whole, and in little memory.

STAPLESRV_TRANSFER_MIB says how large; a GiB takes a minute or so.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from functional.harness import MIB, TLS13, Pki, Talk, digest, wait_until, write_large
from functional.http_backend import BLOCK
from functional.http_server import VERSIONS, HTTPServer, curl_command, http_backend, http_server, site_table

SIZE = int(os.environ.get("STAPLESRV_TRANSFER_MIB", "128")) * MIB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTTPServer]:
    """A large file at files.test, a backend at proxy.test that takes and gives as much as one likes."""
    folder = tmp_path_factory.mktemp("transfer")
    (folder / "www").mkdir()
    write_large(folder / "www" / "large.bin", SIZE)
    pki = Pki("ca")
    files = pki.issue(folder, "files.test", "proxy.test")
    with http_backend(folder / "backend") as backend:
        static = site_table(files, names=["files.test"], static=folder / "www")
        proxy = site_table(files, names=["proxy.test"], proxy=f"http://127.0.0.1:{backend}", max_body=0)
        with http_server(pki, folder, static, proxy) as running:
            for name, target in (("files.test", "/"), ("proxy.test", "/bytes/100000")):
                wait_until(lambda name=name, target=target: running.curl(target, name=name).status, "an answer")
            yield running
            running.program.stop()
            assert "Traceback" not in running.program.output()
    pki.close()


@pytest.mark.parametrize("version", VERSIONS)
class TestDownloads:
    def test_a_file(self, small: HTTPServer, version: str) -> None:
        """A large file comes whole."""
        assert self.digest_of("/large.bin", "files.test", small, version) == digest(small.folder / "www" / "large.bin")

    def test_a_backend_s_body(self, small: HTTPServer, version: str) -> None:
        """So does a backend's large body."""
        pattern = hashlib.sha256()
        for _ in range(SIZE // len(BLOCK)):
            pattern.update(BLOCK)
        assert self.digest_of(f"/bytes/{SIZE}", "proxy.test", small, version) == pattern.digest()

    @pytest.mark.parametrize(("name", "target"), [("files.test", "/large.bin"), ("proxy.test", f"/bytes/{SIZE}")])
    def test_a_client_that_reads_slowly(self, small: HTTPServer, version: str, name: str, target: str) -> None:
        """What a client does not read yet is not held in memory for it; what it has read by then is right."""
        slow = ["--limit-rate", "2M", "--max-time", "4", f"https://{name}:{small.port}{target}"]
        command = curl_command(small.folder, name, small.port, version)
        came = subprocess.run([*command, *slow], stdout=subprocess.PIPE, check=False).stdout
        assert MIB < len(came) < SIZE
        if name == "proxy.test":
            assert came == (BLOCK * (len(came) // len(BLOCK) + 1))[: len(came)]

    def digest_of(self, target: str, name: str, server: HTTPServer, version: str) -> bytes:
        """The SHA-256 of what curl gets."""
        command = curl_command(server.folder, name, server.port, version)
        whole, seen = hashlib.sha256(), 0
        url = f"https://{name}:{server.port}{target}"
        with subprocess.Popen([*command, "--max-time", "300", url], stdout=subprocess.PIPE) as curl:
            assert curl.stdout is not None
            while piece := curl.stdout.read(MIB):
                whole.update(piece)
                seen += len(piece)
        assert (curl.returncode, seen) == (0, SIZE)
        return whole.digest()


@pytest.mark.parametrize("version", VERSIONS)
def test_an_upload(small: HTTPServer, version: str) -> None:
    """A backend gets a large body as it was sent."""
    path: Path = small.folder / "www" / "large.bin"
    answer = small.curl("/", "-T", str(path), "--max-time", "300", name="proxy.test", version=version)
    assert answer.body == f"{SIZE} {digest(path).hex()}".encode()


@pytest.mark.parametrize("target", ["/large.bin", f"/bytes/{SIZE}"])
def test_a_client_that_says_close_notify_after_its_request(small: HTTPServer, target: str) -> None:
    """RFC 8446 §6.1: its direction alone is closed then, and it gets a large answer to the end."""
    name = b"files.test" if target == "/large.bin" else b"proxy.test"
    talk = Talk(small.port, **TLS13)
    talk.shake_hands()
    talk.client.send(b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (target.encode(), name))
    talk.client.close()
    talk.socket.sendall(talk.client.outgoing())
    head, _, body = talk.rest().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert len(body) == SIZE
