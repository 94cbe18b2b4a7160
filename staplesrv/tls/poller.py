"""The sockets of all connections in one epoll.

Theory of operation: under Twisted's epoll reactor that is the reactor's, whose turns serve them first hand
(`short_cut`). Under other reactors it is one of the poller's own, which is a single descriptor to the reactor: an epoll
is readable while anything in it is ready. The reactor calls `doRead` then, and that goes on until nothing is ready any
more, or others are due: what became ready while a handshake was computed is served in the same turn. So it works under
any reactor with file descriptors, that of select(2) with its limit of 1024 included.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import Any, Protocol
from weakref import WeakValueDictionary

from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from staplesrv.tls.short_cut import EVENTS_PER_TURN, Event, leave_short_cut, take_short_cut

READING = 1
"""EPOLLIN: watch for something to read."""
WRITING = 4
"""EPOLLOUT: watch for room to write."""

_BROKEN = 8 | 16  # EPOLLERR and EPOLLHUP, which are told unasked

_log = Logger()


class Watches(Protocol):
    """Watches sockets."""

    def watch(self, descriptor: Any, before: int, after: int) -> None:
        """Change what a socket is watched for.

        Args:
            descriptor: Has Twisted's `doRead`, `doWrite` and `connectionLost`; nothing may come back from the former
                two. It has to be taken out before its socket is closed.
            before: What it was watched for until now: `READING`, `WRITING`, both or 0.
            after: The same for from now on, and something else.
        """


def poller_for(reactor: Any) -> Watches:
    """Return what watches sockets under a reactor: a `Poller`, or the reactor itself where there is no epoll(7).

    All who ask have the same one, so that one turn of it serves the sockets of all of them.
    """
    if not hasattr(select, "epoll") or not isinstance(reactor, ReactorBase):
        return ReactorPoller(reactor)
    # A poller keeps its reactor alive, so that no other one has this number while it is here.
    poller = _pollers.get(id(reactor))
    if poller is None:
        poller = _pollers[id(reactor)] = Poller(reactor)
    return poller


@implementer(IReadDescriptor)
class Poller:
    """Watches sockets with an epoll. A socket that broke is told by `connectionLost`.

    Args:
        reactor: The reactor; it knows of this only while there is something to watch.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        # The poller's own epoll, and the one that has the sockets: this one or the reactor's.
        self._own: Any = None
        self._epoll: Any = None
        self._watched: dict[int, Any] = {}
        # Numbers that came or went since the events that are being served were asked for.
        self._changed: set[int] = set()

    def watch(self, descriptor: Any, before: int, after: int) -> None:
        """Change what a socket is watched for; see `Watches`."""
        number = descriptor.fileno()
        if not before:
            if self._own is None:
                self._begin()
            self._epoll.register(number, after)
            self._watched[number] = descriptor
            self._changed.add(number)
        elif after:
            self._epoll.modify(number, after)
        else:
            self._epoll.unregister(number)
            del self._watched[number]
            self._changed.add(number)
            if not self._watched:
                self._end()

    def fileno(self) -> int:
        """Return the descriptor of the poller's own epoll; -1 when there is none."""
        return -1 if self._own is None else int(self._own.fileno())

    def logPrefix(self) -> str:
        """Name it in the log."""
        return "TLS"

    def doRead(self) -> None:
        """Serve what is ready in the poller's own epoll."""
        served = 0
        while served < EVENTS_PER_TURN and self._epoll is not None:
            ready = self._epoll.poll(0, EVENTS_PER_TURN)
            if not ready:
                return
            served += len(ready)
            self._serve(ready)

    def _begin(self) -> None:
        self._own = select.epoll()
        # Where the sockets are in the reactor's epoll this one stays empty, and tells the poller of the reactor's end.
        self._reactor.addReader(self)
        self._epoll = take_short_cut(self._reactor, self._serve) or self._own

    def _end(self) -> None:
        leave_short_cut(self._reactor)
        self._reactor.removeReader(self)
        self._own.close()
        self._own = self._epoll = None

    def _serve(self, ready: list[Event]) -> Sequence[Event]:
        """Serve what is ready, and return what is no socket of ours."""
        others: tuple[Event, ...] = ()
        watched, changed = self._watched, self._changed
        changed.clear()
        for number, events in ready:
            # What was done for another one may have ended it, and begun a connection with the same number, ours or not.
            if number in changed:
                continue
            descriptor = watched.get(number)
            if descriptor is None:
                others = (*others, (number, events))
                continue
            try:
                if events & READING:
                    descriptor.doRead()
                elif events & _BROKEN:
                    _lose(descriptor, _LOST)
                # Reading may have ended it.
                if events & WRITING and (events == WRITING or watched.get(number) is descriptor):
                    descriptor.doWrite()
            except Exception:  # noqa: BLE001 - a protocol's fault costs its own connection, as with the reactors
                _log.failure("Unhandled error of a protocol; its connection is closed")
                _lose(descriptor, Failure())  # type: ignore[no-untyped-call]
        return others

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops: everything ends."""
        for descriptor in tuple(self._watched.values()):
            _lose(descriptor, reason)


class ReactorPoller:
    """Has the reactor watch sockets.

    Args:
        reactor: The reactor.
    """

    def __init__(self, reactor: IReactorFDSet) -> None:
        self._reactor = reactor

    def watch(self, descriptor: Any, before: int, after: int) -> None:
        """Change what a socket is watched for; see `Watches`."""
        changed = before ^ after
        if changed & READING:
            (self._reactor.addReader if after & READING else self._reactor.removeReader)(descriptor)
        if changed & WRITING:
            (self._reactor.addWriter if after & WRITING else self._reactor.removeWriter)(descriptor)


def _lose(descriptor: Any, reason: Failure) -> None:
    """End one. What its protocol raises then must not get to the reactor, which would end all of them."""
    try:
        descriptor.connectionLost(reason)
    except Exception:  # noqa: BLE001 - see above
        _log.failure("Unhandled error of a protocol at the end of its connection")


_pollers: WeakValueDictionary[int, Poller] = WeakValueDictionary()
"""By the number of their reactor, as long as anybody has them."""

_LOST = Failure(CONNECTION_LOST)  # type: ignore[no-untyped-call]
