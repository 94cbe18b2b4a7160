"""What a reload will serve: new sites where files changed, the old ones where they did not or can't be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from staplesrv.errors import OperatorError
from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.loaded import LoadedSite
from staplesrv.tls.reading import Read
from staplesrv.tls.site import SiteCertificate


@dataclass(frozen=True, slots=True)
class Plan:
    """The sites after a reload.

    Args:
        sites: All of them, the default one first.
        new: Those among them that were not served before, or with another certificate.
        failures: Why others stay as they were, or away.
    """

    sites: tuple[LiveSite, ...]
    new: tuple[LiveSite, ...]
    failures: Mapping[SiteCertificate, OperatorError]


def make_plan(
    wanted: Sequence[SiteCertificate],
    read: Read,
    live: Sequence[LiveSite],
    make: Callable[[LoadedSite], LiveSite],
) -> Plan:
    """Decide per site.

    Args:
        wanted: The sites that there should be.
        read: What came of their files; a site that is not in it was not read again, and stays.
        live: What is served now.
        make: Builds a site; may raise `OperatorError`.
    """
    old = _Old(live)
    sites: list[LiveSite] = []
    new: list[LiveSite] = []
    failures: dict[SiteCertificate, OperatorError] = {}
    for certificate in wanted:
        before = old.find(certificate)
        try:
            site = _decide(read.get(certificate), before, make)
        except OperatorError as error:
            failures[certificate] = error
            site = before
        if site is not None:
            sites.append(site)
            if site is not before:
                new.append(site)
    return Plan(tuple(sites), tuple(new), failures)


def _decide(
    read: LoadedSite | OperatorError | None, before: LiveSite | None, make: Callable[[LoadedSite], LiveSite]
) -> LiveSite | None:
    if isinstance(read, OperatorError):
        raise read
    if read is None or (before is not None and before.loaded is read):
        return before
    site = make(read)
    if before is not None:
        # The site goes on under its names; so do its counters.
        site.handshakes = before.handshakes
    return site


class _Old:
    """Finds what a site was before: the same site, or else one with the same names and other files."""

    def __init__(self, live: Sequence[LiveSite]) -> None:
        self._same = {site.loaded.certificate: site for site in live}
        self._names = {tuple(site.names): site for site in live if site.names}

    def find(self, certificate: SiteCertificate) -> LiveSite | None:
        return self._same.get(certificate) or self._names.get(certificate.names)
