"""A reactor in which no process is started, and every socket is a fake one."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport


class FakeTransport(StringTransport):
    """Takes descriptors, too.

    Attributes:
        descriptors: How many were sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.descriptors = 0

    def sendFileDescriptor(self, descriptor: int) -> None:
        """Take note that it is open, and sent before the bytes that follow."""
        os.fstat(descriptor)
        self.descriptors += 1


class FakeProcess:
    """A process that was never started."""

    pid = 1 << 22


class FakeReactor(Clock):
    """Time, and connections whose other ends the test plays.

    Attributes:
        protocols: What was connected, in order.
        spawned: The command lines of processes.
        refusal: What the system says to the next ones; None where it starts them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.protocols: list[Any] = []
        self.spawned: list[list[str]] = []
        self.refusal: OSError | None = None

    def adoptStreamConnection(self, descriptor: int, family: int, factory: Any) -> None:
        """Connect a protocol to a fake."""
        assert family == socket.AF_UNIX
        assert not os.get_blocking(descriptor)
        protocol = factory.buildProtocol(None)
        self.protocols.append(protocol)
        protocol.makeConnection(FakeTransport())

    def spawnProcess(self, _protocol: Any, _executable: str, args: list[str], *_: Any, **__: Any) -> FakeProcess:
        """Start nothing."""
        self.spawned.append(args)
        if self.refusal is not None:
            raise self.refusal
        return FakeProcess()
