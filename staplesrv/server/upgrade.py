"""The program replaced while it runs: a new process on the same sockets, and then the end of this one."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from staplesrv.server.adopted_socket import adopt
from staplesrv.server.inheritance import VARIABLE
from staplesrv.tls.activation import KIND, Handed, handed_over

PATIENCE = 120.0
"""Seconds that a new process has to serve: it waits for its first staples, too."""

_LAUNCHER = """
import os, sys
if os.fork():
    os._exit(0)
way, *command = sys.argv[1:]
try:
    os.write(int(way), b"%d\\n" % os.getpid())
    wanted = os.read(int(way), 1)
except OSError:
    wanted = b""
if wanted:
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.execvp(command[0], command)
"""
# Starts the new process as no child of ours but of process 1: a main process that was somebody else's child when it
# became that is killed by systemd where it should end by itself. It goes on when we, if still there, know its number.

_LONGEST = 32
_log = Logger()


class Upgrade:
    """Starts a new process with the command line of this one.

    Args:
        reactor: The reactor.
        folder: The working directory of the start.
        sockets: Returns the sockets by their endpoints.
        followed: Called with the pid of the new process when it serves.
        lost: Called with the pid of one that has ended before that, killed perhaps, with all that it leaves.
        command: What is started.
        handed: Returns what systemd has handed over to this process.

    Attributes:
        under_way: Whether one has been started, and is not known to serve yet.
    """

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        sockets: Callable[[], Mapping[str, Sequence[socket.socket]]],
        followed: Callable[[int], object],
        lost: Callable[[int], object],
        *,
        command: Sequence[str] | None = None,
        handed: Callable[[], Sequence[Handed]] = handed_over,
    ) -> None:
        self.under_way = False
        self._reactor = reactor
        self._folder = folder
        self._sockets = sockets
        self._followed = followed
        self._lost = lost
        # As it was called, interpreter and all.
        self._command = list(command or [sys.executable, *sys.orig_argv[1:]])
        self._handed = handed
        self._over = False
        self._pid: int | None = None
        self._way: Any = None
        self._life: socket.socket | None = None
        self._late: IDelayedCall | None = None

    def start(self) -> None:
        """Start the new process, unless one is starting, or this one stops: it may have been followed already."""
        if self._over:
            _log.warn("upgrade: this process stops; nothing is started")
            return
        if self.under_way:
            _log.warn("upgrade: a new process is starting already")
            return
        self.under_way = True
        self._pid = None
        self._late = self._reactor.callLater(PATIENCE, self._too_late)
        try:
            self._spawn()
        except OSError as error:
            self._settled()
            _log.error("upgrade: no new process can be started ({error}); this one goes on", error=error)

    def stop(self) -> None:
        """This process stops: no new one is started, and one that does not serve yet ends, too."""
        self._over = True
        if self.under_way:
            self._settled()
            self._kill()

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        # Open until this process ends, which is later than the reactor: twistd removes its pid file after that.
        self._life, watched = socket.socketpair()
        with ours, theirs, watched:
            # Those of systemd first, where whoever it starts looks for them.
            handed = self._handed()
            descriptors = [0, 1, 2, *(one.descriptor for one in handed)]

            def put(*given: socket.socket) -> list[int]:
                descriptors.extend(one.fileno() for one in given)
                return list(range(len(descriptors) - len(given), len(descriptors)))

            way, life = put(theirs, watched)
            sockets = {endpoint: put(*given) for endpoint, given in self._sockets().items() if not _is_handed(endpoint)}
            said = json.dumps({"way": way, "life": life, "sockets": sockets})
            _log.info("upgrade: starting {command}", command=" ".join(self._command))
            self._way = _Way(self._began, self._served, self._failed)
            adopt(self._reactor, ours, self._way)
            command = [sys.executable, "-IS", "-c", _LAUNCHER, str(way), *self._command]
            self._reactor.spawnProcess(
                ProcessProtocol(),
                command[0],
                command,
                {**os.environ, **_activation(handed), VARIABLE: said},
                path=str(self._folder),
                childFDs=dict(enumerate(descriptors)),
            )

    def _began(self, pid: int) -> None:
        self._pid = pid
        self._way.transport.write(b"\n")

    def _served(self, pid: int) -> None:
        self._settled()
        self._over = True
        self._followed(pid)

    def _failed(self) -> None:
        if self.under_way:
            self._settled()
            _log.error("upgrade: the new process has ended before it served; this one goes on")
            if self._pid is not None:
                self._lost(self._pid)

    def _too_late(self) -> None:
        self._late = None
        self._settled()
        _log.error("upgrade: the new process does not serve after {seconds:.0f} s; this one goes on", seconds=PATIENCE)
        self._kill()

    def _kill(self) -> None:
        # Without a number yet it ends for want of an answer.
        self._way.transport.loseConnection()
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._lost(self._pid)

    def _settled(self) -> None:
        self.under_way = False
        late, self._late = self._late, None
        if late is not None:
            late.cancel()


def _is_handed(endpoint: str) -> bool:
    return endpoint.partition(":")[0] == KIND


def _activation(handed: Sequence[Handed]) -> Mapping[str, str]:
    """What systemd would say of these sockets; `LISTEN_PID` belongs to it."""
    if not handed:
        return {}
    return {"LISTEN_FDS": str(len(handed)), "LISTEN_FDNAMES": ":".join(one.name for one in handed)}


class _Way(Protocol):
    """Waits for the new process's number: it comes when that begins, and again when it serves."""

    def __init__(
        self, began: Callable[[int], object], served: Callable[[int], object], failed: Callable[[], object]
    ) -> None:
        self._said = b""
        self._steps = [served, began]
        self._failed = failed

    def dataReceived(self, data: bytes) -> None:
        *numbers, rest = (self._said + data).split(b"\n")
        self._said = rest[:_LONGEST]
        for number in numbers:
            if self._steps and number.isdigit():
                self._steps.pop()(int(number))

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted hands it over
        self._failed()
