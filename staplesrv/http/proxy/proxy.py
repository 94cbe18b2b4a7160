"""The proxy: an application that has backends answer."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime

from staplesrv.http.client_certificate import lines as certificate_lines
from staplesrv.http.exchange import Exchange, Handler
from staplesrv.http.pages import page
from staplesrv.http.proxy.address import BackendAddress
from staplesrv.http.proxy.backend import Backend
from staplesrv.http.proxy.backends import Backends
from staplesrv.http.proxy.dialling import Dial
from staplesrv.http.proxy.forwarded import is_trusted, told, told_on
from staplesrv.http.proxy.relay import Relay
from staplesrv.http.proxy.request_head import BadRequest, request_head
from staplesrv.http.proxy.settings import ProxySettings
from staplesrv.http.websocket import new_key
from staplesrv.sources import RandomBytes
from staplesrv.sources import random_bytes as our_random_bytes


class Proxy:
    """Passes requests on to backends, and their answers back.

    The backend with the least requests under way is asked, of those that are well; of those that are not where none
    is. Where it can't be reached, or closes the connection without an answer to a request that can be repeated, the
    next one is asked.

    Args:
        backends: Where they are; at least one.
        dial: Connects to them.
        clock: The reactor.
        settings: How to treat them.
        random_bytes: For keys of WebSocket.
    """

    def __init__(
        self,
        backends: Sequence[BackendAddress],
        *,
        dial: Dial,
        clock: IReactorTime,
        settings: ProxySettings | None = None,
        random_bytes: RandomBytes = our_random_bytes,
    ) -> None:
        if not backends:
            raise ValueError("a proxy without a backend")
        self.settings = settings = settings or ProxySettings()
        self._fallback_host = backends[0].authority
        self._random_bytes = random_bytes
        asked = tuple(Backend(address, dial(address), settings, clock) for address in backends)
        self._backends = Backends(asked, settings, clock)

    def handle(self, exchange: Exchange) -> Handler | None:
        """Pass a request on; see `Application`."""
        request = exchange.request
        upgrade = request.upgrade if request.upgrade in self.settings.upgrades else b""
        if request.version == "2" and request.upgrade and not upgrade:
            # RFC 8441 §4 has nothing to say to it; RFC 9220 §3 has 501.
            exchange.send(page(501))
            return None
        key = new_key(self._random_bytes) if upgrade and request.version == "2" else b""
        try:
            head = self._head(exchange, upgrade, key)
        except BadRequest:
            exchange.send(page(400))
            return None
        relay = Relay(self._backends, exchange, head, upgrade=upgrade, key=key)
        return relay if relay.begin() else None

    def close(self) -> None:
        """Keep no connections any more; requests under way come to their end."""
        self._backends.close()

    def _head(self, exchange: Exchange, upgrade: bytes, key: bytes) -> bytes:
        request, connection, settings = exchange.request, exchange.connection, self.settings
        client = connection.client[0]
        asked = request.authority
        trusted = bool(settings.trusted) and is_trusted(client, settings.trusted)
        if trusted:
            lines = told_on(client, connection.secure, asked, request.fields)
        else:
            lines = told(client, connection.secure, asked)
        if connection.asked_for_certificate:
            lines += certificate_lines(connection.client_certificate)
        host = settings.host or asked or self._fallback_host
        return request_head(request, host=host, forwarded=lines, trusted=trusted, upgrade=upgrade, key=key)
