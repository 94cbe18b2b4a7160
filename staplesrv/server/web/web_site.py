"""HTTP behind the TLS: Twisted Web's Site, with the few things that a server on the open net has to see to."""

# Twisted Web has no annotations, and each call would need a waiver of its own.
# mypy: allow-untyped-calls

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.web import http, server
from twisted.web.resource import IResource, getChildForRequest

from staplesrv.server.web.hosts import Hosts
from staplesrv.tls.connection import ServerConnection
from staplesrv.tls.live_site import LiveSite

SERVER = b"staplesrv"
"""What the Server header says; a version would be of use to attackers alone."""


class WebRequest(server.Request):
    """A request that may name its target in every form that HTTP knows."""

    def process(self) -> None:
        """Find the resource and have it answer."""
        if self.path.startswith(b"/"):
            super().process()
        elif self.path == b"*":
            self._end(http.OK if self.method == b"OPTIONS" else http.NOT_ALLOWED)
        elif b"://" in self.path:
            self._to_origin_form()
            super().process()
        else:
            self._end(http.BAD_REQUEST)

    def _end(self, code: int) -> None:
        self.setResponseCode(code)
        self.setHeader(b"server", SERVER)
        self.setHeader(b"date", http.datetimeToString())
        if code == http.NOT_ALLOWED:
            self.setHeader(b"allow", b"OPTIONS")
        self.setHeader(b"content-length", b"0")
        self.finish()

    def _to_origin_form(self) -> None:
        # RFC 9112 §3.2.2: a server takes the absolute form too, and then goes by its host, not by the Host header.
        host, slash, rest = self.path.partition(b"://")[2].partition(b"/")
        self.path = slash + rest or b"/"
        self.requestHeaders.setRawHeaders(b"host", [host])


class WebChannel(http.HTTPChannel):
    """HTTP/1.1 that hangs up on an overlong line over TLS too."""

    transport: Any

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: ARG002 - Twisted's signature
        """Refuse it, as Twisted refuses long headers of short lines."""
        # Twisted's closes the transport alone. TLS then waits for the channel, which still is registered with it as a
        # producer: the client heard nothing until the idle time-out.
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.loseConnection()


class QuietSite(server.Site):
    """A Site without Twisted's access log, which goes to the program's own log, a line per request.

    That log also takes its dates from the reactor's clock, which is not the wall's here (see `steady_time`). The Date
    header does come from the wall clock.
    """

    noisy = False

    def startFactory(self) -> None:
        """Start nothing: without the log there is no use for the clock of its dates, which ticks each second."""

    def stopFactory(self) -> None:
        """Stop nothing."""

    def log(self, request: http.Request) -> None:
        """Log nothing."""


class WebSite(QuietSite):
    """What one listener serves.

    Args:
        hosts: Which site answers; may be shared.
        protocols: ALPN names, the preferred one first.
        reactor: For time-outs.
    """

    requestFactory = WebRequest

    def __init__(self, hosts: Hosts, protocols: Sequence[str], reactor: IReactorTime) -> None:
        super().__init__(None, reactor=reactor)
        self._hosts = hosts
        self._protocols = [protocol.encode() for protocol in protocols]

    def protocol(self) -> Any:
        """Make what one connection speaks, until ALPN says otherwise."""
        return http._GenericHTTPChannelProtocol(WebChannel())  # noqa: SLF001 - Twisted has no public way

    def acceptableProtocols(self) -> list[bytes]:
        """Return the ALPN names, for TLS that asks here."""
        return self._protocols

    def getResourceFor(self, request: Any) -> IResource:
        """Find what answers: the site by the Host header, then the resource by the path."""
        request.site = self
        request.sitepath = copy.copy(request.prepath)
        request.setHeader(b"server", SERVER)
        root = self._hosts.find(request.getRequestHostname(), site_shown(request.channel))
        found: IResource = getChildForRequest(root, request)
        return found


def site_shown(channel: Any) -> LiveSite | None:
    """Return the site that a connection's handshake led to, if the client named one.

    Args:
        channel: Of a request: HTTP/1.1's, or the stream of HTTP/2's.
    """
    # An HTTP/2 stream has no transport by design; its connection has.
    transport = channel.transport or getattr(channel, "_conn", channel).transport
    handle = getattr(transport, "getHandle", lambda: None)()
    if not isinstance(handle, ServerConnection) or handle.get_servername() is None:
        return None
    return handle.site
