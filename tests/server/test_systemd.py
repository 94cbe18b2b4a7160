"""What systemd is told."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from staplesrv.server.systemd import Systemd


@pytest.fixture
def told(tmp_path: Path) -> Iterator[socket.socket]:
    """Systemd's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as end:
        end.bind(str(tmp_path / "notify"))
        yield end


def test_it_is_told_of_each_turn(told: socket.socket) -> None:
    """Readiness, a reload with its time, and the end."""
    systemd = Systemd(Clock(), {"NOTIFY_SOCKET": told.getsockname()}, lambda: 1.5)
    systemd.ready("serving on a port")
    systemd.reloading()
    systemd.ready("a mistake\nMAINPID=1")
    systemd.stopping()
    said = [told.recv(1000) for _ in range(4)]
    assert said == [
        b"READY=1\nSTATUS=serving on a port",
        b"RELOADING=1\nMONOTONIC_USEC=1500000",
        b"READY=1\nSTATUS=a mistake MAINPID=1",
        b"STOPPING=1",
    ]


def test_the_watchdog_hears_twice_in_its_time(told: socket.socket) -> None:
    """As long as the service runs."""
    clock = Clock()
    systemd = Systemd(clock, {"NOTIFY_SOCKET": told.getsockname(), "WATCHDOG_USEC": "4000000"})
    systemd.startService()
    clock.advance(2)
    assert [told.recv(100), told.recv(100)] == [b"WATCHDOG=1"] * 2
    systemd.stopService()
    assert not clock.getDelayedCalls()


def test_whoever_is_followed_says_nothing_more(told: socket.socket) -> None:
    """Its end is not the service's."""
    systemd = Systemd(Clock(), {"NOTIFY_SOCKET": told.getsockname()})
    systemd.followed_by(7)
    systemd.stopping()
    assert told.recv(100) == b"MAINPID=7"
    with pytest.raises(BlockingIOError):
        told.recv(100)


def test_without_systemd_nobody_is_told() -> None:
    """Nor where its socket has gone, or the time of the watchdog is no number."""
    for environment in ({}, {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "soon"}):
        systemd = Systemd(Clock(), environment)
        systemd.startService()
        systemd.ready("here")
        systemd.stopService()
