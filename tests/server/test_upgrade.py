"""What a new process is started with."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server.processes.fake_reactor import FakeProcess, FakeReactor

from staplesrv.server.inheritance import VARIABLE
from staplesrv.server.upgrade import Upgrade
from staplesrv.tls.activation import Handed


class Spawning(FakeReactor):
    """Takes note of what a process would be started with.

    Attributes:
        inodes: What its descriptors are, in order.
        environment: Its environment.
    """

    def spawnProcess(
        self, _protocol: Any, _executable: str, args: list[str], environment: Any = None, **options: Any
    ) -> FakeProcess:
        """Start nothing."""
        self.descriptors: list[int] = [options["childFDs"][number] for number in range(len(options["childFDs"]))]
        self.environment = environment
        return super().spawnProcess(_protocol, _executable, args)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def start(sockets: dict[str, list[socket.socket]], *handed: Handed) -> tuple[Spawning, dict[str, Any]]:
    """Begin an upgrade; what the new process is told."""
    reactor = Spawning()
    upgrade = Upgrade(
        reactor, Path("/"), lambda: sockets, lambda _: None, command=["program", "--option"], handed=lambda: handed
    )
    upgrade.start()
    return reactor, json.loads(reactor.environment[VARIABLE])


def test_sockets_are_told_by_number(listening: socket.socket) -> None:
    """With the ways to the old process before them."""
    reactor, said = start({"tcp:443": [listening]})
    assert reactor.spawned == [["program", "--option"]]
    assert said == {"way": 3, "life": 4, "sockets": {"tcp:443": [5]}}
    assert reactor.descriptors[5] == listening.fileno()
    assert "LISTEN_FDS" not in reactor.environment


def test_sockets_of_systemd_are_handed_over_as_by_systemd(listening: socket.socket) -> None:
    """All of them, first and by name, with the number of the process that takes them."""
    other = listening.fileno()
    reactor, said = start(
        {"systemd:name=https": [listening], "tcp:80": [listening]}, Handed(other, "https"), Handed(other, "more")
    )
    (command,) = reactor.spawned
    assert "LISTEN_PID=$$" in command[2]
    assert command[-2:] == ["program", "--option"]
    assert reactor.environment["LISTEN_FDS"] == "2"
    assert reactor.environment["LISTEN_FDNAMES"] == "https:more"
    assert said == {"way": 5, "life": 6, "sockets": {"tcp:80": [7]}}
    assert reactor.descriptors[3:5] == [other, other]
