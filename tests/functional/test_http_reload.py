"""The configuration is read again while clients ask: no request fails, and what is new holds for open connections."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from ssl import SSLContext, create_default_context

from functional.harness import Pki, descriptors, wait_until
from functional.http_server import HTTPServer, curl_command, http_backend, http_server, site_table

WORKERS = 6
RELOADS = 8
REQUESTS = 4000


class Client(threading.Thread):
    """Asks all the time, some requests on each connection.

    Args:
        server: Whom.
        context: With the root that is trusted.
        stop: When to end.

    Attributes:
        bodies: What came.
        failed: What went wrong.
    """

    def __init__(self, server: HTTPServer, context: SSLContext, stop: threading.Event) -> None:
        super().__init__()
        self.bodies: list[bytes] = []
        self.failed: list[Exception] = []
        self._server = server
        self._context = context
        self._stop_asking = stop

    def run(self) -> None:
        """Ask until told to stop."""
        while not self._stop_asking.is_set():
            connection = HTTPSConnection("localhost", self._server.port, timeout=20, context=self._context)
            try:
                for _ in range(50):
                    connection.request("GET", "/page.html")
                    answer = connection.getresponse()
                    body = answer.read()
                    self.bodies.append(body if answer.status == 200 else b"%d" % answer.status)
            except (OSError, HTTPException) as error:
                self.failed.append(error)
            finally:
                connection.close()


@contextmanager
def asked(server: HTTPServer) -> Iterator[list[Client]]:
    """Have clients ask meanwhile."""
    context, stop = create_default_context(cafile=server.folder / "root.pem"), threading.Event()
    clients = [Client(server, context, stop) for _ in range(WORKERS)]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        stop.set()
        for client in clients:
            client.join()


def test_reload_under_load(tmp_path: Path) -> None:
    """Folders change, and then the site becomes a backend's: each answer is one of theirs, in order."""
    pki = Pki("ca")
    files = pki.issue(tmp_path, "localhost")
    for number in range(RELOADS):
        folder = tmp_path / f"www{number}"
        folder.mkdir()
        (folder / "page.html").write_text(f"page {number}")
    with http_server(pki, tmp_path, site_table(files, static=tmp_path / "www0")) as server:
        config = tmp_path / "staplesrv.toml"
        with asked(server) as clients:
            wait_until(lambda: all(len(client.bodies) > 10 for client in clients), "answers")
            before = descriptors(server.program.pid)
            for number in range(1, RELOADS):
                config.write_text(config.read_text().replace(f"www{number - 1}", f"www{number}"))
                server.program.signal(signal.SIGHUP)
                page = b"page %d" % number
                wait_until(lambda page=page: all(client.bodies[-1] == page for client in clients), "the new page")
        assert not [error for client in clients for error in client.failed]
        for client in clients:
            assert client.bodies == sorted(client.bodies)
            assert set(client.bodies) <= {b"page %d" % number for number in range(RELOADS)}
        wait_until(lambda: descriptors(server.program.pid) <= before, "as many descriptors as before")
        server.program.stop()
        assert "Traceback" not in server.program.output()
    pki.close()


def test_reload_under_load_over_http2(tmp_path: Path) -> None:
    """Thousands of requests down a few connections: each of them is answered while the site changes again and again."""
    pki = Pki("ca")
    files = pki.issue(tmp_path, "localhost")
    for number in range(2):
        (tmp_path / f"www{number}").mkdir()
        (tmp_path / f"www{number}" / "page.html").write_text(f"page {number}\n")
    with http_server(pki, tmp_path, site_table(files, static=tmp_path / "www0")) as server:
        config = tmp_path / "staplesrv.toml"
        texts = [config.read_text(), config.read_text().replace("www0", "www1")]
        command = [*curl_command(tmp_path, "localhost", server.port, "2"), "--parallel", "-w", "%{http_code}\n"]
        urls = f"https://localhost:{server.port}/page.html?[1-{REQUESTS}]"
        with subprocess.Popen([*command, urls], stdout=subprocess.PIPE, text=True) as curl:
            for number in range(1, RELOADS):
                config.write_text(texts[number % 2])
                server.program.signal(signal.SIGHUP)
                page = b"page %d\n" % (number % 2)
                wait_until(lambda page=page: server.curl("/page.html").body == page, "the new page")
            said = Counter(curl.communicate()[0].split("\n"))
        assert (curl.returncode, said["200"]) == (0, REQUESTS)
        assert said["page 0"] + said["page 1"] == REQUESTS
        assert said["page 1"]
        server.program.stop()
        assert "Traceback" not in server.program.output()
    pki.close()


def test_a_long_download_outlives_its_site(tmp_path: Path) -> None:
    """A request that runs when its site gets another backend ends with the old one's answer."""
    pki = Pki("ca")
    files = pki.issue(tmp_path, "localhost")
    with (
        http_backend(tmp_path / "old") as old,
        http_backend(tmp_path / "new") as new,
        http_server(pki, tmp_path, site_table(files, proxy=f"http://127.0.0.1:{old}")) as server,
    ):
        context = create_default_context(cafile=tmp_path / "root.pem")
        connection = HTTPSConnection("localhost", server.port, timeout=20, context=context)
        connection.request("GET", "/late/2")
        config = tmp_path / "staplesrv.toml"
        config.write_text(config.read_text().replace(str(old), str(new)))
        server.program.signal(signal.SIGHUP)
        assert connection.getresponse().read() == b"late"
        connection.request("GET", "/bytes/3")
        assert len(connection.getresponse().read()) == 3
        connection.close()
        server.program.stop()
        assert "Traceback" not in server.program.output()
    pki.close()
