"""The examples run as they stand, and what they serve is stapled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from functional.harness import BIN, ROOT, Pki, Program, SiteFiles, is_listening, look, need, wait_until

EXAMPLES = ROOT / "examples"


@pytest.fixture
def files(pki: Pki, tmp_path: Path) -> SiteFiles:
    """A certificate for localhost."""
    return pki.issue(tmp_path, "localhost")


def run(example: str, *arguments: str, folder: Path) -> Program:
    """Run an example."""
    return Program([sys.executable, str(EXAMPLES / example), *arguments], folder)


def test_the_endpoint_string(files: SiteFiles, port: int, tmp_path: Path) -> None:
    """The first client of a `staple:` endpoint string gets a staple."""
    description = f"staple:{port}:certificate={files.certificate}:privateKey={files.private_key}"
    with run("endpoint_string.py", description, folder=tmp_path) as program:
        program.wait_for(f"starting on {port}")
        assert look(port, "localhost").staple
        assert program.stop() == 0


def test_http_2(files: SiteFiles, pki: Pki, port: int, tmp_path: Path) -> None:
    """HTTP/2 is agreed on where the program behind has it, and curl takes the staple."""
    pytest.importorskip("h2")
    curl = need("curl")
    root = pki.root("ca", str(tmp_path / "root.pem"))
    description = f"staple:{port}:certificate={files.certificate}:privateKey={files.private_key}"
    with run("endpoint_string.py", description, folder=tmp_path) as program:
        program.wait_for(f"starting on {port}")
        for version in ("--http2", "--http1.1"):
            options = ["--silent", "--show-error", "--cert-status", "--cacert", root, "--max-time", "10"]
            shown = ["--write-out", "%{http_version}", version, f"https://localhost:{port}/"]
            done = subprocess.run([curl, *options, *shown], capture_output=True, text=True, check=True)
            assert done.stdout == f"hello\n{2 if version == '--http2' else 1.1}"


def test_the_server_endpoint(files: SiteFiles, port: int, tmp_path: Path) -> None:
    """The first client of an `SSL4ServerEndpoint` gets a staple."""
    certificate, private_key = map(str, files)
    with run("server_endpoint.py", certificate, private_key, str(port), folder=tmp_path) as program:
        program.wait_for(f"starting on {port}")
        assert look(port, "localhost").staple
        assert program.stop() == 0


def test_the_http_site(files: SiteFiles, pki: Pki, port: int, tmp_path: Path) -> None:
    """A resource behind an `HTTPSite` answers over both versions, to clients that insist on a staple."""
    curl = need("curl")
    root = pki.root("ca", str(tmp_path / "root.pem"))
    certificate, private_key = map(str, files)
    with run("http_site.py", certificate, private_key, str(port), folder=tmp_path) as program:
        program.wait_for(f"starting on {port}")
        for version in ("1.1", "2"):
            options = ["--silent", "--show-error", "--cert-status", "--cacert", root, "--max-time", "10"]
            shown = ["--write-out", "%{http_version}", f"--http{version}", f"https://localhost:{port}/"]
            done = subprocess.run([curl, *options, *shown], capture_output=True, text=True, check=True)
            assert done.stdout == f"hello\n{version}"
        assert program.stop() == 0


def test_listen_ssl(files: SiteFiles, port: int, tmp_path: Path) -> None:
    """A Twisted application with `listenSSL` staples as soon as there is a staple."""
    command = [str(BIN / "twistd"), f"--pidfile={tmp_path}/pid", "-noy", str(EXAMPLES / "listen_ssl.py")]
    environment = {"CERTIFICATE": str(files.certificate), "PRIVATE_KEY": str(files.private_key), "PORT": str(port)}
    with Program(command, tmp_path, environment) as program:
        wait_until(lambda: is_listening(port), "the port to open")
        wait_until(lambda: look(port, "localhost").staple, "a staple")
        program.stop()
        assert "Main loop terminated" in program.output()


def test_start_tls(files: SiteFiles, port: int, tmp_path: Path) -> None:
    """An SMTP client that upgrades gets a staple."""
    openssl = need("openssl")
    certificate, private_key = map(str, files)
    with run("start_tls.py", certificate, private_key, str(port), folder=tmp_path) as program:
        program.wait_for(f"starting on {port}")
        client = [openssl, "s_client", "-connect", f"127.0.0.1:{port}", "-starttls", "smtp", "-status"]
        done = subprocess.run(client, input=b"QUIT\r\n", capture_output=True, timeout=20, check=False)
        assert b"OCSP Response Status: successful" in done.stdout
        assert b"Cert Status: good" in done.stdout
