"""HTTP/1.1 as no client library speaks it, through the whole program over TLS: what arrives, and how it ends."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator

import pytest
from functional.harness import MIB, Pki
from functional.http_server import HTTPServer, http_server, site_table

SMALL = b"GET /small.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = SMALL.replace(b"small.txt", b"large.bin")
LAST = SMALL.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
SIZE = 4 * MIB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTTPServer]:
    """Files at localhost; no client makes the server say anything."""
    folder = tmp_path_factory.mktemp("http1")
    (folder / "www").mkdir()
    (folder / "www" / "small.txt").write_text("small")
    (folder / "www" / "large.bin").write_bytes(os.urandom(SIZE))
    pki = Pki("ca")
    with http_server(pki, folder, site_table(pki.issue(folder, "localhost"), static=folder / "www")) as running:
        yield running
        assert "Traceback" not in running.program.output()
        assert "Unhandled" not in running.program.output()


def connect(server: HTTPServer) -> ssl.SSLSocket:
    """Connect, and take a connection that ends without a close_notify for an error."""
    context = ssl.create_default_context(cafile=server.folder / "root.pem")
    plain = socket.create_connection(("127.0.0.1", server.port), 20)
    return context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)


def everything(client: ssl.SSLSocket) -> bytes:
    """Read to the end, which is an orderly one."""
    return b"".join(iter(lambda: client.recv(65_536), b""))


def test_pipelined(server: HTTPServer) -> None:
    """Answers come in the order of the requests, large ones among them, to a client that asks for all at once."""
    with connect(server) as client:
        client.sendall((SMALL + LARGE) * 4 + LAST + SMALL)
        answers = everything(client)
    large = (server.folder / "www" / "large.bin").read_bytes()
    parts = answers.split(large)
    assert len(parts) == 5
    assert [part.count(b"HTTP/1.1 200 OK\r\n") for part in parts] == [2, 2, 2, 2, 1]
    assert all(b"\r\n\r\nsmall" in part for part in parts)


def test_pieces(server: HTTPServer) -> None:
    """A request may come in records of one byte each."""
    with connect(server) as client:
        for at in range(len(LAST)):
            client.send(LAST[at : at + 1])
        assert everything(client).endswith(b"\r\n\r\nsmall")


def test_a_client_that_reads_after_it_has_sent_everything(server: HTTPServer) -> None:
    """An answer that comes before the upload is done is there when a simple client looks for it."""
    with connect(server) as client:
        client.sendall(b"POST /small.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (8 * MIB))
        for _ in range(8):
            client.sendall(bytes(MIB))
        answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000, 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 20_000, 431),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ],
)
def test_refused(server: HTTPServer, data: bytes, status: int) -> None:
    """What is no request is answered and closed in order, also where more of it is on its way."""
    with connect(server) as client:
        client.sendall(SMALL + data + SMALL)
        answers = everything(client)
    assert b"\r\n\r\nsmallHTTP/1.1 %d " % status in answers
    assert answers.count(b"HTTP/1.1") == 2
