"""A status as the JSON object of `/status`; docs/operations.md documents the keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from staplesrv.ops import text
from staplesrv.ops.status import Certificate, Reload, Status, Workers


def document(status: Status) -> dict[str, Any]:
    """Return it, with every key there always; what is not known, or never comes, is None. Times are ISO 8601, UTC."""
    judged = status.judged()
    traffic = status.traffic
    return {
        "verdict": judged.verdict.value,
        "summary": judged.text,
        "version": status.version,
        "pid": status.pid,
        "state": status.state.value,
        "checked_at": text.iso(status.now),
        "started_at": text.iso(status.since),
        "listeners": list(status.listeners),
        "last_reload": _reload(status.reload),
        "failures": list(status.failures),
        "workers": _workers(status.workers),
        "connections": {"open": traffic.open, "accepted": traffic.accepted, "closed": dict(traffic.closed)},
        "requests": {"received": traffic.requests, "too_many": dict(traffic.refused)},
        "responders": dict(status.answers),
        "handshakes": {site: dict(outcomes) for site, outcomes in status.handshakes.items()},
        "certificates": [_certificate(one, status.now) for one in status.certificates],
    }


def _reload(reload: Reload | None) -> dict[str, Any] | None:
    if reload is None:
        return None
    return {"at": text.iso(reload.at), "good": reload.good, "line": reload.line, "failures": list(reload.failures)}


def _workers(workers: Workers) -> dict[str, Any]:
    return {
        "wanted": workers.wanted,
        "serving": workers.serving,
        "replaced": workers.replaced,
        "processes": [
            {
                "seat": one.seat,
                "pid": one.pid,
                "state": one.state.value,
                "last_sign_of_life": text.iso(one.heard),
                "connections": one.open,
            }
            for one in workers.each
        ],
    }


def _certificate(one: Certificate, now: datetime) -> dict[str, Any]:
    until = one.stapled_until
    return {
        "verdict": one.verdict.value,
        "site": one.site,
        "names": list(one.names),
        "file": one.file,
        "sha256": one.fingerprint,
        "not_after": text.iso(one.not_after),
        "must_staple": one.must_staple,
        "stapled": one.stapled,
        "reason": one.reason.value,
        "last_failure": one.last_failure or None,
        "stapled_until": text.iso(until) if until else None,
        "seconds_left": round((until - now).total_seconds()) if until else None,
        "next_question": text.iso(one.next_question) if one.next_question else None,
    }
