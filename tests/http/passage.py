"""A proxy between a client and backends that do what a test says, without a socket."""

from __future__ import annotations

from typing import Any

from fake_exchange import FakeConnection, FakeExchange, request
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from wire import WireTransport

from staplesrv.http.proxy.address import BackendAddress
from staplesrv.http.proxy.proxy import Proxy
from staplesrv.http.proxy.settings import ProxySettings
from staplesrv.http.request import Request

SMALL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Line(WireTransport):
    """The backend's end of a connection to it; what it got is in `written`."""

    stale = False
    """The backend has closed it, which the reactor has not told yet."""

    def is_open(self) -> bool:
        """As the proxy's own transports have it."""
        return not self.stale

    def say(self, *pieces: bytes) -> None:
        """Have the backend send pieces, each as one read of the proxy's; what comes after the end is lost."""
        for piece in pieces:
            if not self.ended:
                self.protocol.dataReceived(piece)

    def close(self) -> None:
        """Have the backend close the connection in order."""
        IHalfCloseableProtocol(self.protocol).readConnectionLost()

    def reset(self) -> None:
        """Have the connection break."""
        self._end("reset", ConnectionLost())

    def vanish(self) -> None:
        """Have both directions closed at once, in order."""
        self._end("vanished", ConnectionDone())


class FakeBackend:
    """A backend: connections to it wait in `asked` until they are accepted.

    Attributes:
        prompt: Connections are accepted at once.
        lines: Those that were accepted.
    """

    def __init__(self, *, prompt: bool = True) -> None:
        self.prompt = prompt
        self.asked: list[tuple[Any, Deferred[Any]]] = []
        self.lines: list[Line] = []
        self.cancelled = 0

    @property
    def line(self) -> Line:
        """The last one."""
        return self.lines[-1]

    def connect(self, factory: Any) -> Deferred[Any]:
        """As an endpoint does."""
        made: Deferred[Any] = Deferred(self._cancel)
        self.asked.append((factory, made))
        if self.prompt:
            self.accept()
        return made

    def accept(self) -> Line:
        """Accept the connection that waits longest."""
        factory, made = self.asked.pop(0)
        line = Line(None)
        line.protocol = factory.buildProtocol(None)
        self.lines.append(line)
        line.protocol.makeConnection(line)
        made.callback(line.protocol)
        return line

    def refuse(self) -> None:
        """Refuse the connection that waits longest."""
        _, made = self.asked.pop(0)
        made.errback(Failure(ConnectError(string="refused")))  # type: ignore[no-untyped-call]

    def _cancel(self, _made: Deferred[Any]) -> None:
        self.cancelled += 1
        self.asked.clear()


class Passage:
    """A proxy and its backends."""

    def __init__(self, count: int = 1, *, prompt: bool = True, scheme: str = "http", **settings: Any) -> None:
        self.clock = Clock()
        self.backends = [FakeBackend(prompt=prompt) for _ in range(count)]
        addresses = [BackendAddress.parse(f"{scheme}://b{number}.internal:8080") for number in range(count)]
        places = dict(zip(addresses, self.backends, strict=True))
        self.proxy = Proxy(
            addresses,
            dial=places.__getitem__,
            clock=self.clock,
            settings=ProxySettings(**settings),
            random_bytes=lambda count: b"\0" * count,
        )

    @property
    def backend(self) -> FakeBackend:
        """The first one."""
        return self.backends[0]

    @property
    def line(self) -> Line:
        """The last connection to it."""
        return self.backend.line

    def ask(self, of: Request | None = None, **connection: Any) -> FakeExchange:
        """Have the proxy handle a request whose content is yet to come."""
        exchange = FakeExchange(of or request(), FakeConnection(**connection))
        exchange.give(self.proxy)
        return exchange

    def get(self, target: bytes = b"/", **others: Any) -> FakeExchange:
        """Have the proxy handle a request without content."""
        exchange = self.ask(request(target, **others))
        if exchange.handler is not None:
            exchange.handler.body_end(())
        return exchange

    def kept(self) -> Line:
        """Return a connection that is kept after a request."""
        self.get()
        self.line.say(SMALL)
        self.line.written = b""
        return self.line
