"""Judge from outside how a server staples. Pure: what was observed goes in, a report comes out.

`probe` observes; `judge` says what that means:

    ok        a good staple with a quarter of its life left, or none where none is to be had
    warning   no staple though the certificate names a responder, or less than a quarter of its life left
    critical  an expired or rejected staple, a revoked or unknown certificate, must-staple without a staple
    unknown   not reached

The versions are judged one by one and the worst counts. A version that the server does not speak counts for nothing as
long as there is another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.response import (
    RejectReason,
    ResponseRejected,
    Revoked,
    Rules,
    Unknown,
    VerifiedResponse,
    verify_response,
)
from staplesrv.ocsp.verified import CUT_OFF
from staplesrv.ops import text
from staplesrv.ops.report import Finding, Report, Stapled, Verdict, VersionReport
from staplesrv.ops.trust import Trust
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.settings import Settings
from staplesrv.tls.client import Seen

SHARE_LEFT: Final = 0.25
"""Below this share of its life a staple should have been refreshed: the server's own refresher asks at half of it."""

_SETTINGS: Final = Settings()
_RULES: Final = Rules()


class Trouble(StrEnum):
    """Why there is nothing to judge in a version."""

    UNREACHED = "unreached"
    """No connection, or none that came to an end in time."""
    NOT_SPOKEN = "not-spoken"
    """The server does not speak this version."""
    BROKEN = "broken"
    """Something else than a TLS handshake came."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one connection showed: a handshake, or why there was none.

    Args:
        version: The one TLS version that was offered: `TLSv1.3` or `TLSv1.2`.
        seen: The handshake.
        trouble: Why there is none.
        detail: The same in words, one line.
    """

    version: str
    seen: Seen | None = None
    trouble: Trouble | None = None
    detail: str = ""


def judge(
    observations: Sequence[Observation], now: datetime, *, host: str, trust: Trust | None = None, rules: Rules = _RULES
) -> Report:
    """Say what a server's handshakes mean.

    Args:
        observations: One per TLS version.
        now: The time, aware.
        host: Whom the certificate should be for: a DNS name with A-labels, or an IP address.
        trust: Whom to believe; nobody where None.
        rules: What the operator decided about responses.
    """
    spoken = any(observation.seen is not None for observation in observations)
    versions = []
    for observation in observations:
        if observation.seen is None:
            versions.append(_unseen(observation, spoken=spoken))
        else:
            versions.append(_seen(observation.seen, now, host=host, trust=trust or Trust(), rules=rules))
    return Report(tuple(versions), now)


def _unseen(observation: Observation, *, spoken: bool) -> VersionReport:
    harmless = spoken and observation.trouble is Trouble.NOT_SPOKEN
    finding = Finding(Verdict.OK if harmless else Verdict.UNKNOWN, observation.detail)
    return VersionReport(observation.version, (finding,))


def _seen(seen: Seen, now: datetime, *, host: str, trust: Trust, rules: Rules) -> VersionReport:
    if not seen.peer_chain:
        return VersionReport(seen.version, (Finding(Verdict.UNKNOWN, "the server showed no certificate"),), seen)
    leaf, *sent = seen.peer_chain
    subject = Assignment.for_leaf(leaf, [*sent, *trust.issuers_of(leaf)], settings=_SETTINGS)
    staple = _judged(seen.staple, subject.target, now, rules) if seen.staple and subject.target else None
    findings = [
        _about_staple(seen, subject, staple, now),
        *(Finding(Verdict.CRITICAL if trust.required else Verdict.OK, said) for said in trust.problems(seen, host)),
        *_about_issuer(subject, len(sent)),
    ]
    return VersionReport(seen.version, tuple(findings), seen, subject, staple)


def _judged(response_der: bytes, target: Target, now: datetime, rules: Rules) -> Stapled:
    try:
        return Stapled(response=_believed(response_der, target, now, rules))
    except ResponseRejected as rejected:
        return Stapled(rejected=rejected)


def _believed(response_der: bytes, target: Target, now: datetime, rules: Rules) -> VerifiedResponse:
    """Verify as a client does: up to the very end, whereas a stapler stops a little before it.

    Raises:
        ResponseRejected: it did not pass a check.
    """
    try:
        return verify_response(response_der, target, now=now, rules=rules)
    except ResponseRejected as rejected:
        if rejected.reason is not RejectReason.STALE:
            raise
        # What is not over yet now was before its cut-off that long ago.
        late = verify_response(response_der, target, now=now - CUT_OFF, rules=rules)
        if late.expires <= now:
            raise
        return late


def _about_staple(seen: Seen, subject: Assignment, staple: Stapled | None, now: datetime) -> Finding:
    if not seen.staple:
        return _about_no_staple(subject)
    if staple is None:
        return Finding(
            Verdict.CRITICAL,
            "the staple can't be judged: the issuer's certificate was not sent and is not among the trusted ones",
        )
    if staple.response is not None:
        return _about_response(staple.response, now)
    rejected = staple.rejected
    if rejected is not None and rejected.reason is RejectReason.STALE:
        return Finding(Verdict.CRITICAL, f"the staple has expired: {rejected.detail}")
    return Finding(Verdict.CRITICAL, f"the staple does not verify: {rejected}")


def _about_no_staple(subject: Assignment) -> Finding:
    if subject.must_staple:
        return Finding(Verdict.CRITICAL, "no staple, though the certificate says must-staple")
    if subject.responder_urls:
        return Finding(Verdict.WARNING, f"no staple, though one is to be had from {subject.responder_urls[0]}")
    return Finding(Verdict.OK, "no staple, and none to be had: the certificate names no responder")


def _about_response(response: VerifiedResponse, now: datetime) -> Finding:
    if isinstance(response, Revoked):
        why = f", {response.revocation_reason}" if response.revocation_reason else ""
        return Finding(Verdict.CRITICAL, f"the certificate is revoked since {text.moment(response.revoked_at)}{why}")
    if isinstance(response, Unknown):
        return Finding(Verdict.CRITICAL, "the responder does not know the certificate")
    left = response.expires - now
    share = left / response.lifetime
    said = f"{text.span(left)} left of {text.span(response.lifetime)}"
    if share < SHARE_LEFT:
        return Finding(Verdict.WARNING, f"the staple is old: {said}")
    return Finding(Verdict.OK, f"good staple, {said}")


def _about_issuer(subject: Assignment, sent: int) -> Iterator[Finding]:
    if subject.target is not None and subject.target.issuer not in subject.chain[:sent]:
        yield Finding(Verdict.OK, "the server does not send its issuer's certificate; taken from the trusted ones")
