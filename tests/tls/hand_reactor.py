"""A reactor that a test turns by hand: real descriptors, and a clock of the test's own."""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

ENOUGH = 300
PATIENCE = 0.02
"""Seconds that loopback may take to deliver what was sent."""


@implementer(IReactorFDSet)
class HandReactor(Clock):
    """Asks the kernel once per turn which descriptors are ready, and tells them, as Twisted's reactors do.

    Attributes:
        readers: What is watched for reading.
        writers: What is watched for writing.
        errors: What descriptors raised; Twisted's reactors log it.
        told: Events that descriptors were told of.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self.errors: list[BaseException] = []
        self.told = 0

    def addReader(self, reader: Any) -> None:
        """Watch for reading."""
        self.readers.add(reader)

    def addWriter(self, writer: Any) -> None:
        """Watch for writing."""
        self.writers.add(writer)

    def removeReader(self, reader: Any) -> None:
        """Watch no more."""
        self.readers.discard(reader)

    def removeWriter(self, writer: Any) -> None:
        """Watch no more."""
        self.writers.discard(writer)

    def removeAll(self) -> list[Any]:
        """Watch nothing."""
        watched = self.getReaders() + self.getWriters()
        self.readers.clear()
        self.writers.clear()
        return watched

    def getReaders(self) -> list[Any]:
        """Return what is watched for reading."""
        return list(self.readers)

    def getWriters(self) -> list[Any]:
        """Return what is watched for writing."""
        return list(self.writers)

    def turn(self, wait: float = 0.0) -> int:
        """Tell descriptors what they are ready for, and call what is due; return how many were told of something."""
        reading, writing, _ = select.select(self.getReaders(), self.getWriters(), (), wait)
        for ready, watched, call in ((reading, self.readers, "doRead"), (writing, self.writers, "doWrite")):
            for one in ready:
                if one in watched:
                    self._tell(one, call)
        self.told += len(reading) + len(writing)
        self.advance(0)
        return len(reading) + len(writing)

    def settle(self) -> None:
        """Turn until nothing is ready.

        Raises:
            AssertionError: something is ready all the time.
        """
        for _ in range(ENOUGH):
            if not self.turn(PATIENCE):
                return
        raise AssertionError("the reactor would be busy for ever")

    def until(self, condition: Callable[[], object], *, meanwhile: Sequence[Callable[[], object]] = ()) -> None:
        """Turn until a condition holds.

        Raises:
            AssertionError: it never does.
        """
        for _ in range(ENOUGH):
            if condition():
                return
            for step in meanwhile:
                step()
            self.turn(PATIENCE if not meanwhile else 0.001)
        raise AssertionError("it never came")

    def _tell(self, one: Any, call: str) -> None:
        try:
            why = getattr(one, call)()
        except Exception as error:  # noqa: BLE001 - as Twisted's reactors have it
            self.errors.append(error)
            why = error
        if why is not None:
            self.removeReader(one)
            self.removeWriter(one)
            one.connectionLost(Failure(why))  # type: ignore[no-untyped-call]
