"""HTTP for the admin interface: Twisted's own, with less of everything."""

# Twisted Web has no annotations, and each call would need a waiver of its own.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.resource import IResource

MOST: Final = 16
"""Connections at once; more of them are closed."""

SECONDS: Final = 15.0
"""For a request to come."""

SECONDS_TO_READ: Final = 60.0
"""For the answer to be read."""

LONGEST_BODY: Final = 4096
"""Bytes. Nothing that may be asked for takes any."""

_BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_LARGE: Final = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class AdminChannel(http.HTTPChannel):
    """One connection, for one request: behind more of them answers would pile up that nobody reads.

    Of HTTP/1.1 alone, as there is no TLS.
    """

    factory: AdminSite
    transport: Any

    def connectionMade(self) -> None:
        """Count it."""
        self.factory.open += 1
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Count it out."""
        self.factory.open -= 1
        super().connectionLost(reason)

    def resetTimeout(self) -> None:
        """Do nothing: bytes that trickle in buy no time."""

    def timeoutConnection(self) -> None:
        """End it, without a word in the log."""
        self.transport.abortConnection()

    def loseConnection(self) -> None:
        """End it as soon as everything was read, and a while later in any case."""
        self.setTimeout(SECONDS_TO_READ)
        super().loseConnection()

    def checkPersistence(self, request: http.Request, version: bytes) -> bool:  # noqa: ARG002 - in none of them
        """Say that no other request is taken."""
        request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return False

    def headerReceived(self, line: bytes) -> bool:
        """Refuse a length of more digits than can be read."""
        try:
            return bool(super().headerReceived(line))
        except ValueError:
            self.transport.write(_BAD_REQUEST)
            self.loseConnection()
            return False

    def allHeadersReceived(self) -> None:
        """Refuse what would be large."""
        super().allHeadersReceived()
        if self.length is None or self.length > LONGEST_BODY:
            self.transport.write(_TOO_LARGE)
            self.loseConnection()


class AdminSite(server.Site):
    """The site.

    Args:
        resource: The root.
        reactor: For time.

    Attributes:
        open: Connections that are open.
    """

    noisy = False
    protocol: Any = AdminChannel

    def __init__(self, resource: IResource, reactor: IReactorTime) -> None:
        super().__init__(resource, reactor=reactor, timeout=SECONDS, parsePOSTFormSubmission=False)
        self.open = 0

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make what speaks on a connection; None has it closed."""
        return None if self.open >= MOST else super().buildProtocol(addr)

    def log(self, request: http.Request) -> None:
        """Write nothing."""
