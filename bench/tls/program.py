"""The server that is measured: a small protocol of Twisted's, over staplesrv's TLS or over Twisted's own.

Started by the command in this folder. It speaks as much HTTP/1.1 as the load does: a small answer for `/`, a large
one in one write for `/large`, and the same from a pull producer for `/pieces`.
"""

from __future__ import annotations

import argparse
import cProfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from staplesrv import SiteCertificate, Stapler, StapleServerEndpoint

PIECE = 1 << 18

reactor: Any = global_reactor


def head(length: int) -> bytes:
    """Return about the head that nginx sends."""
    return (
        b"HTTP/1.1 200 OK\r\nServer: measured/1.0\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        b"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n" % length
    )


SMALL = head(6) + b"\r\nhello\n"
CLOSING = head(6) + b"Connection: close\r\n\r\nhello\n"


class Answer(Protocol):
    """Answers requests one after the other."""

    factory: Answers
    transport: Any
    _received = b""

    def dataReceived(self, data: bytes) -> None:
        """Answer what is complete."""
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        for request in requests:
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        if request.startswith(b"GET / "):
            # Not `in`, which takes the bytes for a number first, and has an exception made of that.
            if request.lower().find(b"connection: close") >= 0:
                self.transport.write(CLOSING)
                self.transport.loseConnection()
            else:
                self.transport.write(SMALL)
            return
        large = self.factory.large
        self.transport.write(head(len(large)) + b"\r\n")
        if request.startswith(b"GET /large "):
            self.transport.write(large)
        else:
            self.transport.registerProducer(Pieces(self.transport, self.factory.pieces), False)


@implementer(IPullProducer)
class Pieces:
    """Writes a piece whenever it is asked to."""

    def __init__(self, transport: Any, pieces: list[bytes]) -> None:
        self._transport = transport
        self._left = iter(pieces)

    def resumeProducing(self) -> None:
        """Write the next piece."""
        piece = next(self._left, None)
        if piece is None:
            self._transport.unregisterProducer()
        else:
            self._transport.write(piece)

    def stopProducing(self) -> None:
        """Write no more."""
        self._left = iter(())


class Answers(Factory):
    """Has the bodies, which all connections share."""

    noisy = False
    protocol: Any = Answer

    def __init__(self, large: bytes) -> None:
        self.large = large
        self.pieces = [large[start : start + PIECE] for start in range(0, len(large), PIECE)]


async def serve(chosen: argparse.Namespace) -> None:
    """Listen, and begin the profile."""
    site = SiteCertificate(chosen.certificate, chosen.key, staple_file=chosen.staple)
    stapler = Stapler([site], reactor=reactor)
    factory = Answers(chosen.large.read_bytes())
    if chosen.tls == "own":
        where = f"tcp:{chosen.port}:interface=127.0.0.1"
        await StapleServerEndpoint(reactor, where, stapler, own_stapler=True).listen(factory)
    else:
        stapler.startService()
        await stapler.ready()
        tls = TLSMemoryBIOFactory(stapler.context_factory(), False, factory, reactor)
        reactor.listenTCP(chosen.port, tls, backlog=1024, interface="127.0.0.1")
    if chosen.profile:
        profile = cProfile.Profile()
        reactor.addSystemEventTrigger("after", "shutdown", lambda: profile.dump_stats(chosen.profile))
        reactor.addSystemEventTrigger("before", "shutdown", profile.disable)
        profile.enable()


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls", choices=["own", "stock"], required=True)
    for name in ("certificate", "key", "staple", "large"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--profile", type=Path)
    chosen = parser.parse_args()

    def failed(reason: object) -> None:
        print(reason)
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(serve(chosen)).addErrback(failed))
    reactor.run()


if __name__ == "__main__":
    main()
