"""A TLS handshake in memory: what a client sees of a server, without a socket."""

from __future__ import annotations

from typing import Any, Final, cast

from twisted.internet import task
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IOpenSSLContextFactory, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from staplesrv.tls.client import HandshakeFailed, Seen, StapleClient

GREETING: Final = b"hello"
"""What the client says when the handshake is over, and the server repeats."""

_DONE: Final = Failure(ConnectionDone())  # type: ignore[no-untyped-call]


def handshake(server: Any, *, client: StapleClient | None = None, **options: Any) -> Seen:
    """Let a client and a server meet in memory: a whole handshake and a few bytes both ways.

    The server's side is Twisted's own TLS, which is what `listenSSL` and `startTLS` use.

    Args:
        server: An `OpenSSL.SSL.Context`, a provider of IOpenSSLServerConnectionCreator, or an object with
            `getContext`, such as `twisted.internet.ssl.CertificateOptions`. A context is closed to changes
            afterwards.
        client: The client, fresh; its `session` can be resumed afterwards.
        options: Those of `StapleClient`, where no client is given: `server_name`, `alpn`, `min_version` ...

    Returns:
        What the client saw.

    Raises:
        HandshakeFailed: If the handshake failed; a note on it says what the server made of it.
        TypeError: If there is a client and options too.
        Exception: Whatever a callback of the server raised.
    """
    if client is not None and options:
        raise TypeError("options are for a new client")
    chosen = client or StapleClient(**options)
    wire = _Wire(server)
    try:
        wire.carry(chosen)
        chosen.send(GREETING)
        wire.carry(chosen)
    except HandshakeFailed as error:
        if reason := wire.hang_up(chosen):
            error.add_note(f"the server says: {reason}")
        raise
    return chosen.seen


class _Wire:
    """A server, and the way to it."""

    def __init__(self, server: Any) -> None:
        self._transport: Any = StringTransport()  # type: ignore[no-untyped-call]
        self._clock = task.Clock()
        self._echo = _Echo()
        factory = TLSMemoryBIOFactory(_creator(server), False, Factory.forProtocol(lambda: self._echo), self._clock)
        self._protocol = cast("Any", factory.buildProtocol(None))
        self._protocol.makeConnection(self._transport)

    def carry(self, client: StapleClient) -> None:
        """Carry bytes both ways until neither side has more to say."""
        while data := client.outgoing():
            self._protocol.dataReceived(data)
            if answer := self._answer():
                client.incoming(answer)
        if not client.done:
            client.incoming(b"")

    def hang_up(self, client: StapleClient) -> str:
        """End the connection after the client's last bytes, and say why it ended if the server knows."""
        if data := client.outgoing():
            self._protocol.dataReceived(data)
        self._protocol.connectionLost(_DONE)
        return self._echo.reason

    def _answer(self) -> bytes:
        # Twisted gathers small writes until the next turn of the reactor.
        self._clock.advance(0)
        answer = bytes(self._transport.value())
        self._transport.clear()
        return answer


class _Echo(Protocol):
    """Repeats what it hears."""

    reason = ""

    def dataReceived(self, data: bytes) -> None:
        """Repeat it."""
        if self.transport is not None:
            self.transport.write(data)

    def connectionLost(self, reason: Failure = _DONE) -> None:
        """Keep the reason, if it is one."""
        if not isinstance(reason.value, ConnectionDone):
            self.reason = reason.getErrorMessage()


@implementer(IOpenSSLContextFactory)
class _ContextFactory:
    """One context, in the form that Twisted takes it."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def getContext(self) -> Any:
        """The context."""
        return self._context


def _creator(server: Any) -> Any:
    if IOpenSSLServerConnectionCreator.providedBy(server) or hasattr(server, "getContext"):
        return server
    return _ContextFactory(server)
