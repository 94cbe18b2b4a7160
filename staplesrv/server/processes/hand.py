"""One worker, as its supervisor sees it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from twisted.internet.defer import Deferred

from staplesrv.errors import OperatorError
from staplesrv.server.processes import orders, reports
from staplesrv.server.processes.berths import Place
from staplesrv.server.processes.channel import Channel


class Left(Exception):
    """A worker has gone, or goes, before it did what was asked of it."""


class Master(Protocol):
    """Who the worker works for."""

    def heard(self, hand: Hand, report: reports.Report) -> None:
        """It has said something."""

    def lost(self, hand: Hand) -> None:
        """It has gone."""


class Hand:
    """A worker that was asked for, runs, or drains.

    Args:
        seat: Its place among the workers, from 1.
        master: Is told of everything.
        born: When it was asked for, seconds of the reactor's clock.

    Attributes:
        channel: The way to it.
        pid: The process; None before it is there.
        heard: When it last said anything.
        known: Numbers of the sites that it has.
        places: Where it listens, or will.
        round: The last round that it was told of.
        serving: Whether it listens.
        draining: Whether it was told to leave, or leaves by itself.
        leave_by: When it has to have left then.
        gone: Whether it has.
        beat: What it said of itself last.
        ended: How it ended, where the fork server has told.
    """

    def __init__(self, seat: int, master: Master, born: float) -> None:
        self.seat = seat
        self.channel = Channel(self._received, self._lost, longest=reports.LONGEST)
        self.pid: int | None = None
        self.born = born
        self.heard = born
        self.known: frozenset[int] = frozenset()
        self.places: frozenset[Place] = frozenset()
        self.round = 0
        self.serving = False
        self.draining = False
        self.leave_by = 0.0
        self.gone = False
        self.beat = reports.Beat(0, 0, 0, {}, [])
        self.ended = ""
        self._master = master
        self._waiting: list[tuple[int, Deferred[None]]] = []
        self._answers: dict[int, Deferred[None]] = {}

    def order(self, packed: bytes, descriptors: Sequence[int] = ()) -> None:
        """Tell it something (`orders.packed`)."""
        self.channel.send(packed, descriptors)

    def answer(self, number: int) -> Deferred[None]:
        """Wait for what it says about a round: that it is prepared, or the `OperatorError`; or `Left`."""
        self._answers[number] = Deferred()
        return self._answers[number]

    def wait_until_serving(self, number: int = 0) -> Deferred[None]:
        """Wait until it serves what it was told in a round, or later; or `Left`."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append((number, waiting))
        return waiting

    def drain(self, seconds: float, now: float) -> None:
        """Have it leave when everybody was served, after some seconds at the latest."""
        self.leaves(now + seconds)
        self.order(orders.packed(orders.Drain(seconds)))

    def leaves(self, by: float) -> None:
        """Take note that it accepts no more.

        Args:
            by: When it has to have left, seconds of the reactor's clock.
        """
        self.draining = True
        self.leave_by = by

    def kill(self) -> None:
        """End it. Only while its channel is open is its pid certainly its own."""
        if self.pid is not None and not self.gone:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.channel.close()

    def _received(self, message: bytes) -> None:
        report = reports.unpacked(message)
        if report is None:
            self.kill()
            return
        match report:
            case reports.Prepared():
                if (answer := self._answers.pop(report.round, None)) is not None:
                    answer.callback(None)
                    return
            case reports.Failed():
                if (answer := self._answers.pop(report.round, None)) is not None:
                    answer.errback(operator_error(report))
                    return
            case reports.Serving():
                self._serves(report.round)
            case reports.Leaving():
                # It does nothing more that it is told.
                self._answer_no_more()
            case reports.Beat():
                self.beat = report
        self._master.heard(self, report)

    def _serves(self, number: int) -> None:
        self.serving = True
        waiting, self._waiting = self._waiting, []
        for wanted, one in waiting:
            if wanted <= number:
                one.callback(None)
            else:
                self._waiting.append((wanted, one))

    def _lost(self) -> None:
        self.gone = True
        self.serving = False
        self._answer_no_more()
        self._master.lost(self)

    def _answer_no_more(self) -> None:
        waiting = [*(one for _, one in self._waiting), *self._answers.values()]
        self._waiting, self._answers = [], {}
        for one in waiting:
            one.errback(Left())


def operator_error(report: reports.Failed) -> OperatorError:
    """Make the error again that a worker has found."""
    parts = (" ".join(part.split()) for part in (report.where, report.problem, report.advice))
    return OperatorError(*parts, key=report.key)
