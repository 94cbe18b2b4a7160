"""What a check of a server's staple found: values, and which of them counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from cryptography import x509

from staplesrv.ocsp.response import ResponseRejected, VerifiedResponse
from staplesrv.staples.assignment import Assignment
from staplesrv.tls.client import Seen


class Verdict(Enum):
    """How bad a finding is. In the order of `worst`, the mildest first; the names are those of monitoring plugins."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    """Nothing was learnt: not reached, or something else than TLS."""
    CRITICAL = "critical"

    @property
    def exit_status(self) -> int:
        """What the command ends with: 0 ok, 1 warning, 2 critical, 3 unknown."""
        return ("ok", "warning", "critical", "unknown").index(self.value)

    @classmethod
    def worst(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """The one that counts; OK where there is none."""
        order = list(cls)
        return max(verdicts, key=order.index, default=cls.OK)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Args:
        verdict: How bad it is.
        text: One line, without a full stop; may hold anything that a certificate said.
    """

    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True)
class Stapled:
    """What a server stapled, judged: it may be anything, and is no staple in our own sense until it has passed.

    Args:
        response: What the bytes say, if they passed every check.
        rejected: Why not, if they did not.
    """

    response: VerifiedResponse | None = None
    rejected: ResponseRejected | None = None


@dataclass(frozen=True, slots=True)
class VersionReport:
    """What one TLS version's connection showed.

    Args:
        version: `TLSv1.3` or `TLSv1.2`.
        findings: The most telling first.
        seen: The handshake; None where there was none.
        subject: What its leaf says about stapling, and who issued it; None where no certificate was shown.
        staple: What was stapled, judged; None where nothing was, or nothing could be judged.
    """

    version: str
    findings: tuple[Finding, ...]
    seen: Seen | None = None
    subject: Assignment | None = None
    staple: Stapled | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings."""
        return Verdict.worst(finding.verdict for finding in self.findings)

    @property
    def issuer(self) -> x509.Certificate | None:
        """Who issued the leaf, if the server sent it or it is among the trusted."""
        return self.subject.target.issuer if self.subject and self.subject.target else None


@dataclass(frozen=True, slots=True)
class Report:
    """What the whole check found.

    Args:
        versions: One per TLS version, the newest first.
        now: When it was judged.
    """

    versions: tuple[VersionReport, ...]
    now: datetime

    @property
    def verdict(self) -> Verdict:
        """The worst of the versions."""
        return Verdict.worst(version.verdict for version in self.versions)

    @property
    def headline(self) -> str:
        """The finding that decided the verdict, and which version it is about if it is not about all."""
        telling = {
            version.version: finding.text
            for version in self.versions
            for finding in reversed(version.findings)
            if finding.verdict is self.verdict
        }
        text = next(iter(telling.values()), "nothing was looked at")
        others = [
            version
            for version in self.versions
            # One that is not spoken, and need not be, has no part in it.
            if telling.get(version.version) != text and (version.seen or version.verdict is not Verdict.OK)
        ]
        where = ", ".join(version for version, said in telling.items() if said == text)
        return f"{text} ({where})" if where and others else text
