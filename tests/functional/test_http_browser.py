"""A browser's view: Chromium loads a page of a hundred pictures, by files and by proxy, and talks WebSocket."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from functional.harness import Pki, need, wait_until
from functional.http_server import HTTPServer, http_backend, http_server, site_table
from functional.pictures import page, picture
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

PICTURES = 100
PATIENCE = 30


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
    shown = chromium(server, tmp_path, name)
    assert f'<p id="told">{PICTURES} pictures over h2</p>' in shown


TALK = b"""\
<!doctype html><title>talk</title><p id="told">waiting</p>
<script>
  const socket = new WebSocket("wss://" + location.host + "/talk");
  socket.onopen = () => socket.send("h\\u00e4llo ".repeat(10000));
  socket.onmessage = (event) => {
    document.getElementById("told").textContent = event.data.length + " came back";
    socket.send("seen");
  };
  // Chromium's virtual time stands still for a request, and not for a WebSocket.
  fetch("/seen");
</script>
"""


class Talker:
    """A WebSocket server that sends a message back, a page for it, and a request that waits for the page to see it.

    Attributes:
        port: Where it listens.
    """

    def __init__(self) -> None:
        self._seen = Event()
        self._server = serve(self._echo, "127.0.0.1", 0, process_request=self._answer)
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()
        self.port = int(self._server.socket.getsockname()[1])

    def stop(self) -> None:
        """End it."""
        self._seen.set()
        self._server.shutdown()
        self._thread.join()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if "Upgrade" in request.headers:
            return None
        if request.path == "/seen":
            self._seen.wait(PATIENCE)
        fields = Headers([("Content-Type", "text/html"), ("Content-Length", str(len(TALK)))])
        return Response(200, "OK", fields, TALK)

    def _echo(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):  # as a browser does it that is ended
            for message in connection:
                if message == "seen":
                    self._seen.set()
                else:
                    connection.send(message)


@pytest.fixture
def talker() -> Iterator[Talker]:
    """A server to talk to."""
    made = Talker()
    yield made
    made.stop()


def test_websocket_over_http2(tmp_path: Path, talker: Talker) -> None:
    """A browser that has an HTTP/2 connection talks WebSocket on it (RFC 8441), to a backend that knows HTTP/1.1."""
    pki = Pki("ca")
    site = site_table(pki.issue(tmp_path, "talk.test"), proxy=f"http://127.0.0.1:{talker.port}")
    log = tmp_path / "access.log"
    with http_server(pki, tmp_path, site, f'[access_log]\nfile = "{log}"\nformat = "json"\n') as server:
        shown = chromium(server, tmp_path / "profile", "talk.test")
        assert '<p id="told">60000 came back</p>' in shown
        wait_until(lambda: log.exists() and "CONNECT" in log.read_text(), "the tunnel's line")
    talked = next(line for line in map(json.loads, log.read_text().splitlines()) if line["method"] == "CONNECT")
    assert (talked["status"], talked["version"]) == (200, "2")
    pki.close()


def chromium(server: HTTPServer, profile: Path, name: str) -> str:
    """Have Chromium load a site's first page, and return what it is in the end."""
    command = [need("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    own = [f"--user-data-dir={profile}", "--disable-background-networking", "--no-first-run", "--no-proxy-server"]
    trust = [f"--ignore-certificate-errors-spki-list={key_pin(server.folder / 'fullchain.pem')}"]
    where = ["--host-resolver-rules=MAP * 127.0.0.1", f"https://{name}:{server.port}/"]
    done = subprocess.run(
        [*command, *own, *trust, "--virtual-time-budget=20000", "--dump-dom", *where],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "</html>" in done.stdout, done.stderr[-2000:]
    return done.stdout


def key_pin(certificate: Path) -> str:
    """The SHA-256 of a leaf's public key, as Chromium wants it."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()
