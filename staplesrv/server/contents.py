"""What is behind each site: the applications that its configuration asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.threadpool import ThreadPool

from staplesrv import sources
from staplesrv.errors import OperatorError
from staplesrv.http.exchange import NO_FIELDS, Application, FieldLines
from staplesrv.http.proxy.dialling import Dialler, EagerReactor
from staplesrv.http.proxy.proxy import Proxy
from staplesrv.http.redirect import Redirect
from staplesrv.http.static.files import Static
from staplesrv.http.tunnel import Tunnel
from staplesrv.http.twisted_web.application import TwistedWeb
from staplesrv.http.wsgi.application import Wsgi
from staplesrv.server.backend_tls import BackendTLS
from staplesrv.server.configuration.content import (
    Backends,
    Content,
    Folder,
    RedirectTo,
    Resource,
    TunnelEnd,
    WsgiCallable,
)
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.site import Site
from staplesrv.server.daemon_threads import daemon_pool
from staplesrv.server.hosts import NO_HTTP, Behind
from staplesrv.server.named_code import find_resource, find_wsgi, make_resource
from staplesrv.server.request_rate import RequestRate
from staplesrv.tls.poller import poller_for
from staplesrv.tls.site import SiteCertificate

WSGI_THREADS = 16
"""Calls of WSGI applications at a time, of all sites together."""


@dataclass(frozen=True, slots=True)
class _Made:
    """What was made for a site, and of what."""

    content: Content
    application: Application


class Contents:
    """Makes applications for sites, and keeps those whose configuration stays the same.

    The operator's code is kept for good. Python imports a module once, so that new code needs a restart; a reload that
    called the old code again would only lose what its resource keeps in memory.

    Args:
        reactor: The reactor.
        wall_clock: Seconds since the epoch.
    """

    def __init__(self, reactor: Any, wall_clock: sources.WallClock) -> None:
        self._reactor = reactor
        self._wall_clock = wall_clock
        # Backends' sockets in the same turns as the clients': what comes from one goes to the other.
        self._poller = poller_for(reactor)
        self._code: dict[Content, Application] = {}
        self._made: dict[SiteCertificate, _Made] = {}
        self._open: list[Application] = []
        self._tls: dict[Path | None, BackendTLS] = {}
        self._threads: ThreadPool = daemon_pool("wsgi", WSGI_THREADS)

    def of(self, sites: Iterable[Site]) -> Mapping[SiteCertificate, Behind]:
        """Return what is behind each site; of two with the same certificates the first counts.

        Raises:
            OperatorError: something can't be used.
        """
        found: dict[SiteCertificate, Behind] = {}
        trusted: set[Path | None] = set()
        for site in sites:
            self._trust(site, trusted)
            if site.certificate not in found:
                found[site.certificate] = self._behind(site)
        return found

    def start(self) -> None:
        """Have threads run, now that the process is the one that serves."""
        self._threads.start()

    def close_but(self, kept: Mapping[SiteCertificate, Behind]) -> None:
        """Let go of what sites had that are no more, or have something else now.

        Args:
            kept: What is behind the sites that there are.
        """
        in_use = {id(behind.application) for behind in kept.values()}
        self._made = {key: made for key, made in self._made.items() if id(made.application) in in_use}
        opened, self._open = self._open, []
        for application in opened:
            if id(application) in in_use:
                self._open.append(application)
            else:
                _close(application)

    def close(self) -> None:
        """Let go of everything. Threads are not waited for."""
        self.close_but({})
        for application in self._code.values():
            _close(application)

    def _behind(self, site: Site) -> Behind:
        if isinstance(site.content, TunnelEnd):
            return Behind(NO_HTTP, tunnel=self._tunnel(site.content).factory)
        rate = None if site.request_rate is None else RequestRate(site.key, site.request_rate)
        added = FieldLines(site.fields) if site.fields else NO_FIELDS
        return Behind(self._application(site), added, site.max_body, rate=rate)

    def _application(self, site: Site) -> Application:
        if isinstance(site.content, Resource | WsgiCallable):
            if site.content not in self._code:
                self._code[site.content] = self._make_code(site.content, site.place)
            return self._code[site.content]
        before = self._made.get(site.certificate)
        if before is None or before.content != site.content:
            before = self._made[site.certificate] = _Made(site.content, self._make(site.content))
            self._open.append(before.application)
        return before.application

    def _make_code(self, content: Resource | WsgiCallable, place: Place) -> Application:
        if isinstance(content, Resource):
            return TwistedWeb(make_resource(content.name, place), self._reactor)
        return Wsgi(find_wsgi(content.name, place), self._reactor, self._threads)

    def _make(self, content: Content) -> Application:
        if isinstance(content, Folder):
            return Static(
                content.path,
                settings=content.settings,
                clock=self._reactor,
                wall_clock=self._wall_clock,
                random_bytes=sources.random_bytes,
            )
        if isinstance(content, Backends):
            return self._proxy(content)
        assert isinstance(content, RedirectTo)  # noqa: S101 - the last kind; code and tunnels are made elsewhere
        return Redirect(content.url)

    def _tunnel(self, end: TunnelEnd) -> Tunnel:
        reactor = EagerReactor(self._reactor, self._poller)
        if end.path:
            endpoint: IStreamClientEndpoint = UNIXClientEndpoint(reactor, end.path)  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        else:
            endpoint = HostnameEndpoint(reactor, end.host, end.port)
        return Tunnel(endpoint, self._reactor, where=str(end), says_who=end.says_who)

    def _proxy(self, content: Backends) -> Application:
        settings = content.settings
        tls = self._tls.setdefault(content.ca_file, BackendTLS(content.ca_file))
        dial = Dialler(self._reactor, seconds=settings.connect_seconds, tls=tls, poller=self._poller)
        return Proxy(content.addresses, dial=dial, clock=self._reactor, settings=settings)

    def _trust(self, site: Site, trusted: set[Path | None]) -> None:
        """Read whom a site trusts, each file once; also of sites that stay, since it may be another by now."""
        content = site.content
        if isinstance(content, Backends) and content.needs_tls and content.ca_file not in trusted:
            trusted.add(content.ca_file)
            _load_trust(self._tls.setdefault(content.ca_file, BackendTLS(content.ca_file)), site.place)


def examine(site: Site) -> None:
    """See whether what is behind a site could be made, without making it.

    Raises:
        OperatorError: it could not.
    """
    content = site.content
    if isinstance(content, Resource):
        find_resource(content.name, site.place)
    elif isinstance(content, WsgiCallable):
        find_wsgi(content.name, site.place)
    elif isinstance(content, Backends) and content.needs_tls:
        _load_trust(BackendTLS(content.ca_file), site.place)


def _load_trust(tls: BackendTLS, place: Place) -> None:
    """Read whom a site's backends are verified by.

    Raises:
        OperatorError: the file can't be used.
    """
    try:
        tls.load()
    except OperatorError as error:
        raise place.error("backends", f"ca_file: {error.where}: {error.problem}", error.advice) from error


def _close(application: Application) -> None:
    close = getattr(application, "close", None)
    if close is not None:
        close()
