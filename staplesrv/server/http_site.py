"""The HTTP server for programs that embed it: what `twisted.web.server.Site` is to Twisted Web."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.web.resource import IResource

from staplesrv import sources
from staplesrv.http.exchange import Application, Exchange, Handler
from staplesrv.http.factory import HTTPFactory
from staplesrv.http.limits import Limits
from staplesrv.http.twisted_web.application import TwistedWeb
from staplesrv.server.configuration.listener import DEFAULT_PROTOCOLS
from staplesrv.server.configuration.site import MAX_BODY
from staplesrv.server.connection_facts import ConnectionFacts


class HTTPSite(HTTPFactory):
    """A factory that serves HTTP/1.1, and HTTP/2 where its library is installed and the transport has ALPN.

    Args:
        root: A Twisted Web resource, or an application of the room `http`.
        reactor: The reactor.
        protocols: ALPN names, the preferred one first.
        max_body: Bytes that a request's body may have; None for no limit.
        limits: What clients may take.
        wall_clock: Seconds since the epoch.
    """

    def __init__(
        self,
        root: IResource | Application,
        reactor: Any,
        *,
        protocols: Sequence[str] = DEFAULT_PROTOCOLS,
        max_body: int | None = MAX_BODY,
        limits: Limits | None = None,
        wall_clock: sources.WallClock = sources.wall_clock,
    ) -> None:
        application = TwistedWeb(root, reactor) if IResource.providedBy(root) else root
        super().__init__(
            _Limited(application, max_body),
            describe=ConnectionFacts,
            clock=reactor,
            wall_clock=wall_clock,
            limits=limits,
            protocols=protocols,
        )


@dataclass(frozen=True, slots=True)
class _Limited:
    """An application whose requests may have so much of a body."""

    application: Application
    max_body: int | None

    def handle(self, exchange: Exchange) -> Handler | None:
        """Have it answer."""
        exchange.body_limit = self.max_body
        return self.application.handle(exchange)
