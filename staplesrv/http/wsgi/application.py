"""A WSGI callable as an application."""

from __future__ import annotations

from io import BytesIO
from typing import Any
from wsgiref.types import WSGIApplication

from twisted.python.threadpool import ThreadPool

from staplesrv.http.exchange import Exchange, Handler
from staplesrv.http.odd_target import answer_to_odd_target
from staplesrv.http.pages import page
from staplesrv.http.spool import Spool
from staplesrv.http.wsgi.call import Call


class Wsgi:
    """Has a WSGI callable answer, in a thread of a pool.

    Bodies of requests are complete before it is called; large ones wait in a temporary file. What it yields goes out
    at the client's pace: its thread waits.

    Args:
        application: The callable.
        reactor: Its `callFromThread` is what threads use.
        threads: Where it is called; as many calls run at a time as the pool has threads.
    """

    def __init__(self, application: WSGIApplication, reactor: Any, threads: ThreadPool) -> None:
        self._application = application
        self._reactor = reactor
        self._threads = threads

    def handle(self, exchange: Exchange) -> Handler | None:
        """Call it, now, or once the request's body is there."""
        if (answer := answer_to_odd_target(exchange.request)) is not None:
            exchange.send(answer)
            return None
        if exchange.request.method == b"CONNECT":
            # RFC 8441: it asks for a tunnel, and any 2xx would be one.
            exchange.send(page(501))
            return None
        call = Call(exchange, self._application, self._reactor, self._threads)
        if exchange.request.length != 0:
            return Spool(exchange, call)
        call.process(BytesIO())
        return call
