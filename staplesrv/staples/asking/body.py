"""Bodies of requests and responses: sent in one piece, read up to a cap as they arrive, or not wanted at all."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer, IResponse
from zope.interface import implementer

from staplesrv.staples.failure import FailureKind, FetchFailed


@implementer(IBodyProducer)
class WholeBody:
    """A request's body that is written at once.

    Twisted's `FileBodyProducer` writes in later turns of the reactor, for which it takes the global one.

    Args:
        content: The body.
    """

    def __init__(self, content: bytes) -> None:
        self._content: Final = content
        self.length = len(content)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write everything."""
        consumer.write(self._content)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Do nothing: it is over."""

    def resumeProducing(self) -> None:
        """Do nothing: it is over."""

    def stopProducing(self) -> None:
        """Do nothing: it is over."""


async def read_body(response: IResponse, most: int) -> bytes:
    """Read a response's body.

    A body that turns out too large costs its connection; so does cancelling.

    Args:
        response: Its body is not decoded in any way.
        most: Bytes.

    Raises:
        FetchFailed: `bad-response`: the body is larger than `most`, as announced or as it arrives.
        ResponseFailed: the connection broke in the midst of it.
    """
    if response.length is not UNKNOWN_LENGTH and response.length > most:
        abandon(response)
        raise _too_large(most)
    collector = _Collector(most)
    response.deliverBody(collector)  # type: ignore[no-untyped-call]
    return await collector.whole


def abandon(response: IResponse) -> None:
    """Leave a response's body unread; where there is one its connection is closed."""
    response.deliverBody(_Unwanted())  # type: ignore[no-untyped-call]


def _too_large(most: int) -> FetchFailed:
    return FetchFailed(FailureKind.BAD_RESPONSE, f"the body has more than {most} bytes")


class _Collector(Protocol):
    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._parts: list[bytes] = []
        self._over = False
        self.whole: Deferred[bytes] = Deferred(self._cancelled)

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        if self._over:
            return
        if self._size > self._most:
            self._parts.clear()
            self._end(_too_large(self._most))
            return
        self._parts.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._over:
            return
        self._over = True
        # PotentialDataLoss: a body without a length ends with its connection. What is missing would be missing DER.
        if reason.check(ResponseDone, PotentialDataLoss):  # type: ignore[no-untyped-call]
            self.whole.callback(b"".join(self._parts))
        else:
            self.whole.errback(reason)

    def _end(self, failure: Exception) -> None:
        self._close()
        self.whole.errback(failure)

    def _cancelled(self, _: Deferred[bytes]) -> None:
        self._close()

    def _close(self) -> None:
        self._over = True
        _close(self.transport)


class _Unwanted(Protocol):
    def connectionMade(self) -> None:
        _close(self.transport)


def _close(transport: ITransport | None) -> None:
    # Not abortConnection(): the transport of a response's body is a proxy that has only this. It does nothing once the
    # body is complete and the connection back in the pool.
    if transport is not None:
        transport.loseConnection()
