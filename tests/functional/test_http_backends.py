"""Backends that misbehave, and places where backends can be, with real sockets on both sides of the program."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
from functional.harness import MIB, Pki, SiteFiles, free_port, wait_until
from functional.http_server import HTTPServer, http_server, site_table

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
NAMES = ("plain.test", "socket.test", "tls.test", "stranger.test", "two.test", "nobody.test", "patient.test")

Script = Callable[[socket.socket], None]


class Scripted:
    """A backend that does what a script says, for each connection anew, after the head of a request has come.

    Args:
        listening: Its socket.
        context: For TLS.

    Attributes:
        script: What it does.
        connections: How many there were.
    """

    def __init__(self, listening: socket.socket, context: ssl.SSLContext | None = None) -> None:
        self.script: Script = lambda connection: connection.sendall(OK)
        self.connections = 0
        self._listening = listening
        self._context = context
        listening.listen(16)
        Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listening.getsockname()[1])

    def close(self) -> None:
        """End it."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._listening.accept()
                Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:  # clients that do not trust us, and those that had enough
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            while self._read_head(connection):
                self.connections += 1
                self.script(connection)

    @staticmethod
    def _read_head(connection: socket.socket) -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = connection.recv(1)
            if not piece:
                return False
            head += piece
        return True


def reset(connection: socket.socket) -> None:
    """Close with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def context_of(files: SiteFiles) -> ssl.SSLContext:
    """A server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.private_key)
    return context


