"""What is behind each site: a folder's files, or a resource of the operator's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from twisted.web.resource import IResource

from staplesrv.server.configuration.site import Site
from staplesrv.server.web.resource import make_resource
from staplesrv.server.web.static_files import StaticFiles
from staplesrv.tls.site import SiteCertificate


class Contents:
    """Makes resources for sites, and remembers those that the operator's code made.

    Python imports a module once, so that new code needs a restart; a reload that called the old code again would only
    lose what its resource keeps in memory.
    """

    def __init__(self) -> None:
        self._made: dict[str, IResource] = {}

    def of(self, sites: Iterable[Site]) -> Mapping[SiteCertificate, IResource]:
        """Return the resource of each site; of two with the same certificates the first counts.

        Raises:
            OperatorError: a resource can't be imported or made.
        """
        found: dict[SiteCertificate, IResource] = {}
        for site in sites:
            if site.certificate not in found:
                found[site.certificate] = self._resource(site)
        return found

    def _resource(self, site: Site) -> IResource:
        if site.static is not None:
            files: IResource = StaticFiles(str(site.static))
            return files
        name = site.resource
        assert name is not None  # noqa: S101 - a site has the one or the other
        if name not in self._made:
            self._made[name] = make_resource(name, site.place)
        return self._made[name]
