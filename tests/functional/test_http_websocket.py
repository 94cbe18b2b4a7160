"""WebSocket through the whole program, with a library of other people's at both ends."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

import pytest
from functional.harness import MIB, Pki, wait_until
from functional.http_server import HTTPServer, http_server, site_table
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.server import Server, ServerConnection, serve

T = TypeVar("T")

NAME = "ws.test"
MESSAGES = 128
"""Of a MiB each; the kernel and the library at the end take some 50 of them before anybody has read one."""


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


def talk(
    server: HTTPServer, conversation: Callable[[ClientConnection], Awaitable[T]], path: str = "/echo", **options: Any
) -> T:
    """Connect by WebSocket over TLS, and have a conversation.

    In one thread: the `ssl` of Python 3.11 loses records where one thread reads while another one writes.
    """
    trust = ssl.create_default_context(cafile=str(server.folder / "root.pem"))
    options = {"max_size": None, "close_timeout": 5, "subprotocols": ["chat"], **options}
    uri = f"wss://{NAME}:{server.port}{path}"

    async def call() -> T:
        async with connect(uri, host="127.0.0.1", port=server.port, proxy=None, ssl=trust, **options) as connection:
            return await asyncio.wait_for(conversation(connection), 60)

    return asyncio.run(call())


@pytest.mark.parametrize(
    "message",
    ["", "text: ä€😀", b"", b"\0binary\xff", bytes(range(256)) * 65_536],
    ids=["empty text", "text", "empty", "binary", "16 MiB"],
)
def test_messages_come_back_as_they_went(server: HTTPServer, message: str | bytes) -> None:
    """Text and binary ones, empty ones, and 16 MiB."""

    async def echo(connection: ClientConnection) -> str | bytes:
        await connection.send(message)
        return await connection.recv()

    assert talk(server, echo) == message


def test_fragments_stay_a_message(server: HTTPServer) -> None:
    """A message in many frames arrives as one."""

    async def echo(connection: ClientConnection) -> str | bytes:
        await connection.send(iter(["one ", "two ", "three"]))
        return await connection.recv()

    assert talk(server, echo) == "one two three"


def test_pings_are_answered_by_the_backend(server: HTTPServer) -> None:
    """Control frames pass as well."""

    async def ping(connection: ClientConnection) -> float:
        return await (await connection.ping("are you there?"))

    assert talk(server, ping) > 0


def test_many_messages_stay_in_order(server: HTTPServer) -> None:
    """None is lost, none overtakes another."""
    messages = [str(number) for number in range(500)]

    async def echo(connection: ClientConnection) -> list[str | bytes]:
        for message in messages:
            await connection.send(message)
        return [await connection.recv() for _ in messages]

    assert talk(server, echo) == messages


def test_the_subprotocol_is_agreed_end_to_end(server: HTTPServer) -> None:
    """Sec-WebSocket-Protocol passes in both directions, and so do extensions: both sides compress."""

    async def look(connection: ClientConnection) -> tuple[str | None, str]:
        assert connection.response is not None
        return connection.subprotocol, connection.response.headers["Sec-WebSocket-Extensions"]

    subprotocol, extensions = talk(server, look)
    assert subprotocol == "chat"
    assert "permessage-deflate" in extensions


def test_the_clients_close_code_reaches_the_backend(server: HTTPServer, backend: Backend) -> None:
    """Code and reason."""
    talk(server, lambda connection: connection.close(4000, "done here"))
    wait_until(lambda: (4000, "done here") in backend.closed, "the close")


def test_the_backends_close_code_reaches_the_client(server: HTTPServer) -> None:
    """Code and reason."""
    with pytest.raises(ConnectionClosed) as closed:
        talk(server, lambda connection: connection.recv(), "/close")
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "enough")


def test_a_backend_may_refuse(server: HTTPServer) -> None:
    """Its answer is passed on: it asks for a subprotocol."""
    with pytest.raises(InvalidStatus) as refused:
        talk(server, lambda connection: connection.recv(), subprotocols=None)
    assert refused.value.response.status_code == 400


def test_a_client_that_vanishes_is_gone_for_the_backend_too(server: HTTPServer, backend: Backend) -> None:
    """Its connection is closed without a code."""
    before = len(backend.closed)

    async def vanish(connection: ClientConnection) -> None:
        await connection.send("hello")
        await connection.recv()
        connection.transport.abort()

    talk(server, vanish)
    wait_until(lambda: len(backend.closed) > before, "the end")
    assert backend.closed[-1][0] == 1006


def test_a_slow_client_holds_the_backend_back(small: HTTPServer, backend: Backend) -> None:
    """What it has not read waits at the backend, and comes whole."""

    async def read_late(connection: ClientConnection) -> int:
        still = await asyncio.to_thread(_standstill, lambda: backend.sent)
        for _ in range(MESSAGES):
            assert await connection.recv() == bytes(MIB)
        return still

    assert talk(small, read_late, "/flood", max_queue=2, compression=None) < MESSAGES


def test_a_slow_backend_holds_the_client_back(small: HTTPServer, backend: Backend) -> None:
    """What it has not read waits at the client, and comes whole."""
    backend.hold = True
    sent: list[int] = []

    async def send(connection: ClientConnection) -> None:
        for number in range(MESSAGES):
            await connection.send(bytes(MIB))
            sent.append(number)

    async def send_all(connection: ClientConnection) -> int:
        sending = asyncio.create_task(send(connection))
        still = await asyncio.to_thread(_standstill, lambda: len(sent))
        backend.hold = False
        await sending
        await asyncio.to_thread(wait_until, lambda: backend.received == MESSAGES, "all messages")
        return still

    assert talk(small, send_all, "/sink", compression=None) < MESSAGES


def _standstill(count: Callable[[], int]) -> int:
    """Wait until a count that has begun is the same for a while; return it."""
    seen: list[int] = []

    def still() -> bool:
        seen.append(count())
        return seen[-1] > 0 and len(seen) > 20 and len(set(seen[-20:])) == 1

    wait_until(still, "a standstill", timeout=60)
    return seen[-1]