class Place:
    """The program, and the backends behind it."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        self.plain = Scripted(socket.create_server(("127.0.0.1", 0)))
        self.other = Scripted(socket.create_server(("127.0.0.1", 0)))
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(str(folder / "app.sock"))
        self.unix = Scripted(unix)
        inside = folder / "inside"
        inside.mkdir()
        # OpenSSL compares an address with the addresses of a certificate, so it is asked for by a name.
        self.tls = Scripted(socket.create_server(("127.0.0.1", 0)), context_of(pki.issue(inside, "localhost")))
        outside = folder / "outside"
        outside.mkdir()
        stranger = pki.issue(outside, "stranger.example")
        self.stranger = Scripted(socket.create_server(("127.0.0.1", 0)), context_of(stranger))
        pki.root("ca", str(folder / "backends.pem"))

    def tables(self, folder: Path, files: SiteFiles) -> list[str]:
        """The sites."""
        trust = {"ca_file": folder / "backends.pem"}
        quick = {"answer_seconds": 1, "idle_seconds": 1}
        behind: dict[str, dict[str, object]] = {
            "plain.test": {"proxy": f"http://127.0.0.1:{self.plain.port}", "max_body": 0},
            "socket.test": {"proxy": f"unix:{folder / 'app.sock'}"},
            "tls.test": {"proxy": f"https://localhost:{self.tls.port}", "backends": trust},
            "stranger.test": {"proxy": f"https://localhost:{self.stranger.port}", "backends": trust},
            "nobody.test": {"proxy": f"http://127.0.0.1:{free_port()}"},
            "patient.test": {"proxy": f"http://127.0.0.1:{self.plain.port}", "backends": quick},
        }
        return [site_table(files, names=[name], **keys) for name, keys in behind.items()] + [
            "\n".join(
                [
                    site_table(files, names=["two.test"]).rstrip(),
                    f'proxy = ["http://127.0.0.1:{self.plain.port}", "http://127.0.0.1:{self.other.port}"]\n',
                ]
            )
        ]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HTTPServer, Place]]:
    """The program and its backends."""
    folder = tmp_path_factory.mktemp("backends")
    pki = Pki("ca")
    place = Place(folder, pki)
    files = pki.issue(folder, *NAMES)
    with http_server(pki, folder, *place.tables(folder, files)) as server:
        yield server, place
        server.program.stop()
        assert "Traceback" not in server.program.output()
    pki.close()


@pytest.fixture
def server(running: tuple[HTTPServer, Place]) -> HTTPServer:
    """The program."""
    return running[0]


@pytest.fixture
def place(running: tuple[HTTPServer, Place]) -> Iterator[Place]:
    """The backends, which answer well again after each test."""
    place = running[1]
    yield place
    for backend in (place.plain, place.other, place.unix, place.tls):
        backend.script = lambda connection: connection.sendall(OK)


@pytest.mark.parametrize("name", ["plain.test", "socket.test", "tls.test"])
def test_backends_in_every_place_answer(server: HTTPServer, place: Place, name: str) -> None:
    """At a TCP port, at a socket in the file system, and over TLS with a certificate that is trusted."""
    for _ in range(2):
        assert server.curl("/", name=name).body == b"hi"


def test_a_backend_with_another_certificate_is_not_trusted(server: HTTPServer, place: Place) -> None:
    """A certificate for another name is a 502, and no request is sent there."""
    assert server.curl("/", name="stranger.test").status == 502
    assert place.stranger.connections == 0


def test_no_backend_is_a_bad_gateway(server: HTTPServer) -> None:
    """With a plain page."""
    answer = server.curl("/", name="nobody.test")
    assert (answer.status, answer.fields["content-type"]) == (502, "text/html; charset=utf-8")


@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.parametrize("end", [socket.socket.close, reset])
@pytest.mark.parametrize("begin", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
def test_a_backend_that_dies_in_the_middle(
    server: HTTPServer, place: Place, begin: bytes, end: Script, version: str
) -> None:
    """The client notices that not all of the answer came."""

    def die(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + begin + b"\r\n\r\n5\r\nhe")
        end(connection)

    place.plain.script = die
    answer = server.curl("/", name="plain.test", version=version)
    assert answer.exit_status != 0


@pytest.mark.parametrize("begin", [b"Content-Length: 60000", b"Transfer-Encoding: chunked"])
def test_what_came_before_a_backend_died(server: HTTPServer, place: Place, begin: bytes) -> None:
    """The client gets all of it."""

    def die(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + begin + b"\r\n\r\nc350\r\n" + b"a" * 49_990)
        connection.close()

    place.plain.script = die
    answer = server.curl("/", name="plain.test")
    assert answer.body.endswith(b"a" * 49_990)
    assert answer.exit_status != 0


@contextmanager
def uploading(size: int, folder: Path) -> Iterator[str]:
    """A file to upload."""
    path = folder / "upload.bin"
    path.write_bytes(bytes(size))
    yield str(path)
    path.unlink()


@pytest.mark.parametrize("end", [socket.socket.close, reset, None])
def test_a_backend_that_answers_before_it_has_read(server: HTTPServer, place: Place, end: Script | None) -> None:
    """Its answer gets to the client, however the rest of the upload is received.

    Over HTTP/1.1: curl 7.88 takes the RST_STREAM that follows an early answer in HTTP/2 (RFC 9113 §8.1) for an error.
    """

    def refuse(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        if end is not None:
            end(connection)
        else:
            connection.recv(1)

    place.plain.script = refuse
    with uploading(16 * MIB, server.folder) as file:
        answer = server.curl("/", "-T", file, "-H", "Expect:", name="plain.test")
    assert (answer.status, answer.body) == (403, b"no")


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        bytes(100_000),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
    ids=["another protocol", "zeros", "two lengths"],
)
def test_a_backend_that_sends_garbage(server: HTTPServer, place: Place, garbage: bytes) -> None:
    """A 502."""
    place.plain.script = lambda connection: connection.sendall(garbage)
    assert server.curl("/", name="plain.test").status == 502


def test_a_backend_that_never_ends_its_head(server: HTTPServer, place: Place) -> None:
    """A 502 when it has sent more than a head may have."""

    def go_on(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X-More: " + b"a" * 1000 + b"\r\n")

    place.plain.script = go_on
    assert server.curl("/", name="plain.test").status == 502


def test_a_backend_that_never_answers(server: HTTPServer, place: Place) -> None:
    """A 504 when its time is over; what it sends in the meantime, byte by byte, is no answer."""

    def drip(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"H")
            connection.settimeout(0.2)
            with suppress(TimeoutError):
                connection.recv(1)

    place.plain.script = lambda connection: connection.recv(1) and None
    assert server.curl("/", name="patient.test").status == 504
    place.plain.script = drip
    assert server.curl("/", name="patient.test").status in {502, 504}


def test_kept_connections_that_were_closed_cost_nobody_anything(server: HTTPServer, place: Place) -> None:
    """A backend that closes after each answer without saying so is asked on a new connection."""

    def answer_and_close(connection: socket.socket) -> None:
        connection.sendall(OK)
        connection.close()

    place.plain.script = answer_and_close
    for _ in range(20):
        assert server.curl("/", name="plain.test").body == b"hi"
        assert server.curl("/", "-d", "x=y", name="plain.test").body == b"hi"


def test_another_backend_is_asked(server: HTTPServer, place: Place) -> None:
    """Where one resets every connection, the other one answers."""
    place.plain.script = reset
    for _ in range(6):
        assert server.curl("/", name="two.test").body == b"hi"


def test_events_are_not_held_back(server: HTTPServer, place: Place) -> None:
    """An event gets to the client while the backend waits to send the next one."""
    seen: list[bytes] = []

    def events(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(3):
            connection.sendall(b"data: %d\n\n" % number)
            wait_until(lambda number=number: len(seen) > number, "the event at the client")  # type: ignore[misc]
        connection.close()

    place.plain.script = events
    trust = ssl.create_default_context(cafile=str(server.folder / "root.pem"))
    with (
        socket.create_connection(("127.0.0.1", server.port), 20) as connection,
        trust.wrap_socket(connection, server_hostname="plain.test") as tls,
    ):
        tls.sendall(b"GET / HTTP/1.0\r\nHost: plain.test\r\n\r\n")
        came = b""
        while piece := tls.recv(65_536):
            came += piece
            seen.extend([b"event"] * (came.count(b"data: ") - len(seen)))
    assert came.endswith(b"data: 0\n\ndata: 1\n\ndata: 2\n\n")
