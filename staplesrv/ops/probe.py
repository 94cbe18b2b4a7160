"""Connect to a server as a client that asks for a staple, once per TLS version. Plain sockets, one after the other.

What is seen is judged elsewhere, in `check`. Nothing that a server sends, or leaves unsent, ends in an exception.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cryptography import x509

from staplesrv import sources
from staplesrv.ops.address import Address
from staplesrv.ops.check import Observation, Trouble
from staplesrv.tls.client import HandshakeFailed, Seen, StapleClient, Version

VERSIONS: Final[tuple[Version, ...]] = ("TLSv1.3", "TLSv1.2")
ALPN: Final = (b"h2", b"http/1.1")

MAX_HANDSHAKE: Final = 1 << 20
"""Bytes from the server until a handshake must be over. OpenSSL's own limit for a chain is a tenth of that."""

_CHUNK: Final = 16 * 1024
_SHORTEST: Final = 0.001
# What servers say that lack a version. Those from before TLS 1.3 overlook where it is offered and find no cipher, or
# choose a version that was not offered, which is our own OpenSSL's finding.
_ALERTS: Final = frozenset({"protocol_version", "handshake_failure", "insufficient_security"})
_FINDINGS: Final = frozenset({"unsupported protocol", "wrong ssl version"})


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a server.

    Args:
        address: Where it is.
        server_name: For SNI and for the certificate's names; an IP address is not sent.
        anchors: The trusted certificates.
        timeout: For one connection, from the first packet to the end of the handshake. Looking the name up is not in
            it: the system's resolver has its own limits.
    """

    address: Address
    server_name: str
    anchors: tuple[x509.Certificate, ...] = ()
    timeout: timedelta = timedelta(seconds=10)


class _Unreached(Exception):
    """No connection, or none that lasted; its text says why."""


def observe(
    question: Question, *, versions: Sequence[Version] = VERSIONS, clock: Callable[[], float] = sources.monotonic
) -> tuple[Observation, ...]:
    """Connect once per version, one after the other; blocks.

    A server that can't be connected to is not tried again for the other versions.
    """
    observations: list[Observation] = []
    unreached = ""
    for version in versions:
        if unreached:
            observations.append(Observation(version, None, Trouble.UNREACHED, unreached))
            continue
        try:
            connection = _connect(question, clock)
        except _Unreached as error:
            unreached = str(error)
            observations.append(Observation(version, None, Trouble.UNREACHED, unreached))
        else:
            with connection.socket:
                observations.append(_look(connection, question, version))
    return tuple(observations)


class _Connection:
    """A socket with a deadline over everything that is done with it."""

    def __init__(self, connected: socket.socket, deadline: float, clock: Callable[[], float]) -> None:
        self.socket = connected
        self._deadline = deadline
        self._clock = clock

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._wait()
        self.socket.sendall(data)

    def receive(self) -> bytes:
        """Wait for bytes; none at the end of the connection."""
        self._wait()
        return self.socket.recv(_CHUNK)

    def _wait(self) -> None:
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        self.socket.settimeout(left)


def _connect(question: Question, clock: Callable[[], float]) -> _Connection:
    """Connect to the first address of the host that answers.

    Raises:
        _Unreached: none did.
    """
    address = question.address
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _Unreached(f"the name can't be looked up: {_words(error)}") from error
    deadline = clock() + question.timeout.total_seconds()
    said = "it has no address"
    for at, (family, kind, protocol, _, place) in enumerate(found):
        # Of the time that is left each address has its share: a silent one must not use up that of the others.
        share = (deadline - clock()) / (len(found) - at)
        connecting = socket.socket(family, kind, protocol)
        try:
            connecting.settimeout(max(share, _SHORTEST))
            connecting.connect(place)
        except OSError as error:
            connecting.close()
            said = f"no connection to {place[0]}: {_words(error)}"
        else:
            return _Connection(connecting, deadline, clock)
    raise _Unreached(said)


def _look(connection: _Connection, question: Question, version: Version) -> Observation:
    """Shake hands in one version."""
    client = StapleClient(
        server_name=question.server_name, alpn=ALPN, min_version=version, max_version=version, ca=question.anchors
    )
    try:
        seen = _converse(connection, client)
    except HandshakeFailed as error:
        _say_goodbye(connection, client)
        if error.alert in _ALERTS or error.reason in _FINDINGS:
            return Observation(version, None, Trouble.NOT_SPOKEN, f"not spoken: {error}")
        return Observation(version, None, Trouble.BROKEN, f"no handshake: {error}")
    except TimeoutError:
        detail = f"no handshake within {question.timeout.total_seconds():g} s"
        return Observation(version, None, Trouble.UNREACHED, detail)
    except OSError as error:
        return Observation(version, None, Trouble.BROKEN, f"no handshake: {_words(error)}")
    _say_goodbye(connection, client)
    return Observation(version, seen)


def _converse(connection: _Connection, client: StapleClient) -> Seen:
    """Carry bytes both ways until the handshake is over.

    Raises:
        HandshakeFailed: it failed.
        OSError: the connection did.
    """
    received = 0
    while not client.done:
        if data := client.outgoing():
            connection.send(data)
        data = connection.receive()
        received += len(data)
        if received > MAX_HANDSHAKE:
            raise HandshakeFailed(f"over {MAX_HANDSHAKE} bytes and no end")
        client.incoming(data)
        if not data and not client.done:
            raise HandshakeFailed("the server closed the connection")
    return client.seen


def _say_goodbye(connection: _Connection, client: StapleClient) -> None:
    """Send what is left to be said: the end of the handshake and of the connection, or an alert."""
    client.close()
    # All was seen that there is to see; whether the server hears this changes nothing.
    with suppress(OSError):
        connection.send(client.outgoing())


def _words(error: Exception) -> str:
    """What the system says, in one line."""
    if isinstance(error, TimeoutError):
        return "timed out"
    return str(getattr(error, "strerror", None) or error).lower()
