"""Which site answers a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, cast

from twisted.internet.interfaces import IProtocolFactory

from staplesrv import sources
from staplesrv.http.access_log import AccessLog
from staplesrv.http.authority import split
from staplesrv.http.exchange import NO_FIELDS, Application, Connection, Exchange, FieldLines, Handler
from staplesrv.http.pages import page
from staplesrv.http.refused_request import RefusedRequest
from staplesrv.http.response import Response
from staplesrv.rates import Rates
from staplesrv.server.connection_facts import ConnectionFacts
from staplesrv.server.request_rate import Paced, RequestRate
from staplesrv.tls.addresses import network_of_host
from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.sni import SiteTable

NOT_FOUND = 404
MISDIRECTED = 421

MakeTunnel = Callable[[Connection], Any]
"""Makes what makes the protocol of a connection whose bytes are not HTTP: something with `buildProtocol`."""


@dataclass(frozen=True, slots=True)
class Page:
    """An application that gives one answer to everything."""

    response: Response

    def handle(self, exchange: Exchange) -> None:
        """Send it."""
        exchange.send(self.response)


@dataclass(frozen=True, slots=True)
class Logged:
    """An application whose exchanges are in an access log."""

    application: Application
    access_log: AccessLog

    def handle(self, exchange: Exchange) -> Handler | None:
        """Have it answer."""
        self.access_log.begin(exchange)
        return self.application.handle(exchange)


@dataclass(frozen=True, slots=True, eq=False)
class Behind:
    """What is behind one site.

    Args:
        application: Answers requests.
        added: Fields of every response.
        body_limit: Bytes of a request's body; None for no limit.
        tunnel: Takes whole connections instead, where the site is no HTTP.
        rate: How often one address may ask; None for no limit.
    """

    application: Application
    added: FieldLines = NO_FIELDS
    body_limit: int | None = None
    tunnel: MakeTunnel | None = None
    rate: RequestRate | None = None


NO_HTTP = Page(page(MISDIRECTED))
"""What a site whose connections are not HTTP answers to a request that came on another one's."""

_NOTHING = Behind(Page(page(NOT_FOUND)))
_ELSEWHERE = Behind(NO_HTTP)


class Front(Protocol):
    """Has the sites that are served now: the stapler's front."""

    @property
    def table(self) -> SiteTable[LiveSite] | None:
        """By their names; None before there are any."""


class _Route(NamedTuple):
    """Where an authority leads, and in which era that was so. What was true then is not kept alive by it."""

    authority: bytes
    era: object
    behind: Behind


class Hosts:
    """Leads requests by their authority, with the table that leads handshakes by their server names.

    An application. A connection remembers where its last request was led, so that the next one costs 0.2 us here and
    not 2. A reload swaps table and sites, which begins a new era, in which nothing of that holds.

    Args:
        front: Tells which sites there are.
        sites: What is behind each; replaced as a whole by a reload.
        access_log: Told of every exchange.
        rates: Where requests are counted that are limited, if not in a table of its own.

    Attributes:
        refused: How many requests were too much for a site's rate, by site.
    """

    def __init__(
        self,
        front: Front,
        sites: Mapping[SiteCertificate, Behind],
        access_log: AccessLog | None = None,
        rates: Rates | None = None,
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._rates = rates or Rates(sources.monotonic)
        self._front = front
        self.sites = sites
        self._access_log = access_log
        self._table: SiteTable[LiveSite] | None = None
        self._sites = sites
        self._era = object()

    def handle(self, exchange: Exchange) -> Handler | None:
        """Have the site answer that the request is for."""
        facts = cast("ConnectionFacts", exchange.connection)
        authority = exchange.request.authority
        if self._table is not self._front.table or self._sites is not self.sites:
            self._table, self._sites, self._era = self._front.table, self.sites, object()
        route: _Route | None = facts.route
        if route is None or route.authority != authority or route.era is not self._era:
            route = facts.route = _Route(authority, self._era, self._lead(authority, facts))
        behind = route.behind
        exchange.added = behind.added
        exchange.body_limit = behind.body_limit
        if self._access_log is not None:
            self._access_log.begin(exchange)
        return behind.application.handle(exchange)

    def _lead(self, authority: bytes, facts: ConnectionFacts) -> Behind:
        """Find what answers one connection's requests, which is held to the site's rate if it has one."""
        behind = self._find(_host(authority), facts)
        network = "" if behind.rate is None else network_of_host(facts.client[0])
        if behind.rate is None or not network:
            return behind
        return replace(behind, application=Paced(behind.application, self._rates, network, behind.rate, self.refused))

    def tunnel(self, connection: Any) -> IProtocolFactory | None:
        """Return what takes a whole connection, where its site is no HTTP; by the handshake's server name.

        Args:
            connection: The facts, once the handshake is over.
        """
        facts = cast("ConnectionFacts", connection)
        site = facts.site
        behind = None if site is None else self.sites.get(site.loaded.certificate)
        if site is None or behind is None or behind.tunnel is None or not self._still_wanted(site, facts):
            return None
        return cast("IProtocolFactory", behind.tunnel(connection))

    def _still_wanted(self, site: LiveSite, facts: ConnectionFacts) -> bool:
        """Whether a handshake's site would ask its client for the same still; a reload may have come in between."""
        if site.client is None:
            return True  # else it would be another site to whoever has looked it up by what the operator says of it
        table = self._front.table
        return table is not None and _was_asked(table.find(facts.server_name), facts)

    def logged(self, application: Application) -> Application:
        """Return an application whose exchanges are in the access log, beside those of the sites."""
        return application if self._access_log is None else Logged(application, self._access_log)

    def log_refused(self, request: RefusedRequest) -> None:
        """Have a request in the access log that no application was asked."""
        if self._access_log is not None:
            self._access_log.refused(request)

    def _find(self, host: bytes | None, facts: ConnectionFacts) -> Behind:
        table = self._table
        if table is None:
            return _NOTHING
        named = None if host is None else table.named(host)
        # RFC 9110 §15.5.20: HTTP/2 clients send requests for every name of a certificate down one connection, whose
        # staple says nothing of other certificates. For a name that is nobody's the first site is there in any case.
        if named is not None and not _was_shown(named, facts):
            return _ELSEWHERE
        site = named or table.sites[0]
        if not _was_asked(site, facts):
            return _ELSEWHERE
        behind = self.sites.get(site.loaded.certificate, _NOTHING)
        return behind if behind.tunnel is None else _ELSEWHERE


def _was_shown(site: LiveSite, facts: ConnectionFacts) -> bool:
    """Whether the handshake showed a site's certificate; also where the client named none, and took what came."""
    shown = facts.site
    if shown is None or facts.server_name is None:
        return True
    # By the files: a connection may be older than the last reload.
    return site.loaded.certificate.certificate == shown.loaded.certificate.certificate


def _was_asked(site: LiveSite, facts: ConnectionFacts) -> bool:
    """Whether the handshake asked its client for just the certificates that a site wants of its clients now.

    By the handshake's own site, whatever the client named or named not. A reload may have changed what it wants since.
    """
    shown = facts.site
    asked = None if shown is None else shown.client
    if asked != site.client:
        return False
    # The handshake would have failed without one: this is here so that no fault elsewhere opens a site.
    return asked is None or not asked.required or facts.shows_certificate


def _host(authority: bytes) -> bytes | None:
    """An authority without its port; None where an HTTP/1.0 client named none."""
    found = split(authority)
    return None if found is None else found.host
