"""One request and its response, whatever the HTTP version: what applications are given.

Theory of operation: an HTTP version makes an `Exchange` for each request and hands it to an `Application`. The
application answers at once, by `send`, or returns a `Handler`, which is told of the request's body and of the client's
pace and answers when it likes. Applications know of no connection: whether it stays open, how bodies are framed, what
happens to a body that nobody reads is the version's.

All calls are made in the reactor's thread. The client may go away at any time: calls on an exchange that is over do
nothing. What an application raises is logged once, and costs its own exchange: a 500, or an abort where the response
has begun.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from staplesrv.http.client_certificate import ClientCertificate
from staplesrv.http.fields import Fields
from staplesrv.http.request import Request
from staplesrv.http.response import Response, field_lines


class Connection(Protocol):
    """The facts of a connection: what the room knows of the TLS under it, and of the client.

    Asking may cost some microseconds: nothing of it is kept for those who do not ask.
    """

    @property
    def secure(self) -> bool:
        """Whether it is TLS."""

    @property
    def client(self) -> tuple[str, int]:
        """The client's address and port; ("", 0) on a UNIX socket. As the PROXY protocol said, where it did."""

    @property
    def server(self) -> tuple[str, int]:
        """The address and port that it connected to."""

    @property
    def server_name(self) -> bytes | None:
        """The SNI name as sent; None where the client sent none."""

    @property
    def tls_version(self) -> str:
        """Like `TLSv1.3`; empty without TLS."""

    @property
    def cipher(self) -> str:
        """OpenSSL's name of the cipher suite; empty without TLS."""

    @property
    def group(self) -> str:
        """The key exchange group; empty without TLS, or where it is not known."""

    @property
    def alpn(self) -> bytes:
        """The protocol that ALPN chose; empty where none was."""

    @property
    def staple(self) -> str:
        """What became of the staple: `stapled`, `resumed`, `not-asked`, or `missing:` and why; empty without TLS."""

    @property
    def asked_for_certificate(self) -> bool:
        """Whether the handshake asked the client for a certificate."""

    @property
    def client_certificate(self) -> ClientCertificate | None:
        """The one that it showed, which is verified; None where it showed none."""

    @property
    def peer_certificate(self) -> Any:
        """The same as Twisted's transports return it: pyOpenSSL's `X509`."""


class Handler(Protocol):
    """An application's side of an exchange that goes on after `Application.handle`. Called by the HTTP version."""

    def body(self, data: bytes) -> None:
        """Take the next bytes of the request's body; of a tunnel, the next bytes. Never empty."""

    def body_end(self, trailers: Fields) -> None:
        """The request's body is complete. Called once, also where none came.

        Once more where the exchange became a tunnel after that, as HTTP/1.1's do: then the client sends no more.
        """

    def pause(self) -> None:
        """Write no more until `resume`: the client does not keep up. May come from within `write`."""

    def resume(self) -> None:
        """Write on."""

    def lost(self) -> None:
        """The exchange is over before the response was finished: the client is gone. The last call."""


class Application(Protocol):
    """Answers requests."""

    def handle(self, exchange: Exchange) -> Handler | None:
        """Answer a request, or take it on.

        Returns:
            Who goes on with it. None where the response is sent; the request's body, if any, is of no interest then.
        """


class FieldLines:
    """Header fields that are added to responses of a site, in each version's form.

    A field of the response that has the same name is replaced.

    Args:
        fields: Checked.
    """

    __slots__ = ("fields", "lines", "lower", "names")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.lower: Fields = tuple((name.lower(), value) for name, value in fields)
        self.lines = field_lines(fields)
        self.names = frozenset(name for name, _ in self.lower)


NO_FIELDS = FieldLines(())


class Exchange(ABC):
    """One request and its response. Each HTTP version has its own kind.

    The response is either `send`, or `start`, any number of `write`, and `finish`; 1xx may come before it.

    Args:
        request: The head; of the body, bytes go to the `Handler`.
        connection: The facts.

    Attributes:
        body_limit: Bytes that the request's body may have. Past it the client gets a 413, or, where the response has
            begun, an abort; the handler's `lost` is called. None: no limit. To be set in `handle`.
        added: Fields that are added to every final response. To be set in `handle`.
        holds_continue: The application itself answers `Expect: 100-continue`, by `inform` or a final response.
            Otherwise the version does so when `handle` has returned a handler. To be set in `handle`.
        status: Of the final response; 0 until it begins.
        sent: Bytes of the response's body so far.
        done: Called once when the exchange is over, finished or not.
    """

    __slots__ = ("added", "body_limit", "connection", "done", "holds_continue", "request", "sent", "status")

    def __init__(self, request: Request, connection: Connection) -> None:
        self.request = request
        self.connection = connection
        self.body_limit: int | None = None
        self.added: FieldLines = NO_FIELDS
        self.holds_continue = False
        self.status = 0
        self.sent = 0
        self.done: Callable[[Exchange], None] | None = None

    @abstractmethod
    def inform(self, status: int, fields: Fields = ()) -> None:
        """Send an interim response, from 100 to 199 but for 101; to an HTTP/1.0 client nothing is sent.

        Raises:
            BadResponse: a field can't be sent.
        """

    @abstractmethod
    def send(self, response: Response) -> None:
        """Send a whole response; the exchange is over."""

    @abstractmethod
    def start(self, status: int, fields: Fields) -> None:
        """Begin a final response whose body follows by `write`.

        Args:
            status: From 200 on.
            fields: In any case; with Content-Length where that is known. A body of another length is an application's
                fault, and cut off so that the client notices. Without Connection, Transfer-Encoding and Keep-Alive.

        Raises:
            BadResponse: a field can't be sent.
        """

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send more of the body. Of an answer to HEAD, and of a 204 or 304, nothing goes out."""

    @abstractmethod
    def finish(self, trailers: Fields = ()) -> None:
        """End the response; of a tunnel: send no more.

        Args:
            trailers: They go out where the version and the client take them.
        """

    @abstractmethod
    def abort(self) -> None:
        """Break the exchange off so that the client notices: not all of the response came."""

    @abstractmethod
    def tunnel(self, fields: Fields) -> None:
        """Accept what `request.upgrade` asks for; bytes go both ways from now on, by `write` and `Handler.body`.

        The status is the version's: 101 with Upgrade and Connection, or 200 (RFC 8441 §5). The tunnel ends when each
        side has ended: ours by `finish`, the client's by `Handler.body_end`.
        """

    @abstractmethod
    def pause_body(self) -> None:
        """Hold back the request's body, and so the client, until `resume_body`."""

    @abstractmethod
    def resume_body(self) -> None:
        """Let the request's body come."""
