"""A guard between a transport and Twisted's HTTP client: counts what comes in, and closes without waiting for anybody.

Twisted's client reads any number of headers, and a TLS connection waits for its peer's goodbye before it closes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from staplesrv.staples.failure import FailureKind, FetchFailed


class Guard(ProtocolWrapper):
    """One connection under guard.

    Args:
        factory: What made it.
        wrapped: The HTTP client's protocol.
        open_guards: Has this guard in it while the connection is open.
        most: Bytes that may come in after the last thing that went out.
        tls: Whether the connection below is TLS.
    """

    def __init__(self, factory: Any, wrapped: IProtocol, open_guards: set[Guard], most: int, *, tls: bool) -> None:
        super().__init__(factory, wrapped)
        self._open = open_guards
        self._most = most
        self._tls = tls
        self._received = 0
        self.lost: Deferred[None] = Deferred()

    def makeConnection(self, transport: object) -> None:
        """Note that it is open."""
        self._open.add(self)
        super().makeConnection(transport)  # type: ignore[no-untyped-call]

    def write(self, data: bytes) -> None:
        """Send; from here on is counted anew."""
        self._received = 0
        super().write(data)  # type: ignore[no-untyped-call]

    def writeSequence(self, data: Sequence[bytes]) -> None:
        """Send; from here on is counted anew."""
        self._received = 0
        super().writeSequence(data)  # type: ignore[no-untyped-call]

    def dataReceived(self, data: bytes) -> None:
        """Pass on what comes in, up to the cap; what goes over it costs the connection."""
        self._received += len(data)
        if self._received > self._most:
            self.abortConnection()
        else:
            super().dataReceived(data)  # type: ignore[no-untyped-call]

    def abortConnection(self) -> None:
        """Close at once."""
        self.disconnecting = True
        self.transport.abortConnection()  # type: ignore[union-attr]

    def loseConnection(self) -> None:
        """Close: TLS at once, TCP politely, as nothing is unsent when the client says so."""
        if self._tls:
            self.abortConnection()
        else:
            super().loseConnection()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass on that it is over, with the true reason where it was the cap."""
        self._open.discard(self)
        if self._received > self._most:
            too_much = FetchFailed(FailureKind.BAD_RESPONSE, f"headers and body have more than {self._most} bytes")
            reason = Failure(too_much)  # type: ignore[no-untyped-call]
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self.lost.callback(None)


class GuardFactory(WrappingFactory):
    """Wraps the HTTP client's factory, so that all its connections are guarded.

    Args:
        factory: The client's.
        open_guards: See `Guard`, as the rest.
        most: Bytes.
        tls: Whether it is about TLS.
    """

    def __init__(self, factory: IProtocolFactory, open_guards: set[Guard], most: int, *, tls: bool) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call]
        # Twisted's client factory would log two lines for each connection.
        self.noisy = factory.noisy = False  # type: ignore[attr-defined]
        self._open = open_guards
        self._most = most
        self._tls = tls

    def buildProtocol(self, addr: Any) -> Guard:
        """Make a guarded protocol."""
        return Guard(self, self.wrappedFactory.buildProtocol(addr), self._open, self._most, tls=self._tls)
