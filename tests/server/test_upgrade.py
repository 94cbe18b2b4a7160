"""What a new process is started with."""

from __future__ import annotations

import errno
import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from server.processes.fake_reactor import FakeProcess, FakeReactor
from twisted.internet.protocol import connectionDone

from staplesrv.server.inheritance import VARIABLE
from staplesrv.server.upgrade import PATIENCE, Upgrade
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


@pytest.fixture
def new() -> Iterator[subprocess.Popen[bytes]]:
    """A process that can be killed."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process


class Upgrading:
    """An upgrade that has begun, and the new process's end of the way.

    Args:
        sockets: By endpoint.
        handed: What systemd has handed over.
    """

    def __init__(self, sockets: dict[str, list[socket.socket]], *handed: Handed) -> None:
        self.reactor = Spawning()
        self.followed: list[int] = []
        self.lost: list[int] = []
        command = ["program", "--option"]
        self.upgrade = Upgrade(
            self.reactor,
            Path("/"),
            lambda: sockets,
            self.followed.append,
            self.lost.append,
            command=command,
            handed=lambda: handed,
        )
        self.upgrade.start()
        (self.way,) = self.reactor.protocols

    @property
    def told(self) -> Any:
        """What the new process is told in its environment."""
        return json.loads(self.reactor.environment[VARIABLE])

    def say(self, data: bytes) -> None:
        """The new process says something."""
        self.way.dataReceived(data)

    def close(self) -> None:
        """The process ends."""
        assert self.upgrade._life is not None
        self.upgrade._life.close()


Begin = Callable[..., Upgrading]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begins upgrades."""
    begun: list[Upgrading] = []

    def beginning(sockets: dict[str, list[socket.socket]] | None = None, *handed: Handed) -> Upgrading:
        begun.append(Upgrading(sockets or {}, *handed))
        return begun[-1]

    yield beginning
    for one in begun:
        one.close()


def test_sockets_are_told_by_number(begin: Begin, listening: socket.socket) -> None:
    """With the ways to the old process before them."""
    begun = begin({"tcp:443": [listening]})
    reactor = begun.reactor
    (command,) = reactor.spawned
    assert command[-3:] == ["3", "program", "--option"]
    assert begun.told == {"way": 3, "life": 4, "sockets": {"tcp:443": [5]}}
    assert reactor.descriptors[5] == listening.fileno()
    assert "LISTEN_FDS" not in reactor.environment


def test_sockets_of_systemd_are_handed_over_as_by_systemd(begin: Begin, listening: socket.socket) -> None:
    """All of them, first and by name, with the number of the process that takes them."""
    other = listening.fileno()
    sockets = {"systemd:name=https": [listening], "tcp:80": [listening]}
    begun = begin(sockets, Handed(other, "https"), Handed(other, "more"))
    reactor = begun.reactor
    (command,) = reactor.spawned
    assert 'os.environ["LISTEN_PID"]' in command[3]
    assert command[-3:] == ["5", "program", "--option"]
    assert reactor.environment["LISTEN_FDS"] == "2"
    assert reactor.environment["LISTEN_FDNAMES"] == "https:more"
    assert begun.told == {"way": 5, "life": 6, "sockets": {"tcp:80": [7]}}
    assert reactor.descriptors[3:5] == [other, other]


def test_the_new_process_is_answered_when_it_begins_and_followed_when_it_serves(begin: Begin) -> None:
    """However its words arrive."""
    begun = begin()
    begun.say(b"1")
    assert begun.way.transport.value() == b""
    begun.say(b"7\n")
    assert begun.way.transport.value() == b"\n"
    begun.say(b"17")
    assert begun.followed == []
    begun.say(b"\n")
    assert begun.followed == [17]
    assert not begun.upgrade.under_way
    begun.way.connectionLost(connectionDone)
    assert not begun.reactor.getDelayedCalls()


def test_whoever_stops_ends_the_new_process(begin: Begin, new: subprocess.Popen[bytes]) -> None:
    """It does not serve yet."""
    begun = begin()
    begun.say(b"%d\n" % new.pid)
    begun.upgrade.stop()
    assert new.wait(10) == -signal.SIGKILL
    assert not begun.upgrade.under_way
    assert begun.lost == [new.pid]


def test_nothing_is_started_by_one_that_stops(begin: Begin) -> None:
    """Whatever it stops for: another process serves on its sockets, or none is to."""
    followed, stopped = begin(), begin()
    followed.say(b"7\n7\n")
    stopped.upgrade.stop()
    for begun in (followed, stopped):
        life = begun.upgrade._life
        begun.upgrade.start()
        assert len(begun.reactor.spawned) == 1
        assert begun.upgrade._life is life


def test_without_a_descriptor_nothing_is_started(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be tried again."""
    begun = begin()
    begun.way.connectionLost(connectionDone)

    def none_left() -> None:
        raise OSError(errno.EMFILE, "none left")

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socketpair", none_left)
        begun.upgrade.start()
    assert not begun.upgrade.under_way
    assert not begun.reactor.getDelayedCalls()
    begun.upgrade.start()
    assert len(begun.reactor.spawned) == 2


def test_the_launcher_ends_without_a_word_where_nobody_waits(begin: Begin) -> None:
    """The old process has given it up, or has gone."""
    command = begin().reactor.spawned[0]
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        done = subprocess.run(
            [*command[:4], str(theirs.fileno()), "false"],
            capture_output=True,
            pass_fds=[theirs.fileno()],
            check=False,
            timeout=20,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_one_that_has_not_begun_does_not_when_its_way_ends(begin: Begin) -> None:
    """Nothing else is known of it."""
    begun = begin()
    begun.upgrade.stop()
    assert begun.way.transport.disconnecting


def test_one_that_does_not_serve_in_time_is_ended(begin: Begin, new: subprocess.Popen[bytes]) -> None:
    """And there may be another one."""
    begun = begin()
    begun.say(b"%d\n" % new.pid)
    begun.reactor.advance(PATIENCE)
    assert new.wait(10) == -signal.SIGKILL
    begun.upgrade.start()
    assert len(begun.reactor.spawned) == 2


def test_one_that_has_ended_leaves_room_for_another(begin: Begin) -> None:
    """While it has not, a second one is not begun."""
    begun = begin()
    begun.upgrade.start()
    assert len(begun.reactor.spawned) == 1
    begun.say(b"7\n")
    begun.way.connectionLost(connectionDone)
    assert begun.lost == [7]
    begun.upgrade.start()
    assert len(begun.reactor.spawned) == 2
