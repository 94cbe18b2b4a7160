"""The ways in which an answer can travel, or fail to."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from twisted.internet import task
from twisted.web import http

from staplesrv.testing.asked import Request
from staplesrv.testing.behaviour import Behaviour
from staplesrv.testing.delivery import Delivery, needed

_HOPS: Final = {
    Behaviour.REDIRECT: 1,
    Behaviour.REDIRECT_THREE_TIMES: 3,
    Behaviour.REDIRECT_FOUR_TIMES: 4,
    Behaviour.REDIRECT_LOOP: math.inf,
}
_ENDLESS_CHUNK: Final = bytes(16 * 1024)


def deliver(delivery: Delivery, behaviour: Behaviour) -> None:
    """Send an answer in the way of a behaviour; one that is about the answer alone is sent as it should be."""
    if behaviour in _HOPS:
        _redirect(delivery, behaviour)
    elif behaviour.startswith("http-"):
        delivery.refuse(int(behaviour.removeprefix("http-")))
    else:
        _WAYS.get(behaviour, Delivery.send)(delivery)


def followed_redirect(request: Request) -> Behaviour | None:
    """Which redirect a client followed to this request; None where it came by itself."""
    name = request.args.get(b"after", [b""])[0].decode("latin-1")
    return Behaviour(name) if name in Behaviour.__members__.values() else None


def _redirect(delivery: Delivery, behaviour: Behaviour) -> None:
    hops = delivery.request.args.get(b"after", []).count(behaviour.encode())
    if hops >= _HOPS[behaviour]:
        delivery.send()
        return
    # One more argument for each hop, so that no two addresses are the same.
    join = b"&" if hops else b"?"
    _redirect_to(delivery, delivery.request.uri + join + b"after=" + behaviour.encode())


def _redirect_to_file(delivery: Delivery) -> None:
    _redirect_to(delivery, b"file:///etc/passwd")


def _redirect_to(delivery: Delivery, location: bytes) -> None:
    delivery.request.setHeader(b"Location", location)
    delivery.refuse(http.FOUND)


def _not_modified(delivery: Delivery) -> None:
    delivery.request.setResponseCode(http.NOT_MODIFIED)
    delivery.request.finish()


def _gzip(delivery: Delivery) -> None:
    delivery.name_type()
    delivery.request.setHeader(b"Content-Encoding", b"gzip")
    delivery.finish(gzip.compress(delivery.body))


def _truncated(delivery: Delivery) -> None:
    delivery.name_type()
    delivery.request.setHeader(b"Content-Length", b"%d" % len(delivery.body))
    delivery.request.write(delivery.body[: len(delivery.body) // 2])
    _transport(delivery).loseConnection()


def _close(delivery: Delivery) -> None:
    _transport(delivery).loseConnection()


def _reset(delivery: Delivery) -> None:
    _transport(delivery).abortConnection()


def _transport(delivery: Delivery) -> Any:
    return delivery.request.channel.transport


def _silence(delivery: Delivery) -> None:
    """Do nothing until the client leaves."""


class _Endless:
    """A pull producer: one chunk whenever the last one has gone."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def resumeProducing(self) -> None:
        self._request.write(_ENDLESS_CHUNK)

    def stopProducing(self) -> None:
        """The client left."""


def _endless(delivery: Delivery) -> None:
    delivery.name_type()
    delivery.request.registerProducer(_Endless(delivery.request), False)


def _slow_drip(delivery: Delivery) -> None:
    delivery.name_type()
    delivery.request.setHeader(b"Content-Length", b"%d" % len(delivery.body))
    dripping = task.LoopingCall(_drop, delivery.request, iter(delivery.body))
    dripping.clock = needed(delivery.clock)

    def stop(_: object) -> None:
        if dripping.running:
            dripping.stop()

    delivery.request.notifyFinish().addBoth(stop)
    dripping.start(delivery.drip)


def _drop(request: Request, left: Iterator[int]) -> None:
    byte = next(left, None)
    if byte is None:
        request.finish()
    else:
        request.write(bytes((byte,)))


_WAYS: Final[Mapping[Behaviour, Callable[[Delivery], None]]] = {
    Behaviour.GZIP: _gzip,
    Behaviour.ENDLESS: _endless,
    Behaviour.TRUNCATED: _truncated,
    Behaviour.SLOW_DRIP: _slow_drip,
    Behaviour.SILENCE: _silence,
    Behaviour.CLOSE: _close,
    Behaviour.RESET: _reset,
    Behaviour.NOT_MODIFIED: _not_modified,
    Behaviour.REDIRECT_TO_FILE: _redirect_to_file,
}
