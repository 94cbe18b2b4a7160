"""Read sites' files again while the server runs: in a thread, and with patience."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from twisted.internet.task import deferLater

from staplesrv.errors import OperatorError
from staplesrv.staples.blocking import in_thread
from staplesrv.staples.settings import Settings
from staplesrv.tls.loaded import LoadedSite, load_site
from staplesrv.tls.site import SiteCertificate

PATIENCE = timedelta(seconds=5)
"""Files change one after the other: a pair that does not fit is looked at again for so long before it is wrong."""

LOOK_AGAIN = timedelta(seconds=0.5)

Read = Mapping[SiteCertificate, LoadedSite | OperatorError]
"""What came of each site's files."""


async def read_patiently(
    sites: Sequence[SiteCertificate], settings: Settings, known: Mapping[SiteCertificate, LoadedSite], reactor: Any
) -> Read:
    """Read the files of some sites; what can't be used is read again until `PATIENCE` is over.

    Args:
        sites: What to read.
        settings: For the overrides of responders.
        known: What was loaded before.
        reactor: For time, and for its threads.

    Returns:
        Per site what was loaded (the known object itself where nothing changed), or why that could not be.
    """
    deadline = reactor.seconds() + PATIENCE.total_seconds()
    outcome: dict[SiteCertificate, LoadedSite | OperatorError] = {}
    wanted = list(sites)
    while True:
        outcome.update(await in_thread(reactor, _read_all, wanted, settings, known))
        wanted = [site for site in wanted if isinstance(outcome[site], OperatorError)]
        if not wanted or reactor.seconds() >= deadline:
            return outcome
        await deferLater(reactor, LOOK_AGAIN.total_seconds(), lambda: None)


def _read_all(
    sites: Sequence[SiteCertificate], settings: Settings, known: Mapping[SiteCertificate, LoadedSite]
) -> dict[SiteCertificate, LoadedSite | OperatorError]:
    outcome: dict[SiteCertificate, LoadedSite | OperatorError] = {}
    for site in sites:
        try:
            outcome[site] = load_site(site, settings, known=known.get(site))
        except OperatorError as error:
            outcome[site] = error
    return outcome
