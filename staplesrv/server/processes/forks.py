"""The supervisor's way to its fork server."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.interfaces import IReactorProcess
from twisted.internet.protocol import ProcessProtocol, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from staplesrv.server.adopted_socket import adopt
from staplesrv.server.privileges import Identity
from staplesrv.server.processes import fork_server

_log = Logger()

Born = Callable[[int], object]
Ended = Callable[[int, int], object]


class Forks(Protocol):
    """One fork server that runs.

    Args:
        ended: Called with the pid of a worker, and how it ended (`fork_server.ending`).
        gone: Called when the fork server has.
    """

    def __init__(self, ended: Ended, gone: Callable[[Forks], object]) -> None:
        self._ended = ended
        self._gone = gone
        self._asked: deque[tuple[socket.socket, Born]] = deque()
        self._buffer = b""
        self._process: Any = None

    def start(self, reactor: Any, identity: Identity | None, environment: Mapping[str, str] = os.environ) -> None:
        """Start the process, as a child of this one.

        Args:
            reactor: The reactor; workers install one of the same kind.
            identity: Who workers are.
            environment: Of the process.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs:
            adopt(reactor, ours, self)
            command = fork_server.arguments(3, type(reactor).__module__, identity)
            processes: IReactorProcess = reactor
            self._process = processes.spawnProcess(
                ProcessProtocol(),
                command[0],
                command,
                dict(environment),
                childFDs={0: 0, 1: 1, 2: 2, 3: theirs.fileno()},
            )

    @property
    def pid(self) -> int | None:
        """The process."""
        pid: int | None = None if self._process is None else self._process.pid
        return pid

    def fork(self, channel: socket.socket, born: Born) -> None:
        """Ask for a worker.

        Args:
            channel: The worker's end of its channel; closed when it is there.
            born: Called with its pid.
        """
        self._asked.append((channel, born))
        transport: Any = self.transport
        transport.sendFileDescriptor(channel.fileno())
        transport.write(b"w")

    def stop(self) -> None:
        """Have it end. Its workers go on."""
        self._gone = _nothing
        if self.transport is not None:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Take note of workers that began or ended."""
        self._buffer += data
        size = fork_server.ANSWER.size
        while len(self._buffer) >= size:
            pid, status = fork_server.ANSWER.unpack_from(self._buffer)
            self._buffer = self._buffer[size:]
            if status == fork_server.RUNS:
                channel, born = self._asked.popleft()
                channel.close()
                born(pid)
            else:
                self._ended(pid, status)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted hands it over
        """It has gone; workers that were asked for find nobody at the other end."""
        while self._asked:
            self._asked.popleft()[0].close()
        self._gone(self)


def _nothing(_: Forks) -> None:
    """Nobody needs to know."""
