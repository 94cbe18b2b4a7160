"""How the server is, put together from those who know."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from staplesrv import __version__
from staplesrv.ops.inventory import certificates, handshakes, site_names
from staplesrv.ops.status import Certificate, Reload, State, Status, Traffic
from staplesrv.server import summary
from staplesrv.server.config import Configuration
from staplesrv.server.staff import Staff
from staplesrv.sources import utc
from staplesrv.tls.connections import Closed
from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.stapler import Stapler

AT_ONCE = 500
"""Sites that are looked at before the reactor has its turn: 6 ms."""


async def observe(
    stapler: Stapler,
    staff: Staff,
    configuration: Configuration,
    *,
    reactor: IReactorTime,
    now: float,
    since: datetime,
    state: State,
    reload: Reload | None,
) -> Status:
    """Return how it is.

    Args:
        stapler: Has certificates and staples.
        staff: Has clients.
        configuration: What is served.
        reactor: Has its turns in between, where there are many sites.
        now: Seconds since the epoch.
        since: When the service started.
        state: What it is about.
        reload: The last one.
    """
    refresher = stapler.keeper.refresher
    named = site_names(stapler.stage.live)
    looked_at: list[Certificate] = []
    for number, (site, name) in enumerate(named.items(), 1):
        looked_at += certificates(site, name, refresher, now)
        if number % AT_ONCE == 0:
            await deferLater(reactor, 0)
    return Status(
        version=__version__,
        pid=os.getpid(),
        now=utc(now),
        since=since,
        state=state,
        stalled=refresher.stalled,
        reload=reload,
        failures=tuple(str(error) for error in stapler.stage.failures.values()),
        workers=staff.workers(now),
        listeners=tuple(map(summary.address, staff.addresses)),
        traffic=_by_name(staff.traffic(), configuration, named),
        answers=dict(refresher.totals),
        handshakes=handshakes(named),
        certificates=looked_at,
    )


def _by_name(traffic: Traffic, configuration: Configuration, named: Mapping[LiveSite, str]) -> Traffic:
    """Call sites what they are called everywhere else, and have every reason for an end, those that never were too."""
    by_certificate = {site.loaded.certificate: name for site, name in named.items()}
    names = {site.key: by_certificate.get(site.certificate, site.place.label) for site in configuration.sites}
    return Traffic(
        open=traffic.open,
        accepted=traffic.accepted,
        requests=traffic.requests,
        closed={str(why): traffic.closed.get(why, 0) for why in Closed},
        refused={name: traffic.refused[key] for key, name in names.items() if key in traffic.refused},
    )
