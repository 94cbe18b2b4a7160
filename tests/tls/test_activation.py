"""Sockets that systemd has handed over."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from staplesrv.errors import OperatorError
from staplesrv.tls.activation import Handed, activated, handed_over


@pytest.fixture
def handed(tmp_path: Path) -> Iterator[list[Handed]]:
    """Two sockets of one name, one of another, what is no socket, and one of datagrams."""
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as second,
        socket.socket(socket.AF_UNIX) as third,
        (tmp_path / "file").open("w") as file,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
    ):
        third.bind(str(tmp_path / "socket"))
        third.listen()
        names = ("https", "https", "local", "file", "https")
        them = (first, second, third, file, datagrams)
        yield [Handed(one.fileno(), name) for one, name in zip(them, names, strict=True)]


def taken(description: str, handed: list[Handed]) -> list[int]:
    """Which ones a description means, by number."""
    numbers = {os.fstat(one.descriptor).st_ino: number for number, one in enumerate(handed)}
    found = []
    for copy in activated(description, handed):
        with copy:
            assert not os.get_inheritable(copy.fileno())
            found.append(numbers[os.fstat(copy.fileno()).st_ino])
    return found


@pytest.mark.parametrize(
    ("description", "numbers"),
    [
        ("systemd:name=https", [0, 1]),
        ("systemd:domain=INET6:name=https", [1]),
        ("systemd:INET:name=https", [0]),
        ("systemd:name=local", [2]),
        ("systemd:domain=UNIX:index=2", [2]),
        ("systemd:index=1", [1]),
    ],
)
def test_all_of_a_name_are_taken(handed: list[Handed], description: str, numbers: list[int]) -> None:
    """Or those of one family, or one by its number; and they are copies that can be taken again."""
    assert taken(description, handed) == numbers
    assert taken(description, handed) == numbers


def test_nothing_else_stays_open(handed: list[Handed]) -> None:
    """Neither what was not meant, nor what is no socket."""
    before = sorted(Path("/dev/fd").iterdir())
    taken("systemd:name=local", handed)
    assert sorted(Path("/dev/fd").iterdir()) == before


@pytest.mark.parametrize("description", ["systemd:name=http", "systemd:index=7", "systemd:domain=INET:name=local"])
def test_what_there_is_is_said_where_nothing_fits(handed: list[Handed], description: str) -> None:
    """By name and family."""
    with pytest.raises(OperatorError) as caught:
        activated(description, handed)
    assert "no such socket; there is https (INET), https (INET6), local (UNIX); see File" in str(caught.value)


def test_where_systemd_has_handed_over_nothing_that_is_said() -> None:
    """As in these tests, whatever names there are."""
    assert handed_over({"LISTEN_FDNAMES": "https"}) == ()
    with pytest.raises(OperatorError, match="there is none at all"):
        activated("systemd:name=https")


@pytest.mark.parametrize(
    "description",
    [
        *("systemd", "systemd:", "systemd:INET", "systemd:name=a:index=0", "systemd:name=a:name=b", "systemd:index=x"),
        *("systemd:domain=NET:name=a", "systemd:name=a:port=1", "systemd:INET:INET6:name=a"),
    ],
)
def test_what_is_no_description_is_refused(description: str) -> None:
    """With what it should be like."""
    with pytest.raises(OperatorError, match=r"is no endpoint: .*write it like systemd:name=https"):
        activated(description)
