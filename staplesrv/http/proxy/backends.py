"""All backends of a proxy: which one is asked next, and how long each step may take."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from staplesrv.deadlines import Deadlines
from staplesrv.http.proxy.backend import Backend
from staplesrv.http.proxy.settings import ProxySettings


class Timed(Hashable, Protocol):
    """Something that has a deadline."""

    def overdue(self) -> None:
        """The deadline has come."""


class Backends:
    """The backends of a proxy, and the deadlines of what they do.

    Args:
        backends: At least one.
        settings: How long steps may take.
        clock: The reactor.

    Attributes:
        answering: For heads of answers.
        idling: For content in either direction.
        tunnelling: For the next bytes in a tunnel.
    """

    def __init__(self, backends: tuple[Backend, ...], settings: ProxySettings, clock: IReactorTime) -> None:
        self._backends = backends
        self._turn = 0
        self.answering: Deadlines[Timed] = Deadlines(clock, settings.answer_seconds, _overdue)
        self.idling: Deadlines[Timed] = Deadlines(clock, settings.idle_seconds, _overdue)
        self.tunnelling: Deadlines[Timed] = Deadlines(clock, settings.tunnel_seconds, _overdue)

    def choose(self, tried: Collection[Backend]) -> Backend | None:
        """Return the backend to be asked next: of those that are well the one with the least to do.

        Args:
            tried: For this request already.

        Returns:
            One that is not well where no other is; None where all are tried or full.
        """
        if len(self._backends) == 1:
            only = self._backends[0]
            return None if only in tried or only.full() else only
        # Not always the first of those that have the same to do.
        self._turn = (self._turn + 1) % len(self._backends)
        order = self._backends[self._turn :] + self._backends[: self._turn]
        left = [backend for backend in order if backend not in tried and not backend.full()]
        return min(left, key=lambda backend: (not backend.well(), backend.busy), default=None)

    def close(self) -> None:
        """Keep no connections any more; requests under way come to their end."""
        for backend in self._backends:
            backend.close()
        for deadlines in (self.answering, self.idling, self.tunnelling):
            deadlines.let_go()


def _overdue(thing: Timed) -> None:
    thing.overdue()
