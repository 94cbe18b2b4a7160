"""Clients that ask all the time, some requests on each connection, and see what is lost."""

from __future__ import annotations

import itertools
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from functional.visitor import Visitor, client_context

_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
ON_A_CONNECTION = 20


class Client(threading.Thread):
    """One client, with one request in flight at most.

    Args:
        port: On loopback.
        rate: Requests a second.
        stop: When to end.

    Attributes:
        answered: Requests that were answered with 200.
        lost: What became of those that were sent and not answered.
        failed: Connections and handshakes that failed.
        staples: The length of the staple in each handshake.
    """

    def __init__(self, port: int, rate: float, stop: threading.Event) -> None:
        super().__init__()
        self.answered = 0
        self.lost: list[str] = []
        self.failed: list[str] = []
        self.staples: list[int] = []
        self.handshakes = 0
        self._port = port
        self._pause = 1 / rate
        self._stop_asking = stop

    def run(self) -> None:
        """Ask until told to stop."""
        context = client_context(self.staples)
        while not self._stop_asking.is_set():
            try:
                visitor = Visitor(self._port, context)
                for _ in visitor.shake_hands():
                    pass
            except (OSError, EOFError) as error:
                self.failed.append(repr(error))
                continue
            self.handshakes += 1
            self._ask(visitor)

    def _ask(self, visitor: Visitor) -> None:
        for _ in range(ON_A_CONNECTION):
            if self._stop_asking.is_set() or self._over(visitor):
                break
            try:
                visitor.send(_REQUEST)
                head = b""
                while b"\r\n\r\n" not in head:
                    head += visitor.receive(1)
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                visitor.receive(length)
            except (OSError, EOFError, IndexError) as error:
                self.lost.append(repr(error))
                break
            if not head.startswith(b"HTTP/1.1 200"):
                self.lost.append(repr(head))
            self.answered += 1
            if b"connection: close" in head.lower():
                break
            time.sleep(self._pause)
        visitor.leave()

    @staticmethod
    def _over(visitor: Visitor) -> bool:
        """Whether the server has closed an idle connection, as it may: then the next request takes another one."""
        if not select.select([visitor.socket], [], [], 0)[0]:
            return False
        try:
            visitor.take_all()
        except (OSError, EOFError):
            return True
        return visitor.ended


class Load:
    """What all clients saw together."""

    def __init__(self, clients: list[Client]) -> None:
        self._clients = clients

    @property
    def answered(self) -> int:
        """Requests that were answered."""
        return sum(client.answered for client in self._clients)

    @property
    def handshakes(self) -> int:
        """Handshakes that were done."""
        return sum(client.handshakes for client in self._clients)

    @property
    def lost(self) -> list[str]:
        """Requests that were sent and not answered."""
        return list(itertools.chain(*(client.lost for client in self._clients)))

    @property
    def failed(self) -> list[str]:
        """Connections and handshakes that failed."""
        return list(itertools.chain(*(client.failed for client in self._clients)))

    @property
    def unstapled(self) -> int:
        """Full handshakes without a staple."""
        return sum(not length for client in self._clients for length in client.staples)


@contextmanager
def steady_load(port: int, *, clients: int = 8, rate: float = 200) -> Iterator[Load]:
    """Have clients ask meanwhile, so many requests a second together."""
    stop = threading.Event()
    asking = [Client(port, rate / clients, stop) for _ in range(clients)]
    for client in asking:
        client.start()
    try:
        yield Load(asking)
    finally:
        stop.set()
        for client in asking:
            client.join()
