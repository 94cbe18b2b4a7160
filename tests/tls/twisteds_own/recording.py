"""A protocol and a producer that keep what they were told, and ways to wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from zope.interface import implementer


async def until(condition: Callable[[], object], reactor: Any) -> None:
    """Let the reactor turn until a condition holds; the test case has its timeout."""
    while not condition():
        await deferLater(reactor, 0.001)


async def turns(reactor: Any) -> None:
    """Let the reactor turn often enough for whatever loopback takes."""
    for _ in range(50):
        await deferLater(reactor, 0)


@implementer(IHandshakeListener)
class Recording(Protocol):
    """Keeps what it is told; calls `made` and `handshook` of itself for what a test does then."""

    def __init__(self, made: Any = None, handshook: Any = None) -> None:
        self.calls: list[Any] = []
        self.data = b""
        self._made = made
        self._handshook = handshook

    def connectionMade(self) -> None:
        """Note it."""
        self.calls.append("made")
        if self._made is not None:
            self._made(self.transport)

    def handshakeCompleted(self) -> None:
        """Note it."""
        self.calls.append("handshook")
        if self._handshook is not None:
            self._handshook(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Note it."""
        self.calls.append("data")
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        """Note it."""
        self.calls.append(("lost", reason.type))


@implementer(IPushProducer)
class Producer:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        """Note it."""
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        """Note it."""
        self.calls.append("resume")

    def stopProducing(self) -> None:
        """Note it."""
        self.calls.append("stop")
