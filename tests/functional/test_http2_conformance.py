"""h2spec's cases against the whole program, over TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from functional.harness import ROOT, Pki
from functional.http_server import HTTPServer, http_server, site_table
from h2spec import CASES, Case
from http2_client import Speaker
from hyperframe.frame import Frame


class TLSClient(Speaker):
    """Speaks frames over a real connection.

    Args:
        port: The server's.
        root: Whom it trusts.
    """

    def __init__(self, port: int, root: Path) -> None:
        super().__init__()
        context = ssl.create_default_context(cafile=str(root))
        context.set_alpn_protocols(["h2"])
        connected = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._socket = context.wrap_socket(connected, server_hostname="localhost")
        assert self._socket.selected_alpn_protocol() == "h2"
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the server has closed."""
        return self._ended

    def send_bytes(self, *pieces: bytes) -> list[Frame]:
        """Send pieces; what they bring comes later."""
        for piece in pieces:
            with suppress(OSError):  # closed by the server, which `until` finds
                self._socket.sendall(piece)
        return []

    def until(self, condition: Callable[[], object]) -> None:
        """Read until something holds; fail where the server closes, or says nothing, before it does."""
        while not condition() and not self._ended:
            data = self._socket.recv(65_536)
            self._ended = not data
            self.take(data)
        assert condition()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTTPServer]:
    """Run the program with one site."""
    folder = tmp_path_factory.mktemp("http2")
    pki = Pki("ca")
    files = pki.issue(folder, "localhost")
    table = site_table(files, names=["localhost"], resource="functional.whole_requests:resource")
    with http_server(pki, folder, table, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}") as running:
        yield running
        running.program.stop()
        assert "Traceback" not in running.program.output()
    pki.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section}: {case.name}")
def test_case(server: HTTPServer, case: Case) -> None:
    """What h2spec demands holds over TLS, through a resource of Twisted Web."""
    client = TLSClient(server.port, server.folder / "root.pem")
    try:
        if case.greet:
            client.greet()
        case.do(client)
    finally:
        client.close()
