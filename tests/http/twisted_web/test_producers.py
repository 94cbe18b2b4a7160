"""Resources that produce at the client's pace."""

from __future__ import annotations

from typing import Any

import pytest
from fake_exchange import FakeExchange
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from staplesrv.http.exchange import Handler
from staplesrv.http.twisted_web.application import TwistedWeb


class Producer:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """Write no more."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Write on."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """It is over."""
        self.told.append("stop")


class Pieces:
    """A pull producer of some pieces; writes one each time, and ends the response after the last."""

    def __init__(self, request: Any, count: int) -> None:
        self.request = request
        self.left = count
        self.stopped = False

    def resumeProducing(self) -> None:
        """Write a piece."""
        if self.left:
            self.left -= 1
            self.request.write(b"piece")
        else:
            self.request.unregisterProducer()
            self.request.finish()

    def stopProducing(self) -> None:
        """It is over."""
        self.stopped = True


class Broken(Pieces):
    """A pull producer that fails at its second piece."""

    def resumeProducing(self) -> None:
        """Write a piece, or fail."""
        if self.left == 1:
            raise RuntimeError("no more")
        super().resumeProducing()


class Producing(Resource):
    """A resource that registers a producer."""

    isLeaf = True

    def __init__(self, make: Any, *, streaming: bool) -> None:
        super().__init__()
        self._make = make
        self._streaming = streaming
        self.made: Any = None
        self.request: Any = None

    def render_GET(self, request: Any) -> int:
        """Begin."""
        self.request = request
        self.made = self._make(request)
        request.write(b"first ")
        request.registerProducer(self.made, self._streaming)
        return NOT_DONE_YET


class Behind(FakeExchange):
    """An exchange whose client is behind after each piece."""

    __slots__ = ()

    def write(self, data: bytes) -> None:
        """As the interface says."""
        super().write(data)
        if self.handler is not None:
            self.handler.pause()


def begun(resource: Resource, clock: Clock, kind: type[FakeExchange] = FakeExchange) -> tuple[FakeExchange, Handler]:
    """An exchange that the resource has begun to answer."""
    exchange = kind()
    exchange.give(TwistedWeb(resource, clock))
    assert exchange.handler is not None
    return exchange, exchange.handler


def test_a_push_producer_follows_the_clients_pace() -> None:
    """What was written before it was registered is out; it is paused, resumed, and stopped with the client."""
    resource = Producing(lambda _: Producer(), streaming=True)
    exchange, handler = begun(resource, Clock())
    assert exchange.told.body == b"first "
    handler.pause()
    handler.resume()
    handler.lost()
    assert resource.made.told == ["pause", "resume", "stop"]


def test_a_producer_that_comes_while_the_client_is_behind() -> None:
    """It is paused from its start."""
    resource = Producing(lambda _: Producer(), streaming=True)
    _, handler = begun(resource, Clock())
    resource.request.unregisterProducer()
    handler.pause()
    second = Producer()
    resource.request.registerProducer(second, True)
    handler.resume()
    assert second.told == ["pause", "resume"]
    assert not resource.made.told


def test_one_producer_at_a_time() -> None:
    """A second one is an error."""
    resource = Producing(lambda _: Producer(), streaming=True)
    begun(resource, Clock())
    with pytest.raises(ValueError, match="registering producer"):
        resource.request.registerProducer(Producer(), True)


def test_a_pull_producer_writes_a_piece_per_turn() -> None:
    """It is asked until it has no more, and leaves nothing in the reactor."""
    clock = Clock()
    exchange, _ = begun(Producing(lambda request: Pieces(request, 3), streaming=False), clock)
    assert exchange.told.body == b"first "
    clock.advance(0)
    assert exchange.told.body == b"first " + b"piece" * 3
    assert exchange.told.finished
    assert not clock.getDelayedCalls()


def test_a_pull_producer_waits_for_the_client() -> None:
    """It is not asked while the client is behind."""
    clock = Clock()
    exchange, handler = begun(Producing(lambda request: Pieces(request, 3), streaming=False), clock, Behind)
    handler.pause()
    clock.pump([1] * 5)
    assert exchange.told.body == b"first "
    for count in (1, 2):
        handler.resume()
        handler.resume()
        clock.pump([1] * 5)
        assert exchange.told.body == b"first " + b"piece" * count


def test_a_pull_producer_whose_client_goes_away() -> None:
    """It is stopped, and asked no more."""
    clock = Clock()
    resource = Producing(lambda request: Pieces(request, 3), streaming=False)
    _, handler = begun(resource, clock, Behind)
    clock.advance(0)
    handler.resume()
    handler.lost()
    assert (resource.made.stopped, resource.made.left) == (True, 2)
    assert not clock.getDelayedCalls()


def test_a_pull_producer_that_fails() -> None:
    """The response is broken off, so that the client notices; the log says why, once."""
    clock, events = Clock(), []
    exchange, _ = begun(Producing(lambda request: Broken(request, 2), streaming=False), clock)
    globalLogPublisher.addObserver(events.append)
    clock.pump([0] * 5)
    globalLogPublisher.removeObserver(events.append)
    assert exchange.told.aborted
    assert exchange.told.body == b"first piece"
    assert len(events) == 1
    assert not clock.getDelayedCalls()


def test_a_producer_that_was_not_unregistered() -> None:
    """Twisted's own complaint is logged, and the response is whole."""
    events: list[Any] = []
    resource = Producing(lambda _: Producer(), streaming=True)
    exchange, handler = begun(resource, Clock())
    globalLogPublisher.addObserver(events.append)
    resource.request.finish()
    globalLogPublisher.removeObserver(events.append)
    assert exchange.told.finished
    assert len(events) == 1
    handler.pause()
    assert not resource.made.told
