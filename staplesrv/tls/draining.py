"""The end of a server's connections: they may finish what they are at, for a while, and are closed then."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from staplesrv.tls.connections import Connections

LAST_SECONDS = 1.0
"""For closed connections to be gone, which takes them a turn of the reactor. One that is counted and can't be found
must not keep a server from stopping."""

_log = Logger()


class Draining:
    """Waits until no connection is open.

    Args:
        connections: Those that end; no new ones are let in meanwhile.
        clock: The reactor.
    """

    def __init__(self, connections: Connections, clock: IReactorTime) -> None:
        self._connections = connections
        self._clock = clock
        self._hurried = False
        self._timer: IDelayedCall | None = None
        self._emptied = connections.emptied()

    async def wait(self, seconds: float) -> None:
        """Return when the last one has ended.

        Args:
            seconds: How long they may take; then they are closed.
        """
        count = self._connections.open
        if count and not self._hurried:
            said = "stopping: {count} connections may finish, in {seconds:g} s; a second signal closes them at once"
            _log.info(said, count=count, seconds=seconds)
        if count:
            self._timer = self._clock.callLater(0 if self._hurried else seconds, self._close)
        try:
            await self._emptied
        except CancelledError:
            _log.error("{count} connections could not be closed", count=self._connections.open)
        finally:
            self._wait_no_more()

    def hurry(self) -> None:
        """Close those that are still open, as if the time were over."""
        self._hurried = True
        if self._timer is not None:
            self._close()

    def _close(self) -> None:
        self._wait_no_more()
        _log.info("{count} connections are closed before their end", count=self._connections.open)
        self._connections.abort()
        self._timer = self._clock.callLater(LAST_SECONDS, self._emptied.cancel)

    def _wait_no_more(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
