"""New certificates while the server runs: read, have stapled, swap, let go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from staplesrv.errors import OperatorError
from staplesrv.staples.settings import Settings
from staplesrv.tls.keeper import Keeper
from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.plan import Plan, make_plan
from staplesrv.tls.reading import read_patiently
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.sni import SiteTable
from staplesrv.tls.stage import Stage, assignments, files

RELOAD_WAIT = timedelta(seconds=10)
"""How long a reload waits for staples; must-staple certificates get `keeper.MUST_STAPLE_WAIT`."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did.

    Args:
        swapped: The sites that are new or have another certificate.
        failures: What can't be used; what was there before goes on.
    """

    swapped: tuple[LiveSite, ...] = ()
    failures: tuple[OperatorError, ...] = ()


async def reload(
    stage: Stage,
    keeper: Keeper,
    settings: Settings,
    reactor: Any,
    *,
    sites: Sequence[SiteCertificate] | None = None,
    changed: Collection[Path] | None = None,
) -> Reloaded:
    """Swap each changed certificate together with its staple. Two of these must not overlap.

    Args:
        stage: What is on.
        keeper: Has leaves stapled.
        settings: The `[staples]` table.
        reactor: For time, and for its threads.
        sites: The sites from now on; None keeps them.
        changed: The files to read again; None is all.
    """
    wanted = stage.sites if sites is None else tuple(sites)
    # Followed before they are read: a change in between is seen at a later look.
    stage.watch.follow(files((*stage.sites, *wanted)))
    known = {site.loaded.certificate: site.loaded for site in stage.live}
    read = await read_patiently(_to_read(stage, wanted, changed), settings, known, reactor)
    plan = _checked(make_plan(wanted, read, stage.live, stage.make), wanted)
    try:
        if plan.sites:
            keeper.keep(assignments(plan.new))
            await keeper.settled(assignments(plan.new), RELOAD_WAIT)
            stage.show(plan.sites)
            stage.sites = wanted
    finally:
        keeper.keep_only({assignment.fingerprint for assignment in assignments(stage.live)})
        stage.watch.follow(files(stage.sites))
    stage.failures = plan.failures
    return Reloaded(plan.new, tuple(plan.failures.values()))


def _to_read(
    stage: Stage, wanted: Sequence[SiteCertificate], changed: Collection[Path] | None
) -> Sequence[SiteCertificate]:
    if changed is None:
        return wanted
    # What failed is read again each time, so that the failures of the last reload are all there are.
    return [site for site in wanted if site in stage.failures or not set(changed).isdisjoint(site.files)]


def _checked(plan: Plan, wanted: Sequence[SiteCertificate]) -> Plan:
    if not plan.sites:
        return plan
    try:
        SiteTable(plan.sites)
    except OperatorError as error:
        # Nobody can say which of the two sites is meant, so nothing changes at all.
        return Plan((), (), {**plan.failures, wanted[0]: error})
    return plan
