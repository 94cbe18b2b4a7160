"""What a server says of itself, as a few lines that a person reads at one look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from staplesrv.ops import text
from staplesrv.ops.report import Verdict

MOST = 20
"""Certificates that have a line each, the worst first; and sites that can't be used."""

Document = Mapping[str, Any]


def lines(found: Document, where: str, now: datetime) -> list[str]:
    """The verdict as monitoring plugins give it, then certificates, then the rest.

    Args:
        found: What `ops.status_document` made.
        where: The server, as it was asked.
        now: For spans of time.
    """
    # Monitoring takes what follows a bar for performance data.
    first = f"{found['verdict'].upper()} - {where}: {found['summary']}".replace("|", "/")
    certificates = sorted(found["certificates"], key=_worst_first)
    rows = [(one["site"], _certificate(one, now)) for one in certificates[:MOST]]
    more = [f"  and {len(certificates) - MOST} more"] if len(certificates) > MOST else []
    return [first, "", *text.columns(rows), *more, "", *text.columns(_rest(found, now))]


def _worst_first(one: Document) -> tuple[int, str]:
    """Sort by verdict, then by how long a staple is there."""
    return -list(Verdict).index(Verdict(one["verdict"])), one["stapled_until"] or ""


def _certificate(one: Document, now: datetime) -> str:
    if one["stapled"]:
        return f"stapled until {text.when(_time(one['stapled_until']), now)}"
    failure = f": {one['last_failure']}" if one["last_failure"] else ""
    again = f"; asked again in {text.span(_time(one['next_question']) - now)}" if one["next_question"] else ""
    return f"without a staple, {one['reason']}{failure}{again}"


def _rest(found: Document, now: datetime) -> Iterator[tuple[str, str]]:
    listeners: Sequence[str] = found["listeners"]
    since = text.span(now - _time(found["started_at"]))
    yield "server", f"{found['state']}, started {since} ago, staplesrv {found['version']}, pid {found['pid']}"
    yield "listens on", ", ".join(listeners)
    workers = found["workers"]
    yield "workers", f"{workers['serving']} of {workers['wanted']} serve, {workers['replaced']} were replaced"
    connections, requests = found["connections"], found["requests"]
    yield (
        "connections",
        f"{connections['open']} open, {connections['accepted']} so far, {requests['received']} requests",
    )
    refused = {**connections["closed"], "request-rate": sum(requests["too_many"].values())}
    yield "not in order", ", ".join(f"{why} {count}" for why, count in refused.items() if count)
    reload = found["last_reload"]
    if reload is not None:
        at = text.span(now - _time(reload["at"]))
        yield "last reload", f"{at} ago: {'' if reload['good'] else 'failed: '}{reload['line']}"
    failures: Sequence[str] = found["failures"]
    for failure in failures[:MOST]:
        yield "can't be used", failure
    if len(failures) > MOST:
        yield "can't be used", f"and {len(failures) - MOST} more"


def _time(iso: str) -> datetime:
    return datetime.fromisoformat(iso)
