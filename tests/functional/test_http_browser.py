"""A browser's view: Chromium loads a page of a hundred pictures, from files and through the proxy."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from functional.harness import Pki, need
from functional.http_server import HTTPServer, http_backend, http_server, site_table
from functional.pictures import page, picture

PICTURES = 100


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTTPServer]:
    """The same page at files.test and at proxy.test, with one certificate."""
    folder = tmp_path_factory.mktemp("browser")
    pictures = folder / "www" / "pictures"
    pictures.mkdir(parents=True)
    (folder / "www" / "index.html").write_text(page(PICTURES))
    for number in range(PICTURES):
        (pictures / f"{number}.png").write_bytes(picture(number))
    pki = Pki("ca")
    files = pki.issue(folder, "files.test", "proxy.test")
    with http_backend(folder / "backend") as backend:
        static = site_table(files, names=["files.test"], static=folder / "www")
        proxy = site_table(files, names=["proxy.test"], proxy=f"http://127.0.0.1:{backend}")
        with http_server(pki, folder, static, proxy) as running:
            yield running
    pki.close()


@pytest.mark.parametrize("name", ["files.test", "proxy.test"])
def test_a_page_of_pictures(server: HTTPServer, tmp_path: Path, name: str) -> None:
    """Each of them is shown, and all came over HTTP/2."""
    command = [need("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    own = [f"--user-data-dir={tmp_path}", "--disable-background-networking", "--no-first-run", "--no-proxy-server"]
    trust = [f"--ignore-certificate-errors-spki-list={key_pin(server.folder / 'fullchain.pem')}"]
    where = ["--host-resolver-rules=MAP * 127.0.0.1", f"https://{name}:{server.port}/"]
    done = subprocess.run(
        [*command, *own, *trust, "--virtual-time-budget=20000", "--dump-dom", *where],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert f'<p id="told">{PICTURES} pictures over h2</p>' in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]


def key_pin(certificate: Path) -> str:
    """The SHA-256 of a leaf's public key, as Chromium wants it."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()
