"""What a process has from the one that it replaces."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from server.processes.fake_reactor import FakeReactor
from twisted.internet.protocol import connectionDone

from staplesrv.server.inheritance import (
    VARIABLE,
    Inheritance,
    clear_other_pid_file,
    other_pid_file,
    take_over_pid_file,
)


def test_without_an_old_process_there_is_nothing() -> None:
    """And nobody is told."""
    inheritance = Inheritance.of({})
    assert inheritance.take("tcp:443") is None
    inheritance.served(FakeReactor(), lambda: None)


def test_sockets_are_handed_out_once_and_the_others_closed() -> None:
    """The old process is told the new one's number; its end is seen."""
    old_way, way = socket.socketpair()
    old_life, life = socket.socketpair()
    listening, gone = socket.socket(), socket.socket()
    sockets = {"tcp:443": [listening.detach()], "tcp:80": [gone.fileno()]}
    environment = {VARIABLE: json.dumps({"way": way.detach(), "life": life.detach(), "sockets": sockets})}
    inheritance = Inheritance.of(environment)
    assert environment == {}
    (taken,) = inheritance.take("tcp:443") or ()
    assert not os.get_inheritable(taken.fileno())
    assert inheritance.take("tcp:443") is None
    reactor, alone = FakeReactor(), []
    inheritance.served(reactor, lambda: alone.append(True))
    assert old_way.recv(100) == b"%d\n" % os.getpid()
    assert gone.detach() >= 0
    assert not alone
    reactor.protocols[0].connectionLost(connectionDone)
    assert alone == [True]
    for one in (old_way, old_life, taken):
        one.close()


def test_paths_go_over_when_this_process_serves(tmp_path: Path) -> None:
    """Those that it listens on; others are removed, as the old one leaves all. Before that all are the old one's."""
    taken, left = tmp_path / "taken", tmp_path / "left"
    way, life = socket.socketpair(), socket.socketpair()
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second, way[0], life[0]:
        sockets = {"unix:taken": [first], "unix:left": [second]}
        first.bind(str(taken))
        second.bind(str(left))
        (tmp_path / "left.lock").symlink_to("1")
        inheritance = Inheritance(sockets, (way[1], life[1]))
        served: list[bool] = []
        inheritance.take("unix:taken")
        inheritance.when_served(lambda: served.append(True))
        assert (served, left.exists()) == ([], True)
        inheritance.served(FakeReactor(), lambda: None)
        assert served == [True]
        assert sorted(tmp_path.iterdir()) == [taken]


def test_a_path_that_may_not_be_removed_keeps_nobody_from_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `twistd --uid`: the old process is told all the same."""
    old_way, way = socket.socketpair()
    old_life, life = socket.socketpair()

    def denied(*_: object, **__: object) -> None:
        raise PermissionError

    with socket.socket(socket.AF_UNIX) as left, old_way, old_life:
        left.bind(str(tmp_path / "left"))
        monkeypatch.setattr(Path, "unlink", denied)
        Inheritance({"unix:left": [left]}, (way, life)).served(FakeReactor(), lambda: None)
        assert old_way.recv(100) == b"%d\n" % os.getpid()


def test_the_pid_file_is_moved(tmp_path: Path) -> None:
    """Twistd removes the right one in the end."""
    path = str(tmp_path / "twistd.pid")
    options: dict[str, Any] = {"pidfile": other_pid_file(path)}
    Path(options["pidfile"]).write_text("1")
    take_over_pid_file(options, path)
    assert options == {"pidfile": path}
    assert Path(path).read_text() == "1"


def test_the_pid_file_of_one_that_was_killed_is_removed(tmp_path: Path) -> None:
    """That of another one is not; nor does it matter that there is none."""
    path = tmp_path / "twistd.pid"
    other = tmp_path / "twistd.pid.new"
    other.write_text("8")
    clear_other_pid_file(str(path), 7)
    assert other.exists()
    clear_other_pid_file(str(path), 8)
    assert not other.exists()
    clear_other_pid_file(str(path), 8)
    clear_other_pid_file("", 8)


def test_without_a_pid_file_none_is_moved() -> None:
    """As with `--pidfile=`."""
    options: dict[str, Any] = {"pidfile": other_pid_file("")}
    take_over_pid_file(options, "")
    assert options == {"pidfile": ""}
