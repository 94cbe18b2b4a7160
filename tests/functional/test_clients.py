"""What other people's clients and responders say about it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from functional.harness import (
    Pki,
    Program,
    SiteFiles,
    free_port,
    is_listening,
    judge,
    look,
    need,
    twistd,
    wait_until,
    write_config,
)

from staplesrv.testing import CertificateAuthority


@pytest.fixture
def served(pki: Pki, port: int, tmp_path: Path) -> Iterator[int]:
    """A running server for localhost, its root in `root.pem`."""
    pki.root("ca", str(tmp_path / "root.pem"))
    config = write_config(tmp_path, port, pki.issue(tmp_path, "localhost", must_staple=True).table())
    with twistd(tmp_path, "--config", str(config)):
        wait_until(lambda: is_listening(port), "the port")
        yield port


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a client to its end, its standard input empty."""
    return subprocess.run(
        command, cwd=folder, input="", capture_output=True, text=True, timeout=20, check=False, errors="replace"
    )


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_shows_a_good_staple(served: int, tmp_path: Path, version: str) -> None:
    """`openssl s_client -status` prints a good response and verifies the chain."""
    command = [need("openssl"), "s_client", "-connect", f"localhost:{served}", "-servername", "localhost", "-status"]
    done = run(*command, version, "-CAfile", "root.pem", "-verify_return_error", folder=tmp_path)
    assert "OCSP Response Status: successful" in done.stdout, done.stdout + done.stderr
    assert "Cert Status: good" in done.stdout
    assert "Verify return code: 0 (ok)" in done.stdout


@pytest.mark.parametrize("priority", ["NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"])
def test_gnutls_accepts_the_staple_of_a_must_staple_certificate(served: int, tmp_path: Path, priority: str) -> None:
    """gnutls-cli, which refuses must-staple certificates without a staple, is content."""
    command = [need("gnutls-cli"), "--x509cafile=root.pem", "--ocsp", "--priority", priority, "-p", str(served)]
    done = run(*command, "localhost", folder=tmp_path)
    assert "Status: The certificate is trusted." in done.stdout, done.stdout + done.stderr
    assert "OCSP" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_gets_the_page_with_its_status_checked(served: int, tmp_path: Path, version: str) -> None:
    """`curl --cert-status` refuses whatever is not stapled well; over either HTTP version it gets the page."""
    command = [need("curl"), "--silent", "--show-error", "--cacert", "root.pem", "--cert-status", version]
    done = run(*command, "-w", "\n%{http_version}", f"https://localhost:{served}/", folder=tmp_path)
    assert "a page" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == version.removeprefix("--http").removesuffix(".0")


@pytest.fixture
def openssl_responder(tmp_path: Path) -> Iterator[tuple[int, SiteFiles, Path]]:
    """`openssl ocsp` as the responder of a fresh CA: its port, a leaf's files, the root."""
    openssl = need("openssl")
    port = free_port()
    ca = CertificateAuthority("openssl's CA")
    leaf = ca.issue("localhost", responder_urls=[f"http://127.0.0.1:{port}/"])
    files = SiteFiles(*leaf.write(tmp_path))
    (tmp_path / "ca.pem").write_bytes(ca.pem)
    signer = ca.delegate()
    (tmp_path / "signer.pem").write_bytes(signer.certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "signer.key").write_bytes(
        signer.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    expires = leaf.certificate.not_valid_after_utc.strftime("%y%m%d%H%M%SZ")
    serial = f"{leaf.certificate.serial_number:X}"
    serial = serial if len(serial) % 2 == 0 else f"0{serial}"
    (tmp_path / "index.txt").write_text(f"V\t{expires}\t\t{serial}\tunknown\t/CN=localhost\n")
    folder = tmp_path / "responder"
    folder.mkdir()
    # -multi 1: without it the index is never read again; a bare connect would send it into a busy loop, so it is
    # waited for with a real question.
    command = [openssl, "ocsp", "-port", str(port), "-index", "../index.txt", "-CA", "../ca.pem", "-nmin", "5"]
    arguments = [*command, "-rsigner", "../signer.pem", "-rkey", "../signer.key", "-multi", "1", "-ignore_err"]
    with Program(arguments, folder):
        question = [openssl, "ocsp", "-issuer", "ca.pem", "-cert", str(files.certificate), "-CAfile", "ca.pem"]
        url = f"http://127.0.0.1:{port}/"
        wait_until(lambda: "good" in run(*question, "-url", url, folder=tmp_path).stdout, "openssl's responder")
        yield port, files, tmp_path / "ca.pem"


def test_openssl_as_the_responder(openssl_responder: tuple[int, SiteFiles, Path], port: int, tmp_path: Path) -> None:
    """What OpenSSL's own responder says through a delegated signer is stapled, and OpenSSL's client accepts it."""
    _, files, root = openssl_responder
    config = write_config(tmp_path, port, files.table())
    with twistd(tmp_path, "--config", str(config)):
        wait_until(lambda: is_listening(port), "the port")
        assert judge(look(port, "localhost")) == "good"
        command = [need("curl"), "--silent", "--show-error", "--cacert", str(root), "--cert-status"]
        assert "a page" in run(*command, f"https://localhost:{port}/", folder=tmp_path).stdout
