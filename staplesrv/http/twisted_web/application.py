"""A Twisted Web resource tree as an application."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource

from staplesrv.http.exchange import Exchange, Handler
from staplesrv.http.pages import page, page_with
from staplesrv.http.response import Response
from staplesrv.http.twisted_web.channel import Channel
from staplesrv.http.twisted_web.quiet_site import QuietSite
from staplesrv.http.twisted_web.spool import Spool

_STAR = Response(204, ((b"Allow", b"OPTIONS"),))
_NO_STAR = page_with(405, ((b"Allow", b"OPTIONS"),))


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
        request = exchange.request
        if b"%00" in request.path:
            # The file system's calls raise for it, and resources pass segments on to them.
            exchange.send(page(400))
            return None
        if request.target == b"*":
            exchange.send(_STAR if request.method == b"OPTIONS" else _NO_STAR)
            return None
        channel = Channel(exchange, self.site)
        if request.length == 0:
            return None if channel.process() else channel
        return Spool(exchange, channel)

    def close(self) -> None:
        """Forget the sessions; their timers would go on."""
        for session in tuple(self.site.sessions.values()):
            session.expire()
