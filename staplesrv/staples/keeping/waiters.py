"""Those who wait for one and the same thing, each with a Deferred of its own."""

from __future__ import annotations

from twisted.internet.defer import Deferred


class Waiters:
    """A list of Deferreds. Cancelling one takes it off the list, and leaves what is waited for alone."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Deferred[None]] = []

    def wait(self) -> Deferred[None]:
        """Join them."""
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        return waiter

    def fire(self) -> None:
        """What they wait for is there. Who joins while this goes on waits for the next time."""
        for waiter in tuple(self._waiting):
            # One of them may have made another one lose interest.
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                waiter.callback(None)

    def __bool__(self) -> bool:
        return bool(self._waiting)
