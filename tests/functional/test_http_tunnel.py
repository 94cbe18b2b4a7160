"""Raw tunnels through the whole program, and the PROXY protocol on both of its sides."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from functional.harness import MIB, Pki, SiteFiles, free_port, is_listening, wait_until
from functional.http_server import HTTPServer, http_server, site_table
from OpenSSL import SSL

from staplesrv.http.proxy_protocol import ALPN, AUTHORITY, ProxyHeader, build, parse
from staplesrv.http.proxy_protocol import SSL as TLS_FACTS

SIZE = 256 * MIB


class Backend:
    """A listening socket whose connections the test plays."""

    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        listening.settimeout(20)

    def accept(self) -> socket.socket:
        """Take the next connection."""
        taken = self.listening.accept()[0]
        taken.settimeout(20)
        return taken


def everything(end: socket.socket) -> bytes:
    """Read a connection to its end."""
    return b"".join(iter(lambda: end.recv(65536), b""))


class Client:
    """A TLS client that can half-close.

    Args:
        port: On loopback.
        name: The server's.
        before: Sent before the handshake.
        offers: ALPN names.
        version: The highest of TLS.
    """

    def __init__(
        self,
        port: int,
        name: str,
        before: bytes = b"",
        offers: tuple[bytes, ...] = (),
        version: int = SSL.TLS1_3_VERSION,
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.sendall(before)
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(version)
        if offers:
            context.set_alpn_protos(list(offers))
        self.tls = SSL.Connection(context, self.socket)
        self.socket.setblocking(True)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 20, 0))
        self.tls.set_tlsext_host_name(name.encode())
        self.tls.set_connect_state()
        self.tls.do_handshake()

    def read(self, size: int) -> bytes:
        """Read so many bytes."""
        data = b""
        while len(data) < size:
            data += self.tls.recv(size - len(data))
        return data

    def read_all(self) -> bytes:
        """Read to the server's close_notify."""
        data = b""
        while True:
            try:
                data += self.tls.recv(65536)
            except SSL.ZeroReturnError:
                return data

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Backend]]:
    """One by TCP, one that is told who the client is, and one in the file system."""
    path = tmp_path_factory.mktemp("backend") / "socket"
    by_path = socket.socket(socket.AF_UNIX)
    by_path.bind(str(path))
    by_path.listen()
    made = {
        "raw.test": Backend(socket.create_server(("127.0.0.1", 0))),
        "told.test": Backend(socket.create_server(("127.0.0.1", 0))),
        "unix.test": Backend(by_path),
    }
    yield made
    for backend in made.values():
        backend.listening.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, backends: dict[str, Backend]) -> Iterator[HTTPServer]:
    """The program in front of them, beside a site with HTTP; the second listener is behind a proxy."""
    folder = tmp_path_factory.mktemp("tunnel")
    (folder / "www").mkdir()
    (folder / "www" / "index.html").write_text("a page")
    pki = Pki("ca")

    def issued(name: str) -> SiteFiles:
        (folder / name).mkdir()
        return pki.issue(folder / name, name)

    places = {
        name: f"unix:{backend.listening.getsockname()}"
        if name == "unix.test"
        else f"tcp:127.0.0.1:{backend.listening.getsockname()[1]}"
        for name, backend in backends.items()
    }
    behind = free_port()
    sites = [
        site_table(issued("page.test"), static=folder / "www"),
        site_table(issued("raw.test"), tunnel=places["raw.test"]),
        site_table(issued("told.test"), tunnel=places["told.test"], protocols=["imap"], send_proxy_protocol=True),
        site_table(issued("unix.test"), tunnel=places["unix.test"]),
        site_table(issued("gone.test"), tunnel=f"tcp:127.0.0.1:{free_port()}"),
        f'[[listeners]]\nendpoint = "tcp:{behind}:interface=127.0.0.1"\nproxy_protocol_from = ["127.0.0.0/8"]\n',
    ]
    with http_server(pki, folder, *sites) as running:
        running.plain = behind
        yield running
        running.program.stop()
        assert "Traceback" not in running.program.output()
    pki.close()


@contextmanager
def tunnel(
    server: HTTPServer, backends: dict[str, Backend], name: str = "raw.test"
) -> Iterator[tuple[Client, socket.socket]]:
    """A client, and the backend's end of its tunnel."""
    client = Client(server.port, name)
    with backends[name].accept() as end:
        yield client, end
    client.close()


@pytest.mark.parametrize("name", ["raw.test", "unix.test"])
def test_bytes_both_ways(server: HTTPServer, backends: dict[str, Backend], name: str) -> None:
    """The backend may speak first, and whatever bytes there are pass."""
    with tunnel(server, backends, name) as (client, end):
        end.sendall(b"220 ready\r\n")
        assert client.read(11) == b"220 ready\r\n"
        client.tls.send(bytes(range(256)))
        assert end.recv(256, socket.MSG_WAITALL) == bytes(range(256))


def test_a_client_that_has_said_all(server: HTTPServer, backends: dict[str, Backend]) -> None:
    """The backend sees the end, and its answer still gets through, with its own end."""
    with tunnel(server, backends) as (client, end):
        client.tls.send(b"question")
        client.tls.shutdown()
        assert everything(end) == b"question"
        end.sendall(b"answer" * 100_000)
        end.close()
        assert client.read_all() == b"answer" * 100_000


def test_a_backend_that_has_said_all(server: HTTPServer, backends: dict[str, Backend]) -> None:
    """The client sees the end, and what it sends still gets through."""
    with tunnel(server, backends) as (client, end):
        end.sendall(b"greeting")
        end.shutdown(socket.SHUT_WR)
        assert client.read_all() == b"greeting"
        client.tls.sendall(b"more" * 100_000)
        client.tls.shutdown()
        assert everything(end) == b"more" * 100_000


