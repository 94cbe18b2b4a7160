"""The process that forks workers: `python -m staplesrv.server.processes.fork_server DESCRIPTOR REACTOR UID GID GROUPS`.

Theory of operation: the keys of session tickets are in an OpenSSL context from its birth, and pyOpenSSL has no call for
them. So this process makes the base contexts, and each worker is forked with them: a ticket from one is good at all. No
reactor is ever imported here, as one can't be shared, and there is one thread, as threads don't survive a fork.

On the socket: a byte with a descriptor asks for a worker at the other end of that descriptor; what comes back is its
pid with -1, and when it has ended its pid with how it did.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress

# Everything that a worker needs, so that it is there when it is forked, and is there once in memory.
from staplesrv import sources
from staplesrv.rates import Rates
from staplesrv.server.privileges import Identity
from staplesrv.server.processes import worker
from staplesrv.tls.context import base_context
from staplesrv.tls.preset import PRESETS

_MODULE = "staplesrv.server.processes.fork_server"

ANSWER = struct.Struct("!ii")
_KILLED = 256
"""Added to the number of a signal, to be told from exit statuses."""

RUNS = -1
"""Stands for the status of a worker that has not ended."""

# What is imported when it is needed: whoever workers are might not be let into the folder that it is in.
_LATE = ("encodings.idna", "encodings.unicode_escape", "encodings.latin_1", "staplesrv.http.http2.connection")

# A terminal sends some of these to all processes, as systemd does. The supervisor says what is to be done about them;
# when it has gone the socket ends.
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class ForkServer:
    """Forks workers.

    Args:
        requests: The socket to the supervisor.
        reactor: The module of the reactor that workers install.
        identity: Who workers are; None for who this process is.
    """

    def __init__(self, requests: socket.socket, reactor: str, identity: Identity | None) -> None:
        self._requests = requests
        self._reactor = importlib.import_module(reactor)
        self._identity = identity
        for module in _LATE:
            # The library of HTTP/2 is an extra.
            with suppress(ImportError):
                importlib.import_module(module)
        contexts = {preset: base_context(preset) for preset in PRESETS}
        self._heritage = worker.Heritage(contexts, Rates(sources.monotonic))

    def run(self) -> None:
        """Serve until the supervisor has gone, or has another one; and then until all workers have ended.

        Else whoever is process 1 would have to bury them, which in a container may be the supervisor.
        """
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: self._bury())
        # What is there now is the same in all workers: a collection that touched it would give each its own copy.
        gc.collect()
        gc.freeze()
        while self._serve():
            pass
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with suppress(ChildProcessError):
            while True:
                os.wait()

    def _serve(self) -> bool:
        """Wait for one request, and fork; tell whether there may be more."""
        try:
            asked, descriptors, _, _ = socket.recv_fds(self._requests, 1, 1)
        except ConnectionError:
            return False
        if asked:
            # Else the end of a worker could be told of before its beginning.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            for descriptor in descriptors:
                self._fork(descriptor)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        return bool(asked)

    def _fork(self, descriptor: int) -> None:
        pid = os.fork()
        if pid:
            os.close(descriptor)
            with suppress(OSError):
                self._requests.sendall(ANSWER.pack(pid, RUNS))
            return
        status = 1
        try:
            self._requests.close()
            self._become_worker()
            status = worker.run(descriptor, self._heritage)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _become_worker(self) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        if self._identity is not None:
            self._identity.become()
        self._reactor.install()

    def _bury(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            # The supervisor may have gone by now, and this be the end of this process: signals come until then.
            with suppress(OSError):
                self._requests.sendall(ANSWER.pack(pid, _number(status)))


def _number(status: int) -> int:
    return _KILLED + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def ending(status: int) -> str:
    """Say how a worker ended."""
    if status < _KILLED:
        return f"exit status {status}"
    return signal.Signals(status - _KILLED).name


def arguments(descriptor: int, reactor: str, identity: Identity | None) -> Sequence[str]:
    """Return how to start one."""
    who = () if identity is None else (identity.uid, identity.gid, *identity.groups)
    return [sys.executable, "-m", _MODULE, str(descriptor), reactor, *map(str, who)]


def main(descriptor: str, reactor: str, *who: str) -> None:
    """Be one."""
    numbers = tuple(map(int, who))
    identity = Identity(numbers[0], numbers[1], numbers[2:]) if numbers else None
    ForkServer(socket.socket(fileno=int(descriptor)), reactor, identity).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
