"""The sockets of one listener, and which of them the worker on each seat accepts from.

Theory of operation: sockets come in rows, each with one socket for each address. Where a listener says `reuse_port`
each seat has a row of its own. All other rows are everybody's. Without `reuse_port` that is the only one; with it those
are the rows of seats that a reload took away: a socket can't be told to take no more, and whoever waits in it when it
is closed is reset. So they stay open, and are accepted from, until their listener goes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from staplesrv.errors import OperatorError
from staplesrv.server.config import Configuration
from staplesrv.server.configuration.listener import Listener
from staplesrv.tls.bound_ports import BoundPorts

Place: TypeAlias = tuple[Listener, tuple[socket.socket, ...]]
"""A listener, and one worker's sockets of it."""


@dataclass(slots=True, eq=False)
class Berths:
    """All sockets of one listener.

    Args:
        listener: The same.
        rows: At least one.
        own: How many seats have a row of their own.
    """

    listener: Listener
    rows: list[BoundPorts]
    own: int

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """All of them, row by row."""
        return tuple(one for row in self.rows for one in row.sockets)

    def fill(self) -> None:
        """Bind the rows that seats lack.

        Raises:
            OperatorError: one can't be bound.
        """
        while len(self.rows) < self.own:
            self.rows.append(self.rows[0].sibling())

    def hold(self) -> None:
        """Listen on the first row: clients wait there until workers accept. On other rows the workers listen.

        Raises:
            OperatorError: another process was faster.
        """
        self.rows[0].hold()

    def place(self, seat: int) -> Place:
        """Return what a worker accepts from: the row of its seat, and those that are everybody's.

        Args:
            seat: From 1.
        """
        rows = (row for number, row in enumerate(self.rows, 1) if number == seat or number > self.own)
        return self.listener, tuple(one for row in rows for one in row.sockets)


def berths_of(
    configuration: Configuration, before: Mapping[str, Berths], bind: Callable[[Listener], Sequence[BoundPorts]]
) -> Mapping[str, Berths]:
    """Make the berths of a configuration, by endpoint, with the sockets that there are.

    Args:
        configuration: The same.
        before: What there is.
        bind: Binds the first row of a listener, or returns those that another process has bound.

    Raises:
        OperatorError: a socket can't be bound. Nothing new is left bound then.
    """
    made: dict[str, Berths] = {}
    try:
        for listener in configuration.listeners:
            there = before.get(listener.endpoint)
            rows = bind(listener) if there is None else there.rows
            own = configuration.workers if listener.reuse_port else 0
            made[listener.endpoint] = Berths(listener, [*rows], own)
            made[listener.endpoint].fill()
    except OperatorError:
        close(made, but=before)
        raise
    return made


def close(berths: Mapping[str, Berths], *, but: Mapping[str, Berths]) -> None:
    """Close all sockets, but those that others have, too."""
    kept = {row for one in but.values() for row in one.rows}
    for one in berths.values():
        for row in one.rows:
            if row not in kept:
                row.close()
