"""A producer that has to be asked for each piece, as one that is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IPullProducer, IReactorTime
from twisted.logger import Logger

if TYPE_CHECKING:
    from staplesrv.http.twisted_web.channel import Channel

_log = Logger()


class Pulled:
    """Asks a pull producer for a piece per turn of the reactor, unless it is paused.

    Args:
        producer: What writes a piece each time that it is asked.
        channel: Where it writes to.
        reactor: For turns.
    """

    def __init__(self, producer: IPullProducer, channel: Channel, reactor: IReactorTime) -> None:
        self._producer = producer
        self._channel = channel
        self._reactor = reactor
        self._next: IDelayedCall | None = None
        self.resumeProducing()

    def pauseProducing(self) -> None:
        """Ask for nothing until `resumeProducing`."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._paused = True

    def resumeProducing(self) -> None:
        """Ask for pieces."""
        self._paused = False
        if self._next is None:
            self._next = self._reactor.callLater(0, self._pull)

    def stopProducing(self) -> None:
        """The client is gone."""
        self.pauseProducing()
        self._producer.stopProducing()

    def stop(self) -> None:
        """It has written everything."""
        self.pauseProducing()

    def _pull(self) -> None:
        self._next = None
        try:
            self._producer.resumeProducing()
        except Exception:  # noqa: BLE001 - other people's code; it costs its own response
            _log.failure("{producer} failed at resumeProducing; its response is broken off", producer=self._producer)
            self._channel.loseConnection()
        if not self._paused:
            self.resumeProducing()
