"""A protocol behind a `StapleServerEndpoint`, for what a web server does not do: it does as the client says.

    python transport_server.py CERTIFICATE PRIVATE_KEY PORT STATE_DIRECTORY [LIMIT=NUMBER]...

Each line is a command, and its answer a line:

    echo        from here on everything comes back
    take SIZE   so many bytes follow; their SHA-256 is the answer
    give SIZE   so many bytes are the answer, by a push producer
    hold SIZE   the same as `take`, but it begins to read when another connection says `release`
    last SIZE   so many bytes are the answer, written at once, and the connection is closed
    turns       how often the reactor has gone round
    open        how many connections there are, this one included
    closed      what connections were closed for, as `Connections` counts it
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.python.log import startLogging
from zope.interface import implementer

from staplesrv import SiteCertificate, Stapler, StapleServerEndpoint
from staplesrv.tls.connections import Connections
from staplesrv.tls.limits import Limits

CHUNK = bytes(range(256)) * 256


class Obedient(LineReceiver):
    """One connection."""

    delimiter = b"\n"
    factory: Serving

    def connectionMade(self) -> None:
        """Count it."""
        self.factory.open += 1
        self.echoing = False
        self.left = 0
        self.digest = hashlib.sha256()

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        """Count it no more."""
        self.factory.open -= 1

    def lineReceived(self, line: bytes) -> None:
        """Obey; what is no command ends the connection."""
        word, *arguments = line.split() or [b""]
        command = getattr(self, f"do_{word.decode('latin-1')}", None)
        if command is None:
            self.transport.loseConnection()
        else:
            command(*map(int, arguments))

    def rawDataReceived(self, data: bytes) -> None:
        """Send back, or count."""
        if self.echoing:
            self.transport.write(data)
            return
        self.digest.update(data[: self.left])
        rest, self.left = data[self.left :], max(0, self.left - len(data))
        if not self.left:
            self.sendLine(self.digest.hexdigest().encode())
            self.setLineMode(rest)

    def do_echo(self) -> None:
        """Answer with what comes."""
        self.echoing = True
        self.setRawMode()

    def do_take(self, size: int) -> None:
        """Read much."""
        self.left, self.digest = size, hashlib.sha256()
        self.setRawMode()

    def do_hold(self, size: int) -> None:
        """Read much, later."""
        self.factory.held.append(self)
        self.transport.pauseProducing()
        self.do_take(size)

    def do_release(self) -> None:
        """Have those that hold go on."""
        while self.factory.held:
            self.factory.held.pop().transport.resumeProducing()
        self.sendLine(b"released")

    def do_give(self, size: int) -> None:
        """Send much."""
        Giving(self.transport, size)

    def do_last(self, size: int) -> None:
        """Send much, and close."""
        while size:
            self.transport.write(CHUNK[:size])
            size -= len(CHUNK[:size])
        self.transport.loseConnection()

    def do_turns(self) -> None:
        """Tell how far the reactor has come."""
        self.sendLine(b"%d" % self.factory.turns)

    def do_open(self) -> None:
        """Tell how many connections there are, this one included."""
        self.sendLine(b"%d" % self.factory.open)

    def do_closed(self) -> None:
        """Tell what connections were closed for."""
        self.sendLine(json.dumps(self.factory.connections.closed).encode())


@implementer(IPushProducer)
class Giving:
    """Writes so many bytes, as fast as they are taken."""

    def __init__(self, transport: Any, size: int) -> None:
        self.transport = transport
        self.left = size
        self.paused = False
        transport.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        """Go on."""
        self.paused = False
        while self.left and not self.paused:
            chunk = CHUNK[: self.left]
            self.left -= len(chunk)
            self.transport.write(chunk)
        if not self.left:
            self.stopProducing()

    def pauseProducing(self) -> None:
        """Wait."""
        self.paused = True

    def stopProducing(self) -> None:
        """End."""
        self.paused = True
        self.transport.unregisterProducer()


class Serving(Factory):
    """Knows its connections.

    Args:
        connections: What they count as.
        reactor: Whose rounds are counted, where it goes in rounds of its own.
    """

    protocol = Obedient
    noisy = False

    def __init__(self, connections: Connections, reactor: Any) -> None:
        self.connections = connections
        self.open = 0
        self.turns = 0
        self.held: list[Obedient] = []
        begin = reactor.runUntilCurrent

        def counted() -> None:
            self.turns += 1
            begin()

        # Nothing else tells how far a reactor has come without changing how it goes.
        reactor.runUntilCurrent = counted


async def main(reactor: Any, certificate: str, private_key: str, port: str, state_dir: str, *limits: str) -> None:
    """Serve until killed."""
    startLogging(sys.stdout)
    stapler = Stapler([SiteCertificate(certificate, private_key)], state_dir=state_dir, reactor=reactor)
    held_to = Limits(**{name: float(value) for name, value in (limit.split("=") for limit in limits)})  # type: ignore[arg-type]
    where = f"tcp:{port}:interface=127.0.0.1"
    endpoint = StapleServerEndpoint(reactor, where, stapler, own_stapler=True, limits=held_to)
    await endpoint.listen(Serving(endpoint.connections, reactor))
    await Deferred()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
