"""A check's report as lines for people and monitoring, and as the keys of a JSON object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from staplesrv.ocsp.text import name_text
from staplesrv.ocsp.verified import VerifiedResponse
from staplesrv.ops import text
from staplesrv.ops.report import Report, Verdict, VersionReport
from staplesrv.server.commands import judgement

_SHOWN = frozenset({"revoked", "reason", "signer", "thisUpdate", "nextUpdate"})
"""Of what is said of a response, what a glance has use for; its end too, where nextUpdate is not the end."""


def lines(report: Report, where: str) -> list[str]:
    """The verdict as monitoring plugins give it, then a block of aligned lines.

    Versions that showed the same share a block.

    Args:
        report: What was found.
        where: The server, as it was asked for.
    """
    # Monitoring takes what follows a bar for performance data.
    first = f"{report.verdict.value.upper()} - {where}: {report.headline}".replace("|", "/")
    blocks = [text.columns(_rows(alike, report.now)) for alike in _alike(report.versions)]
    return [first, *(line for block in blocks for line in ("", *block))]


def json_object(report: Report) -> dict[str, Any]:
    """The same for programs; docs/checking.md documents the keys."""
    return {
        "verdict": report.verdict.value,
        "exit_status": report.verdict.exit_status,
        "summary": report.headline,
        "checked_at": report.now,
        "versions": [_version(version, report.now) for version in report.versions],
    }


def _alike(versions: Iterable[VersionReport]) -> list[list[VersionReport]]:
    """Put together the versions with the same certificate, staple and findings; those not spoken go with the first."""
    groups: dict[Any, list[VersionReport]] = {}
    silent = []
    for version in versions:
        if version.seen is None:
            silent.append(version)
        else:
            shown = (version.seen.peer_chain, version.seen.staple, version.findings)
            groups.setdefault(shown, []).append(version)
    first, *others = list(groups.values()) or [[]]
    return [[*first, *silent], *others]


def _rows(alike: Sequence[VersionReport], now: datetime) -> list[tuple[str, str]]:
    rows = [(version.version, _handshake(version)) for version in alike]
    told = alike[0]
    if told.seen is None or told.subject is None:
        return rows
    features = ", must-staple" if told.subject.must_staple else ""
    rows.append(("certificate", f"{name_text(told.seen.leaf)}, until {text.moment(told.subject.not_after)}{features}"))
    rows.append(("issuer", name_text(told.issuer) if told.issuer else "not sent, not among the trusted"))
    about, *others = told.findings
    rows.append(("staple", about.text))
    if told.staple and told.staple.response:
        rows += _told(told.staple.response, now)
    rows += [("note" if other.verdict is Verdict.OK else other.verdict.value, other.text) for other in others]
    return rows


def _told(response: VerifiedResponse, now: datetime) -> list[tuple[str, str]]:
    shown = _SHOWN if response.expires == response.next_update else _SHOWN | {"expires"}
    return [row for row in judgement.rows(judgement.verified(response), now) if row[0] in shown]


def _handshake(version: VersionReport) -> str:
    if version.seen is None:
        return version.findings[0].text
    return ", ".join(filter(None, (version.seen.cipher, version.seen.alpn.decode("latin-1"))))


def _version(version: VersionReport, now: datetime) -> dict[str, Any]:
    seen = version.seen
    return {
        "version": version.version,
        "verdict": version.verdict.value,
        "findings": [{"verdict": finding.verdict.value, "text": finding.text} for finding in version.findings],
        "spoken": seen is not None,
        "cipher": seen.cipher if seen else None,
        "alpn": seen.alpn.decode("latin-1") or None if seen else None,
        "certificate": _certificate(version),
        "issuer": name_text(version.issuer) if version.issuer else None,
        "stapled": bool(seen and seen.staple),
        "response": _response(version),
        "life_left": _life_left(version, now),
    }


def _certificate(version: VersionReport) -> dict[str, Any] | None:
    about = version.subject
    if about is None:
        return None
    return {
        "subject": name_text(about.leaf),
        "serial_number": f"{about.leaf.serial_number:x}",
        "sha256": about.fingerprint.hex(),
        "not_before": about.not_before,
        "not_after": about.not_after,
        "must_staple": about.must_staple,
        "responder_urls": list(about.responder_urls),
    }


def _response(version: VersionReport) -> dict[str, Any] | None:
    staple = version.staple
    if staple is None:
        return None
    if staple.response is not None:
        return judgement.verified(staple.response)
    return judgement.rejected(staple.rejected.reason, staple.rejected.detail) if staple.rejected else None


def _life_left(version: VersionReport, now: datetime) -> float | None:
    response = version.staple.response if version.staple else None
    return round((response.expires - now) / response.lifetime, 3) if response else None
