"""An exchange without a connection, for tests of applications: it keeps what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from staplesrv.http.client_certificate import ClientCertificate
from staplesrv.http.exchange import Application, Exchange, Handler
from staplesrv.http.fields import Fields
from staplesrv.http.request import Request
from staplesrv.http.response import Response, checked, is_silent


@dataclass
class FakeConnection:
    """The facts of a connection, as a test wants them."""

    secure: bool = True
    client: tuple[str, int] = ("192.0.2.1", 40000)
    server: tuple[str, int] = ("192.0.2.2", 443)
    server_name: bytes | None = b"example.org"
    tls_version: str = "TLSv1.3"
    cipher: str = "TLS_AES_128_GCM_SHA256"
    group: str = "X25519"
    alpn: bytes = b"http/1.1"
    staple: str = "stapled"
    asked_for_certificate: bool = False
    client_certificate: ClientCertificate | None = None
    peer_certificate: object = None


def request(target: bytes = b"/", method: bytes = b"GET", fields: Fields = (), **others: object) -> Request:
    """Make a request of example.org."""
    fields = fields if any(name == b"host" for name, _ in fields) else ((b"host", b"example.org"), *fields)
    return Request(method, target, dict(fields)[b"host"], fields, **others)  # type: ignore[arg-type]


@dataclass
class Told:
    """What an exchange was told by its application."""

    informed: list[tuple[int, Fields]] = field(default_factory=list)
    status: int = 0
    fields: Fields = ()
    body: bytes = b""
    trailers: Fields = ()
    finished: bool = False
    aborted: bool = False
    tunnelled: bool = False
    body_paused: bool = False

    def field(self, name: bytes) -> bytes | None:
        """The one value of a field of the response, by its name in lower case."""
        found = [value for key, value in self.fields if key.lower() == name]
        assert len(found) <= 1
        return found[0] if found else None


class FakeExchange(Exchange):
    """Keeps what it is told in `told`, and refuses calls in a wrong order. `give` has an application handle it."""

    __slots__ = ("handler", "told")

    def __init__(self, of: Request | None = None, connection: FakeConnection | None = None) -> None:
        super().__init__(of or request(), connection or FakeConnection())
        self.told = Told()
        self.handler: Handler | None = None

    def give(self, application: Application) -> Told:
        """Have an application handle the exchange; returns what it has told it by then."""
        self.handler = application.handle(self)
        assert self.handler is not None or self.told.finished or self.told.aborted
        return self.told

    def inform(self, status: int, fields: Fields = ()) -> None:
        """As the interface says."""
        assert 100 <= status < 200 and status != 101 and not self.status  # noqa: PT018
        self.told.informed.append((status, checked(fields)))

    def send(self, response: Response) -> None:
        """As the interface says."""
        self.start(response.status, response.whole_fields)
        self.write(response.body)
        self.finish()

    def start(self, status: int, fields: Fields) -> None:
        """As the interface says."""
        assert 200 <= status < 600 and not self.status  # noqa: PT018
        self.told.fields = checked(fields)
        self.status = self.told.status = status

    def write(self, data: bytes) -> None:
        """As the interface says."""
        assert self.status and not self.told.finished  # noqa: PT018
        if not is_silent(self.request.method, self.status):
            self.sent += len(data)
            self.told.body += data

    def finish(self, trailers: Fields = ()) -> None:
        """As the interface says."""
        assert self.status and not self.told.finished  # noqa: PT018
        self.told.trailers = checked(trailers)
        self.told.finished = True
        if self.done is not None:
            self.done(self)

    def abort(self) -> None:
        """As the interface says."""
        self.told.aborted = True
        if self.done is not None:
            self.done(self)

    def tunnel(self, fields: Fields) -> None:
        """As the interface says."""
        assert self.request.upgrade and not self.status  # noqa: PT018
        self.status = self.told.status = 200 if self.request.version == "2" else 101
        self.told.fields = checked(fields)
        self.told.tunnelled = True

    def pause_body(self) -> None:
        """As the interface says."""
        self.told.body_paused = True

    def resume_body(self) -> None:
        """As the interface says."""
        self.told.body_paused = False
