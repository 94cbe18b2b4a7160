"""What an operator should know about a site's certificates, though they can be served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Literal

from cryptography import x509

from staplesrv.ocsp.text import name_text
from staplesrv.staples.assignment import Assignment
from staplesrv.tls.certificate import CertificateBundle
from staplesrv.tls.client_policy import ClientPolicy
from staplesrv.tls.loaded import LoadedSite
from staplesrv.tls.sni import normal_name


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Args:
        level: `critical` is an alarm.
        where: The certificate's file.
        problem: What is the matter.
        advice: What to do about it.
    """

    level: Literal["critical", "warn"]
    where: str
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}; {self.advice}"


def findings(site: LoadedSite, now: datetime) -> tuple[Finding, ...]:
    """Look at a site's certificates.

    Args:
        site: What its files say.
        now: Aware UTC.
    """
    found: list[Finding] = []
    for file, bundle, assignment in zip(site.certificate.certificate, site.bundles, site.assignments, strict=True):
        needed = bundle.must_staple or site.certificate.must_staple == "refuse"
        found += _dates(str(file), bundle, now)
        found += _stapling(str(file), bundle, assignment, needed=needed)
        found += _names(str(file), bundle, site.certificate.names)
    if site.client is not None:
        found += _authorities(", ".join(map(str, site.certificate.client_ca)), site.client, now)
    return tuple(found)


def _dates(where: str, bundle: CertificateBundle, now: datetime) -> Iterator[Finding]:
    start, end = bundle.leaf.not_valid_before_utc, bundle.leaf.not_valid_after_utc
    if now > end:
        yield Finding("critical", where, f"expired at {end:%Y-%m-%d %H:%M:%S} UTC, and is served", "renew it")
    if now < start:
        problem = f"is valid from {start:%Y-%m-%d %H:%M:%S} UTC on, and is served already"
        yield Finding("warn", where, problem, "check the clock")


def _authorities(where: str, client: ClientPolicy, now: datetime) -> Iterator[Finding]:
    for authority in map(x509.load_der_x509_certificate, client.authorities):
        end = authority.not_valid_after_utc
        if now > end:
            problem = f"{name_text(authority)} expired at {end:%Y-%m-%d %H:%M:%S} UTC: none of its clients gets in"
            yield Finding("warn", where, problem, "put its successor there")


def _stapling(where: str, bundle: CertificateBundle, assignment: Assignment, *, needed: bool) -> Iterator[Finding]:
    if needed and (why := _never(assignment)):
        advice = "set responder, staple_file or issuer, or have it issued without must-staple"
        yield Finding("critical", where, f"must be stapled and never can be: {why}", advice)
    if bundle.must_staple_v2:
        # RFC 7633 §4: TLS 1.3 dropped status_request_v2, and OpenSSL never had it.
        problem = "asks for status_request_v2 (TLS feature 17), which cannot be met"
        yield Finding("warn", where, problem, "have it issued with TLS feature 5 alone")


def _never(assignment: Assignment) -> str:
    if assignment.disabled:
        return "its responder is never to be asked"
    if not assignment.responder_urls and assignment.staple_file is None:
        return "it names no responder"
    if assignment.target is None and not assignment.issuer_urls:
        return "its issuer is not known"
    return ""


def _names(where: str, bundle: CertificateBundle, names: tuple[str, ...]) -> Iterator[Finding]:
    uncovered = [name for name in names if not _covered(name, bundle.names)]
    if uncovered:
        problem = f"is not for {', '.join(uncovered)}, so clients of that name refuse it"
        yield Finding("warn", where, problem, "have it issued for all names of the site")


def _covered(name: str, certified: tuple[str, ...]) -> bool:
    try:
        wanted = normal_name(name)
    except ValueError:
        return False
    if wanted is None:
        return str(ip_address(name.strip())) in certified
    text = wanted.decode()
    _, _, parent = text.partition(".")
    return text in certified or (not text.startswith("*.") and f"*.{parent}" in certified)
