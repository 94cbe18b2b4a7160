"""What is on: the sites that are wanted, those that are live, and the files that they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from cryptography import x509
from twisted.logger import Logger, LogLevel

from staplesrv.errors import OperatorError
from staplesrv.sources import WallClock, utc
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.cache import StapleCache
from staplesrv.staples.settings import Settings
from staplesrv.tls.finding import Finding, findings
from staplesrv.tls.front import Front
from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.loaded import LoadedSite, load_site
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.sni import SiteTable
from staplesrv.tls.watch import Watch

_log = Logger()


class Stage:
    """The sites of one process. A site is live once it is in the front's table.

    Args:
        sites: The sites that are wanted, the default one first.
        settings: The `[staples]` table.
        wall_clock: Seconds since the epoch.

    Attributes:
        cache: The staples, by fingerprint.
        front: Where connections start.
        watch: Looks at the files.
        sites: The sites that are wanted.
        live: Those that are served.
        failures: Why the last reload left a site as it was, or away.
        shown: Called when other sites are live than before.

    Raises:
        OperatorError: there is no site.
    """

    def __init__(self, sites: Sequence[SiteCertificate], settings: Settings, wall_clock: WallClock) -> None:
        if not sites:
            raise OperatorError("sites", "there is none", "give at least one certificate")
        self.sites = tuple(sites)
        self.live: tuple[LiveSite, ...] = ()
        self.failures: Mapping[SiteCertificate, OperatorError] = {}
        self.shown: Callable[[], object] = _nobody
        self.cache = StapleCache()
        self.front = Front(wall_clock=wall_clock)
        self.watch = Watch()
        self._settings = settings
        self._wall_clock = wall_clock
        self._issuers: dict[bytes, x509.Certificate] = {}
        self._incomplete = False

    def load(self) -> None:
        """Read every file, and make every site live, unless that was done before.

        Raises:
            OperatorError: a file can't be used, or two sites have one name. Nothing is live then.
        """
        if self.live:
            return
        # Followed before they are read, so that a change in between is seen.
        self.watch.follow(files(self.sites))
        self.show(tuple(self.make(load_site(site, self._settings)) for site in self.sites))
        self.tell(self.live)

    def make(self, loaded: LoadedSite) -> LiveSite:
        """Build a site of what its files say; it is not live yet.

        Raises:
            OperatorError: OpenSSL does not take a certificate.
        """
        refuse_revoked = self._settings.on_revoked == "refuse"
        return LiveSite(loaded, cache=self.cache, wall_clock=self._wall_clock, refuse_revoked=refuse_revoked)

    def show(self, sites: Sequence[LiveSite]) -> None:
        """Make these sites live, and no others, in one assignment.

        Raises:
            OperatorError: two sites have one name. What was live stays.
        """
        completed = tuple(self._completed(site) for site in sites)
        self.front.table = SiteTable(completed)
        self.live = completed
        self._incomplete = False
        self.shown()

    def issuer_found(self, fingerprint: bytes, issuer: x509.Certificate) -> None:
        """Take note of an issuer's certificate, to be sent along with a leaf whose file lacks it; see `complete`.

        Args:
            fingerprint: Of the leaf.
            issuer: What the leaf's caIssuers URL gave; it verifies the leaf.
        """
        self._issuers[fingerprint] = issuer
        self._incomplete = True

    def complete(self) -> None:
        """Send every issuer that was found to clients from now on. Ten thousand found at once cost one swap."""
        if self._incomplete:
            self.show(self.live)

    def findings(self, sites: Iterable[LiveSite] | None = None) -> tuple[Finding, ...]:
        """Return what an operator should know about certificates that can be served; of all live ones by default."""
        now = utc(self._wall_clock())
        chosen = self.live if sites is None else sites
        return tuple(finding for site in chosen for finding in findings(site.loaded, now))

    def tell(self, sites: Iterable[LiveSite]) -> None:
        """Log what was found about these sites."""
        for finding in self.findings(sites):
            _log.emit(LogLevel.lookupByName(finding.level), "{finding}", finding=str(finding))

    def _completed(self, site: LiveSite) -> LiveSite:
        for bundle in site.loaded.bundles:
            issuer = self._issuers.get(bundle.fingerprint)
            if issuer is not None:
                site = site.with_issuer(bundle.fingerprint, issuer, cache=self.cache)
        return site


def _nobody() -> None:
    """Nobody needs to know."""


def files(sites: Iterable[SiteCertificate]) -> dict[Path, None]:
    """Return every file of some sites, once each, in order."""
    return {file: None for site in sites for file in site.files}


def assignments(sites: Iterable[LiveSite]) -> tuple[Assignment, ...]:
    """Return what keeping these sites stapled needs, each leaf once."""
    return tuple({one.fingerprint: one for site in sites for one in site.loaded.assignments}.values())
