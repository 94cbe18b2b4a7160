"""Which site answers a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.web import pages
from twisted.web.resource import IResource

from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.sni import SiteTable

MISDIRECTED = 421

_MISDIRECTED_PAGE = pages.errorPage(MISDIRECTED, "421 Misdirected Request", "Connect anew for this name.")
_NOT_FOUND_PAGE = pages.notFound("404 Not Found", "There is nothing here.")


class Hosts:
    """Leads requests by their Host header, with the table that leads handshakes by their server names.

    Args:
        table: Tells which sites are served now; None before there are any.
        resources: What is behind each site; replaced as a whole by a reload.
    """

    def __init__(
        self, table: Callable[[], SiteTable[LiveSite] | None], resources: Mapping[SiteCertificate, IResource]
    ) -> None:
        self._table = table
        self.resources = resources

    def find(self, host: bytes, shown: LiveSite | None = None) -> IResource:
        """Return what answers a request.

        Args:
            host: From the Host header, without the port; unknown names get the first site.
            shown: The site whose certificate the client got for the name that it asked for; None if it named none.
        """
        table = self._table()
        if table is None:
            return _NOT_FOUND_PAGE
        site = table.find(host)
        # The first site is there for whatever name comes up. For any other, RFC 9110 §15.5.20: HTTP/2 clients send
        # requests for every name of a certificate down one connection, whose staple says nothing of other certificates.
        if shown is not None and site is not table.sites[0] and not _have_one_certificate(site, shown):
            return _MISDIRECTED_PAGE
        return self.resources.get(site.loaded.certificate, _NOT_FOUND_PAGE)


def _have_one_certificate(site: LiveSite, other: LiveSite) -> bool:
    # By the files: a connection may be older than the last reload.
    return site.loaded.certificate.certificate == other.loaded.certificate.certificate
