"""The sockets of all connections in one epoll, of which the reactor sees a single descriptor.

Theory of operation: an epoll is readable while anything in it is ready. The reactor calls `doRead` then, and that goes
on until nothing is ready any more, or others are due: what became ready while a handshake was computed is served in
the same turn of the reactor. It works under any reactor with file descriptors, that of select(2) with its limit of 1024
included.
"""

from __future__ import annotations

import select
from typing import Any, Protocol
from weakref import WeakValueDictionary

from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from staplesrv.tls.short_cut import leave_short_cut, take_short_cut

READING = 1
"""EPOLLIN: watch for something to read."""
WRITING = 4
"""EPOLLOUT: watch for room to write."""

_BROKEN = 8 | 16  # EPOLLERR and EPOLLHUP, which are told unasked
_EVENTS_PER_TURN = 64
"""After so many it is the turn of whatever else the reactor has to do: handshakes take some 20 ms then."""

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
        self._epoll: Any = None
        self._watched: dict[int, Any] = {}
        self._new: set[int] = set()

    def watch(self, descriptor: Any, before: int, after: int) -> None:
        """Change what a socket is watched for; see `Watches`."""
        number = descriptor.fileno()
        if not before:
            if self._epoll is None:
                self._epoll = select.epoll()
                self._reactor.addReader(self)
                take_short_cut(self._reactor, self._epoll.fileno(), self.doRead)
            self._epoll.register(number, after)
            self._watched[number] = descriptor
            self._new.add(number)
        elif after:
            self._epoll.modify(number, after)
        else:
            self._epoll.unregister(number)
            del self._watched[number]
            if not self._watched:
                leave_short_cut(self._reactor)
                self._reactor.removeReader(self)
                self._epoll.close()
                self._epoll = None

    def fileno(self) -> int:
        """Return the epoll's own descriptor."""
        return -1 if self._epoll is None else int(self._epoll.fileno())

    def logPrefix(self) -> str:
        """Name it in the log."""
        return "TLS"

    def doRead(self) -> None:
        """Serve what is ready."""
        served = 0
        while served < _EVENTS_PER_TURN and self._epoll is not None:
            ready = self._epoll.poll(0, _EVENTS_PER_TURN)
            if not ready:
                return
            served += len(ready)
            self._new.clear()
            for number, events in ready:
                descriptor = self._watched.get(number)
                # What was done for another one may have ended it, and begun a connection with the same number.
                if descriptor is None or number in self._new:
                    continue
                try:
                    if events & READING:
                        descriptor.doRead()
                    elif events & _BROKEN:
                        _lose(descriptor, _LOST)
                    if events == WRITING or (events & WRITING and self._watched.get(number) is descriptor):
                        descriptor.doWrite()
                except Exception:  # noqa: BLE001 - a protocol's fault costs its own connection, as with the reactors
                    _log.failure("Unhandled error of a protocol; its connection is closed")
                    _lose(descriptor, Failure())  # type: ignore[no-untyped-call]

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
