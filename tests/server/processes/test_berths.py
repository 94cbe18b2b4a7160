"""Which worker accepts from which socket. The sockets are real: what binds is the kernel's to say."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence

import pytest
from twisted.internet.task import Clock

from staplesrv.errors import OperatorError
from staplesrv.server.config import Configuration
from staplesrv.server.configuration.listener import Listener
from staplesrv.server.configuration.place import Place
from staplesrv.server.processes.berths import Berths, berths_of, close
from staplesrv.staples.settings import Settings
from staplesrv.tls.bound_ports import BoundPorts

ENDPOINT = "tcp:0:interface=127.0.0.1"
SHARED, APART = Listener(ENDPOINT), Listener(ENDPOINT, reuse_port=True)


def bind(listener: Listener) -> Sequence[BoundPorts]:
    """Bind the first row."""
    return BoundPorts.bind(Clock(), listener.endpoint).rows()


def asked_for(workers: int, *listeners: Listener) -> Configuration:
    """A configuration, as far as it matters here."""
    return Configuration(listeners, (), Settings(), None, None, Place("a.toml"), workers=workers)


def dealt(berths: Berths, seats: int) -> list[list[int]]:
    """The numbers of the rows that each seat has."""
    rows = {row.sockets[0]: number for number, row in enumerate(berths.rows, 1)}
    return [[rows[one] for one in berths.place(seat)[1]] for seat in range(1, seats + 1)]


@pytest.fixture
def made() -> Iterator[list[Mapping[str, Berths]]]:
    """What is closed in the end."""
    several: list[Mapping[str, Berths]] = []
    yield several
    for one in several:
        close(one, but={})


def test_one_row_is_everybody_s(made: list[Mapping[str, Berths]]) -> None:
    """However many there are, and it is the same after a reload to more."""
    made.append(berths_of(asked_for(3, SHARED), {}, bind))
    assert dealt(made[0][ENDPOINT], 3) == [[1], [1], [1]]
    made.append(berths_of(asked_for(4, SHARED), made[0], bind))
    assert made[1][ENDPOINT].place(1) == made[0][ENDPOINT].place(1)


def test_each_seat_has_a_row_of_its_own(made: list[Mapping[str, Berths]]) -> None:
    """On the same address; the first one alone listens before workers do."""
    made.append(berths_of(asked_for(3, APART), {}, bind))
    berths = made[0][ENDPOINT]
    assert dealt(berths, 3) == [[1], [2], [3]]
    assert len({one.getsockname() for one in berths.sockets}) == 1
    berths.hold()
    listening = [one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for one in berths.sockets]
    assert listening == [1, 0, 0]


def test_rows_without_a_seat_are_everybody_s(made: list[Mapping[str, Berths]]) -> None:
    """Nobody who waits there is lost; a seat that is there again has its row back, and further ones are bound."""
    made.append(berths_of(asked_for(3, APART), {}, bind))
    made[0][ENDPOINT].hold()
    for seats, expected in ((2, [[1, 3], [2, 3]]), (1, [[1, 2, 3]]), (3, [[1], [2], [3]]), (4, [[1], [2], [3], [4]])):
        made.append(berths_of(asked_for(seats, APART), made[-1], bind))
        assert dealt(made[-1][ENDPOINT], seats) == expected
    made.append(berths_of(asked_for(2, SHARED), made[-1], bind))
    assert dealt(made[-1][ENDPOINT], 2) == [[1, 2, 3, 4], [1, 2, 3, 4]]


def test_what_was_shared_may_be_parted(made: list[Mapping[str, Berths]]) -> None:
    """While it is listened on."""
    made.append(berths_of(asked_for(2, SHARED), {}, bind))
    made[0][ENDPOINT].hold()
    made.append(berths_of(asked_for(2, APART), made[0], bind))
    assert dealt(made[1][ENDPOINT], 2) == [[1], [2]]
    made[1][ENDPOINT].rows[1].hold()


def test_sockets_of_another_process_are_taken_row_by_row(made: list[Mapping[str, Berths]]) -> None:
    """In the order in which it had them."""
    made.append(berths_of(asked_for(2, APART), {}, bind))
    before = made[0][ENDPOINT].sockets
    given = [one.dup() for one in before]
    ports = BoundPorts.bind(Clock(), ENDPOINT, given)
    made.append(berths_of(asked_for(2, APART), {}, lambda _: ports.rows()))
    assert dealt(made[1][ENDPOINT], 2) == [[1], [2]]
    assert list(made[1][ENDPOINT].sockets) == given


def test_nothing_new_is_left_bound_when_something_can_t_be(made: list[Mapping[str, Berths]]) -> None:
    """What there was stays."""
    made.append(berths_of(asked_for(1, APART), {}, bind))
    berths = made[0][ENDPOINT]
    fresh: list[BoundPorts] = []

    def bind_one(listener: Listener) -> Sequence[BoundPorts]:
        if fresh:
            raise OperatorError(listener.endpoint, "is no good", "choose another one")
        fresh.extend(bind(listener))
        return fresh

    others = Listener("tcp:0:interface=127.0.0.2", reuse_port=True), Listener("tcp:0:interface=127.0.0.3")
    with pytest.raises(OperatorError, match="is no good"):
        berths_of(asked_for(3, APART, *others), made[0], bind_one)
    assert not fresh[0].sockets
    assert len(berths.rows) == 1
    assert berths.sockets[0].fileno() >= 0
