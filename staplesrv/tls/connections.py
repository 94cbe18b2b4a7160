"""The connections that are open, against the limits, and what became of those that were not served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from enum import StrEnum
from typing import Protocol

from OpenSSL import SSL
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from staplesrv.deadlines import Deadlines
from staplesrv.rates import Rates
from staplesrv.tls.limits import Limits
from staplesrv.tls.lingering import LINGER_SECONDS, Lingering
from staplesrv.tls.poller import poller_for


class Closed(StrEnum):
    """Why the server closed a connection, or lost it. The names go to metrics."""

    CONNECTIONS = "too-many-connections"
    ADDRESS = "too-many-from-address"
    HANDSHAKES = "too-many-handshakes"
    RATE = "handshake-rate"
    """More handshakes a second than one address may begin."""
    DESCRIPTORS = "no-descriptors"
    """The process may open no more files."""
    PREAMBLE = "bad-preamble"
    """The bytes before the handshake were not what was agreed on."""
    TIMEOUT = "handshake-timeout"
    HANDSHAKE = "handshake-failed"
    CERTIFICATE = "client-certificate"
    """A client showed no certificate where one is required, or one that is not good."""
    PLAIN_HTTP = "plain-http"
    """A client spoke HTTP where TLS was due."""
    LOST = "lost"
    """The client went away without a close_notify: a reset, or an end of file that may be a truncation."""
    FAULT = "tls-error"
    """The client broke the rules of TLS after the handshake."""


_HTTP = "http request"
_KNOWN = {
    _HTTP: Closed.PLAIN_HTTP,
    "certificate verify failed": Closed.CERTIFICATE,
    "peer did not return a certificate": Closed.CERTIFICATE,
}
"""What some of OpenSSL's words stand for."""


class Member(Hashable, Protocol):
    """A connection."""

    def abortConnection(self) -> None:
        """End it at once."""


class Connections:
    """Counts connections in and out. One for all ports that share the limits.

    Args:
        limits: What clients may take.
        clock: The reactor.
        rates: Where handshakes are counted, if not in a table of its own.

    Attributes:
        limits: The same.
        open: Connections that are open now, their handshake done or not.
        accepted: Connections that were let in since the start.
        closed: How many connections ended how; what ended in order is not in it.
        members: Those that have a protocol.
        opening: Those whose handshake, or preamble, is not done.
        lingering: Those that are over but for their client.
        poller: Watches their sockets.
    """

    def __init__(self, limits: Limits, clock: IReactorTime, rates: Rates | None = None) -> None:
        self.limits = limits
        self._rate = limits.rate()
        self._rates = rates or Rates(clock.seconds)
        self.poller = poller_for(clock)
        self.open = 0
        self.accepted = 0
        self.closed: Counter[Closed] = Counter()
        self._by_network: dict[str, int] = {}
        self.members: set[Member] = set()
        self.opening: Deadlines[Member] = Deadlines(clock, limits.handshake_seconds, self._too_slow)
        self.lingering: Deadlines[Lingering] = Deadlines(clock, LINGER_SECONDS, Lingering.abortConnection)
        self._ports = 0
        self._clock = clock
        self._emptied: list[Deferred[None]] = []

    @property
    def handshakes(self) -> int:
        """Handshakes in progress, preambles included."""
        return len(self.opening)

    def admit(self, network: str, *, handshake: bool = True) -> bool:
        """Let a new connection in, or count it as refused.

        Args:
            network: What `network_of` says of its address; empty where it has none.
            handshake: It begins with one.
        """
        limits, open_now = self.limits, self.open
        from_there = self._by_network.get(network, 0)
        if open_now >= limits.connections:
            self.closed[Closed.CONNECTIONS] += 1
        elif open_now >= limits.handshakes and len(self.opening) >= limits.handshakes:
            self.closed[Closed.HANDSHAKES] += 1
        elif from_there >= limits.connections_per_address and network:
            self.closed[Closed.ADDRESS] += 1
        elif self._rate is not None and network and handshake and self._rates.take(network, self._rate):
            self.closed[Closed.RATE] += 1
        else:
            self.open = open_now + 1
            self.accepted += 1
            self._by_network[network] = from_there + 1
            return True
        return False

    def release(self, network: str) -> None:
        """Take note that a connection that was let in has ended."""
        self.open -= 1
        left = self._by_network[network] - 1
        if left:
            self._by_network[network] = left
        else:
            del self._by_network[network]
        if not self.open and self._emptied:
            # Not now: its protocol may not know of the end yet, and behind a preamble there may be a new one.
            self._clock.callLater(0, self._tell_emptied)

    def emptied(self) -> Deferred[None]:
        """Return a Deferred that fires when none is open."""
        if not self.open:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._emptied.append(waiting)
        return waiting

    def abort(self) -> None:
        """End all of them at once."""
        for connection in (*self.members, *self.opening, *self.lingering):
            connection.abortConnection()

    def ended(self, reason: Failure, *, handshaking: bool) -> None:
        """Count how a connection ended; what ended in order is not counted.

        Args:
            reason: What its protocol is told.
            handshaking: Whether the handshake was not done.
        """
        error = reason.value
        if isinstance(error, ConnectionAborted):
            return  # at our own wish; Twisted has it as a kind of ConnectionLost
        if isinstance(error, ConnectionLost):
            self.closed[Closed.LOST] += 1
        elif isinstance(error, SSL.Error):
            known = next((_KNOWN[text] for text in _texts(error) if text in _KNOWN), None)
            self.closed[known or (Closed.HANDSHAKE if handshaking else Closed.FAULT)] += 1

    def port_opened(self) -> None:
        """A port listens."""
        self._ports += 1
        self.opening.hold_on()
        self.lingering.hold_on()

    def port_closed(self) -> None:
        """A port listens no more. After the last one nothing is left in the reactor once all connections are gone."""
        self._ports -= 1
        if not self._ports:
            self.opening.let_go()
            self.lingering.let_go()

    def _tell_emptied(self) -> None:
        if self.open:
            return
        emptied, self._emptied = self._emptied, []
        for waiting in emptied:
            waiting.callback(None)

    def _too_slow(self, connection: Member) -> None:
        self.closed[Closed.TIMEOUT] += 1
        connection.abortConnection()


def spoke_http(error: BaseException) -> bool:
    """Tell whether a handshake failed because the client spoke HTTP."""
    return _HTTP in _texts(error)


def _texts(error: BaseException) -> list[str]:
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else ()
    return [entry[-1] for entry in queue]
