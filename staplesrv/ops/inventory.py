"""What there is to say of the sites that are served: their certificates, and how handshakes with them ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from staplesrv.ops.status import Certificate
from staplesrv.sources import utc
from staplesrv.staples.refresher import Refresher
from staplesrv.tls.live_site import LiveSite


def first_name(site: LiveSite) -> str:
    """Call a site by its first name; by where its certificate is, where it has none."""
    return next(iter((*site.names, *site.implied_names)), site.where)


def site_names(sites: Sequence[LiveSite]) -> Mapping[LiveSite, str]:
    """Call each site by its first name; where another one is called so already, a number is put behind."""
    found: dict[LiveSite, str] = {}
    times: Counter[str] = Counter()
    for site in sites:
        name = first_name(site)
        times[name] += 1
        found[site] = name if times[name] == 1 else f"{name} #{times[name]}"
    return found


def handshakes(named: Mapping[LiveSite, str]) -> Mapping[str, Mapping[str, int]]:
    """Return how many handshakes ended how, by what sites are called."""
    return {name: dict(site.handshakes) for site, name in named.items()}


def certificates(site: LiveSite, name: str, refresher: Refresher, now: float) -> Iterator[Certificate]:
    """Say of each certificate of a site how it stands: 12 us for one.

    Args:
        site: The site.
        name: What it is called.
        refresher: Keeps it stapled.
        now: Seconds since the epoch.
    """
    loaded = site.loaded
    refuses = loaded.certificate.must_staple == "refuse"
    for entry, bundle, file in zip(site.entries, loaded.bundles, loaded.certificate.certificate, strict=True):
        status = refresher.known(entry.fingerprint)
        yield Certificate(
            site=name,
            names=bundle.names,
            file=str(file),
            fingerprint=entry.fingerprint.hex(),
            not_after=bundle.leaf.not_valid_after_utc,
            must_staple=bundle.must_staple or refuses,
            reason=entry.reason_at(now),
            stapled_until=utc(entry.held.cut_off) if entry.held is not None and entry.fresh(now) else None,
            next_question=status.next_attempt if status else None,
            last_failure=status.last_failure if status else "",
        )
