"""A Twisted Web resource tree as an application."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource

from staplesrv.http.exchange import Exchange, Handler
from staplesrv.http.odd_target import answer_to_odd_target
from staplesrv.http.spool import Spool
from staplesrv.http.twisted_web.channel import Channel
from staplesrv.http.twisted_web.quiet_site import QuietSite


class TwistedWeb:
    """Has a tree of resources answer, as Twisted's `server.Site` does.

    What a resource gets is Twisted's own `server.Request`: sessions, `notifyFinish`, producers and `NOT_DONE_YET` work.
    Bodies of requests are complete before a resource sees them; large ones wait in a temporary file.

    Args:
        resource: The root.
        reactor: Times sessions out.

    Attributes:
        site: Twisted's; it has the sessions.
    """

    def __init__(self, resource: IResource, reactor: IReactorTime) -> None:
        self.site = QuietSite(resource, reactor)

    def handle(self, exchange: Exchange) -> Handler | None:
        """Have a resource answer, now, or once the request's body is there."""
        if (answer := answer_to_odd_target(exchange.request)) is not None:
            exchange.send(answer)
            return None
        channel = Channel(exchange, self.site)
        if exchange.request.length == 0:
            return None if channel.process() else channel
        return Spool(exchange, channel)

    def close(self) -> None:
        """Forget the sessions; their timers would go on."""
        for session in tuple(self.site.sessions.values()):
            session.expire()
