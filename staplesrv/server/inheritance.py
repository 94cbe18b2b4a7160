"""What a new supervisor has from the old one in an upgrade: its sockets, and a way to say that it serves."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from staplesrv.server.adopted_socket import adopt

VARIABLE = "STAPLESRV_UPGRADE"
"""JSON: the descriptors of the way to the old process, of what ends with it, and of sockets by their endpoints."""


class Inheritance:
    """Sockets that another process listens on, to be taken over.

    Args:
        sockets: By endpoint; each is handed out once.
        old: To the old process, and what ends with it; None where there is none.
    """

    def __init__(
        self,
        sockets: Mapping[str, Sequence[socket.socket]],
        old: tuple[socket.socket, socket.socket] | None = None,
    ) -> None:
        self._sockets = dict(sockets)
        self._old = old
        self._when_served: list[Callable[[], object]] = []

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> Inheritance:
        """Take what a process was started with, out of its environment, so that its children don't."""
        text = environment.pop(VARIABLE, "")
        if not text:
            return cls({})
        said = json.loads(text)
        sockets = {endpoint: [_socket(one) for one in given] for endpoint, given in said["sockets"].items()}
        return cls(sockets, (_socket(said["way"]), _socket(said["life"])))

    def take(self, endpoint: str) -> Sequence[socket.socket] | None:
        """Return the sockets of an endpoint; None where there are none."""
        return self._sockets.pop(endpoint, None)

    def when_served(self, call: Callable[[], object]) -> None:
        """Have something done as soon as this process serves: until then it may end, and the old one goes on."""
        self._when_served.append(call)

    def served(self, reactor: Any, alone: Callable[[], object]) -> None:
        """Tell the old process that this one serves, and may be left alone.

        Args:
            reactor: The reactor.
            alone: Called when the old process has gone.
        """
        for sockets in self._sockets.values():
            for one in sockets:
                one.close()
        self._sockets = {}
        for call in self._when_served:
            call()
        old, self._old = self._old, None
        if old is None:
            return
        way, life = old
        with way, life:
            adopt(reactor, life, _Life(alone))
            # The old process may be gone by now; it has nobody else then.
            with suppress(OSError):
                way.sendall(b"%d\n" % os.getpid())


class _Life(Protocol):
    """Sees another process end."""

    def __init__(self, alone: Callable[[], object]) -> None:
        self._alone = alone

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted hands it over
        self._alone()


def other_pid_file(path: str) -> str:
    """Where a process keeps its number while an old one has the file."""
    return f"{path}.new" if path else path


def take_over_pid_file(options: MutableMapping[str, Any], path: str) -> None:
    """Move this process's pid file to where the old one's was.

    Args:
        options: twistd's, which say what is removed in the end.
        path: Where that is.
    """
    if not path:
        return
    with suppress(OSError):
        Path(options["pidfile"]).rename(path)
        options["pidfile"] = path


def _socket(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)