def test_a_client_of_tls_1_2_that_closes(server: HTTPServer, backends: dict[str, Backend]) -> None:
    """It closes both directions: RFC 5246 §7.2.1. What it said gets to the backend."""
    client = Client(server.port, "raw.test", version=SSL.TLS1_2_VERSION)
    with backends["raw.test"].accept() as end:
        client.tls.send(b"last words")
        client.tls.shutdown()
        assert everything(end) == b"last words"
    client.close()


def test_a_client_that_vanishes(server: HTTPServer, backends: dict[str, Backend]) -> None:
    """The backend gets what was said, and an end."""
    with tunnel(server, backends) as (client, end):
        client.tls.send(b"last words")
        client.socket.close()
        assert everything(end) == b"last words"


def test_a_backend_that_vanishes(server: HTTPServer, backends: dict[str, Backend]) -> None:
    """The client notices that this was no orderly end."""
    with tunnel(server, backends) as (client, end):
        end.sendall(b"!")
        assert client.read(1) == b"!"
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()
        with pytest.raises(SSL.SysCallError):
            client.tls.recv(1)


def test_a_backend_that_is_not_there(server: HTTPServer) -> None:
    """The client is turned away, and the log says so once, whoever comes."""
    for _ in range(3):
        client = Client(server.port, "gone.test")
        with pytest.raises(SSL.SysCallError):
            client.tls.recv(1)
        client.close()
    said = [line for line in server.program.output().splitlines() if "can't be reached" in line]
    assert len(said) == 1
    assert said[0].endswith("can't be reached: Connection refused")


def test_sites_with_http_beside_it(server: HTTPServer) -> None:
    """They answer as ever; who asks them for a tunnel's name is sent to a connection of its own."""
    assert server.curl("/", name="page.test", version="2").body == b"a page"
    assert server.curl("/", "-H", "Host: raw.test", name="page.test").status == 421


def test_a_slow_client_holds_the_backend_back(small: HTTPServer, backends: dict[str, Backend]) -> None:
    """What it has not read waits at the backend, and comes whole."""
    with tunnel(small, backends) as (client, end):
        end.settimeout(1)
        sent = _flood(end)
        assert sent < SIZE
        end.settimeout(20)
        rest = threading.Thread(target=end.sendall, args=(b"x",))
        rest.start()
        assert len(client.read(sent + 1)) == sent + 1
        rest.join()


def test_a_slow_backend_holds_the_client_back(small: HTTPServer, backends: dict[str, Backend]) -> None:
    """What it has not read waits at the client, and comes whole."""
    with tunnel(small, backends) as (client, end):
        sent = 0

        def send() -> None:
            nonlocal sent
            while sent < SIZE:
                client.tls.sendall(bytes(MIB))
                sent += MIB
            client.tls.shutdown()

        sender = threading.Thread(target=send)
        sender.start()
        seen = [-1]

        def still() -> bool:
            seen.append(sent)
            return len(seen) > 50 and len(set(seen[-50:])) == 1

        wait_until(still, "a standstill")
        assert sent < SIZE / 2
        received = 0
        while data := end.recv(MIB):
            received += len(data)
        sender.join()
        assert received == SIZE


# The PROXY protocol.


def test_a_backend_is_told_who_the_client_is(server: HTTPServer, backends: dict[str, Backend]) -> None:
    """By a header of version 2, with the name and the protocol that the client has asked for, and its TLS."""
    client = Client(server.port, "told.test", offers=(b"smtp", b"imap"))
    with backends["told.test"].accept() as end:
        client.tls.send(b"hello")
        came = b""
        while not came.endswith(b"hello"):
            came += end.recv(4096)
        found = parse(came)
        assert found is not None
        header, length = found
        assert (header.client, header.server) == (client.socket.getsockname(), client.socket.getpeername())
        facts = dict(header.tlvs)
        assert (facts[AUTHORITY], facts[ALPN]) == (b"told.test", b"imap")
        assert b"TLSv1.3" in facts[TLS_FACTS]
        assert came[length:] == b"hello"
    client.close()


@pytest.mark.parametrize(
    "before",
    [
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n",
        build(ProxyHeader(("192.0.2.7", 4711), ("192.0.2.1", 443)), checksum=True),
    ],
    ids=["version 1", "version 2"],
)
def test_a_client_behind_a_proxy(server: HTTPServer, backends: dict[str, Backend], before: bytes) -> None:
    """It is who the trusted proxy says it is, also for those behind us."""
    client = Client(server.plain, "told.test", before, offers=(b"imap",))
    with backends["told.test"].accept() as end:
        found = parse(end.recv(4096))
        assert found is not None
        assert found[0].client == ("192.0.2.7", 4711)
    client.close()


def test_a_trusted_proxy_that_says_nothing(server: HTTPServer) -> None:
    """Its connection is closed: a client that the proxy did not announce would pass for the proxy itself."""
    with pytest.raises(SSL.Error):
        Client(server.plain, "page.test")


def test_a_header_from_nobody_who_is_trusted(server: HTTPServer) -> None:
    """It is no TLS, and the connection ends; a client can't say who it is."""
    with pytest.raises(SSL.Error):
        Client(server.port, "page.test", b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n")
    assert is_listening(server.port)


def _flood(end: socket.socket) -> int:
    """Send until there is no room for a second; return how much went out."""
    sent = 0
    try:
        while sent < SIZE:
            sent += end.send(bytes(MIB))
    except TimeoutError:
        pass
    return sent
