"""The wire between supervisor and worker: messages with their length in front, and descriptors beside them."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

_LENGTH = struct.Struct("!I")


@implementer(IFileDescriptorReceiver)
class Channel(Protocol):
    """One end of a socket pair.

    Descriptors that are sent before a message are there when the message is.

    Args:
        received: Called with each message.
        lost: Called when the other end has gone, or has sent what is too long.
        longest: Bytes of a message from there; None for any length.

    Attributes:
        descriptors: What has come and was not taken yet.
        full: Whether the other end is slow to read; what is not needed may be left out then.
    """

    def __init__(
        self, received: Callable[[bytes], object], lost: Callable[[], object], *, longest: int | None = None
    ) -> None:
        self.descriptors: list[int] = []
        self.full = False
        self._received = received
        self._lost = lost
        self._longest = longest
        self._buffer = bytearray()
        self._finished: Deferred[None] | None = None

    def connectionMade(self) -> None:
        """Have the transport tell of a full buffer."""
        self.transport.registerProducer(self, True)  # type: ignore[union-attr]

    def send(self, message: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a message; descriptors must stay open until it is gone.

        Args:
            message: At least as many bytes as there are descriptors.
            descriptors: Sent along.
        """
        transport: Any = self.transport
        if transport is None or not transport.connected:
            return
        for descriptor in descriptors:
            transport.sendFileDescriptor(descriptor)
        transport.write(_LENGTH.pack(len(message)))
        transport.write(message)

    def finish(self) -> Deferred[None]:
        """Hang up when all is sent; the Deferred fires then, or when the other end has gone."""
        if self.transport is None or not self.transport.connected:  # type: ignore[attr-defined]
            return succeed(None)
        self._finished = Deferred()
        self.transport.unregisterProducer()  # type: ignore[attr-defined]
        self.transport.loseConnection()
        return self._finished

    def close(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Keep it for the message that it belongs to."""
        os.set_inheritable(descriptor, False)
        self.descriptors.append(descriptor)

    def dataReceived(self, data: bytes) -> None:
        """Pass on each message that is whole."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer)
            if self._longest is not None and length > self._longest:
                self.close()
                return
            end = _LENGTH.size + length
            if len(buffer) < end:
                return
            message = bytes(memoryview(buffer)[_LENGTH.size : end])
            del buffer[:end]
            self._received(message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted hands it over
        """The other end has gone."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []
        if self._finished is not None:
            self._finished.callback(None)
        self._lost()

    def pauseProducing(self) -> None:
        """The other end is slow to read."""
        self.full = True

    def resumeProducing(self) -> None:
        """It has caught up."""
        self.full = False

    def stopProducing(self) -> None:
        """It has gone."""
        self.full = True
