"""WebSocket through the whole program, with a library of other people's at both ends."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import pytest
from functional.harness import MIB, Pki, forget_peak, resident_kib, wait_until
from functional.http_server import HTTPServer, http_server, site_table
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve

NAME = "ws.test"
GROWTH = 32 * 1024
"""What the server may grow by over slow readers, in KiB."""
MESSAGES = 96
"""Of a MiB each, three times as much as it may grow by."""


class Backend:
    """A WebSocket server, a thread for each connection, which does what the path says.

    Attributes:
        closed: How its connections were closed: code and reason.
        sent: Messages that `/flood` has sent so far.
        received: Messages that `/sink` has read so far.
        hold: `/sink` reads nothing while this is set.
    """

    def __init__(self) -> None:
        self.closed: list[tuple[int | None, str | None]] = []
        self.sent = self.received = 0
        self.hold = False
        self._server: Server = serve(self._serve, "127.0.0.1", 0, max_size=None, subprotocols=["chat"])  # type: ignore[list-item]
        self.port = int(self._server.socket.getsockname()[1])
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()

    def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        actions: dict[str, Callable[[ServerConnection], None]] = {
            "/echo": self._echo,
            "/flood": self._flood,
            "/sink": self._sink,
            "/close": lambda one: one.close(4321, "enough"),
        }
        with suppress(ConnectionClosed):  # how it was closed is kept, for the tests to look at
            actions[connection.request.path](connection)
        self.closed.append((connection.close_code, connection.close_reason))

    def _echo(self, connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    def _flood(self, connection: ServerConnection) -> None:
        self.sent = 0
        for _ in range(MESSAGES):
            connection.send(bytes(MIB))
            self.sent += 1

    def _sink(self, connection: ServerConnection) -> None:
        self.received = 0
        wait_until(lambda: not self.hold, "leave to read")
        for _ in connection:
            self.received += 1


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """A backend that runs."""
    running = Backend()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, backend: Backend) -> Iterator[HTTPServer]:
    """The program in front of it."""
    folder = tmp_path_factory.mktemp("websocket")
    pki = Pki("ca")
    files = pki.issue(folder, NAME)
    site = site_table(files, names=[NAME], proxy=f"http://127.0.0.1:{backend.port}")
    with http_server(pki, folder, site) as running:
        yield running
        running.program.stop()
        assert "Traceback" not in running.program.output()
    pki.close()


@contextmanager
def client(server: HTTPServer, path: str = "/echo", **options: object) -> Iterator[ClientConnection]:
    """Connect by WebSocket over TLS."""
    trust = ssl.create_default_context(cafile=str(server.folder / "root.pem"))
    options = {"max_size": None, "close_timeout": 5, "subprotocols": ["chat"], **options}
    uri = f"wss://{NAME}:{server.port}{path}"
    address = ("127.0.0.1", server.port)
    with connect(uri, address=address, proxy=None, ssl=trust, **options) as made:  # type: ignore[arg-type]
        yield made


@pytest.mark.parametrize(
    "message",
    ["", "text: ä€😀", b"", b"\0binary\xff", bytes(range(256)) * 65_536],
    ids=["empty text", "text", "empty", "binary", "16 MiB"],
)
def test_messages_come_back_as_they_went(server: HTTPServer, message: str | bytes) -> None:
    """Text and binary ones, empty ones, and 16 MiB."""
    with client(server) as connection:
        connection.send(message)
        assert connection.recv(timeout=30) == message


def test_fragments_stay_a_message(server: HTTPServer) -> None:
    """A message in many frames arrives as one."""
    with client(server) as connection:
        connection.send(iter(["one ", "two ", "three"]))
        assert connection.recv(timeout=30) == "one two three"


def test_pings_are_answered_by_the_backend(server: HTTPServer) -> None:
    """Control frames pass as well."""
    with client(server) as connection:
        assert connection.ping("are you there?").wait(30)


def test_many_messages_stay_in_order(server: HTTPServer) -> None:
    """None is lost, none overtakes another."""
    with client(server) as connection:
        for number in range(500):
            connection.send(str(number))
        assert [connection.recv(timeout=30) for _ in range(500)] == [str(number) for number in range(500)]


def test_the_subprotocol_is_agreed_end_to_end(server: HTTPServer) -> None:
    """Sec-WebSocket-Protocol passes in both directions, and so do extensions: both sides compress."""
    with client(server) as connection:
        assert connection.subprotocol == "chat"
        assert connection.response is not None
        assert "permessage-deflate" in connection.response.headers["Sec-WebSocket-Extensions"]


def test_the_clients_close_code_reaches_the_backend(server: HTTPServer, backend: Backend) -> None:
    """Code and reason."""
    with client(server) as connection:
        connection.close(4000, "done here")
    wait_until(lambda: (4000, "done here") in backend.closed, "the close")


def test_the_backends_close_code_reaches_the_client(server: HTTPServer) -> None:
    """Code and reason."""
    with client(server, "/close") as connection:
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=30)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "enough")


def test_a_backend_may_refuse(server: HTTPServer) -> None:
    """Its answer is passed on: it asks for a subprotocol."""
    with pytest.raises(InvalidStatus) as refused, client(server, subprotocols=None):
        pass
    assert refused.value.response.status_code == 400


def test_a_client_that_vanishes_is_gone_for_the_backend_too(server: HTTPServer, backend: Backend) -> None:
    """Its connection is closed without a code."""
    before = len(backend.closed)
    with client(server) as connection:
        connection.send("hello")
        connection.recv(timeout=30)
        connection.socket.close()
        wait_until(lambda: len(backend.closed) > before, "the end")
    assert backend.closed[-1][0] == 1006


@pytest.fixture
def small(server: HTTPServer) -> Iterator[HTTPServer]:
    """The server, which never grows by much during the test."""
    forget_peak(server.program.pid)
    before = resident_kib(server.program.pid)
    yield server
    assert resident_kib(server.program.pid, "VmHWM") - before < GROWTH


def test_a_slow_client_holds_the_backend_back(small: HTTPServer, backend: Backend) -> None:
    """What it has not read waits at the backend, and comes whole."""
    with client(small, "/flood", max_queue=2, compression=None) as connection:
        still = _standstill(lambda: backend.sent)
        assert still < MESSAGES / 2
        for _ in range(MESSAGES):
            assert connection.recv(timeout=30) == bytes(MIB)


def test_a_slow_backend_holds_the_client_back(small: HTTPServer, backend: Backend) -> None:
    """What it has not read waits at the client, and comes whole."""
    backend.hold = True
    sent: list[int] = []

    def send(connection: ClientConnection) -> None:
        for number in range(MESSAGES):
            connection.send(bytes(MIB))
            sent.append(number)

    with client(small, "/sink", compression=None) as connection:
        sender = Thread(target=send, args=(connection,))
        sender.start()
        assert _standstill(lambda: len(sent)) < MESSAGES / 2
        backend.hold = False
        sender.join()
        wait_until(lambda: backend.received == MESSAGES, "all messages")


def _standstill(count: Callable[[], int]) -> int:
    """Wait until a count that has begun is the same for a while; return it."""
    seen: list[int] = []

    def still() -> bool:
        seen.append(count())
        return seen[-1] > 0 and len(seen) > 20 and len(set(seen[-20:])) == 1

    wait_until(still, "a standstill", timeout=60)
    return seen[-1]
