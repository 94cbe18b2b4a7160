"""What an operator may set about staples: the `[staples]` table of the configuration, as one checked value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from staplesrv.errors import OperatorError
from staplesrv.ocsp.hashing import HASHES
from staplesrv.ocsp.response import MAX_RESPONSE, Rules
from staplesrv.ocsp.schedule import Bounds
from staplesrv.staples.asking.no_proxy import is_pattern
from staplesrv.staples.asking.url import BadURL, WebURL, parse_host

AUTO = "auto"
"""The CertID hash that is SHA-1 first, and SHA-256 for responders that refuse it."""

WHERE = "[staples]"
"""What an `OperatorError` about a setting names as its place; whoever knows the file may name that instead."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How staples are asked for and judged. A value that exists is valid.

    Args:
        http_proxy: URL of a proxy for http responders; None for none. https always goes direct.
        no_proxy: Hosts that are asked directly all the same: domains, IP addresses, CIDR networks, `*`.
        responders: Per host name of a certificate's responder the URL to ask instead; "" means never ask.
        on_revoked: What becomes of a site whose certificate is revoked: "drop" the staple, or "refuse" handshakes.
        missing_next_update: How long a response without nextUpdate is good for; None refuses it.
        allow_sha1: Whether responses signed with SHA-1 count.
        certid: The hash of the CertID in requests, a key of `ocsp.hashing.HASHES` or `AUTO`.
        nonce: Whether requests carry a nonce.
        max_interval: The longest time between two refreshes.
        min_interval: The shortest one.
        start_wait: How long a start waits for the first staples, in all.
        timeout: How long one HTTP request may take, from the name look-up to the last byte of the body.
        max_response: Bytes of a response body that are read; more ends the request.

    Raises:
        OperatorError: a setting can't be used.
    """

    http_proxy: str | None = None
    no_proxy: tuple[str, ...] = ()
    responders: Mapping[str, str] = field(default_factory=dict)
    on_revoked: Literal["drop", "refuse"] = "drop"
    missing_next_update: timedelta | None = None
    allow_sha1: bool = False
    certid: str = AUTO
    nonce: bool = False
    max_interval: timedelta = timedelta(hours=24)
    min_interval: timedelta = timedelta(seconds=300)
    start_wait: timedelta = timedelta(seconds=10)
    timeout: timedelta = timedelta(seconds=15)
    max_response: int = MAX_RESPONSE

    def __post_init__(self) -> None:
        self._check_proxy()
        self._check_responders()
        self._check_choices()
        self._check_numbers()

    @property
    def rules(self) -> Rules:
        """The part of the settings that verification needs."""
        return Rules(
            allow_sha1=self.allow_sha1,
            missing_next_update=self.missing_next_update,
            max_response=self.max_response,
        )

    @property
    def bounds(self) -> Bounds:
        """The part of the settings that the schedule needs."""
        return Bounds(max_interval=self.max_interval, min_interval=self.min_interval)

    def _check_proxy(self) -> None:
        if self.http_proxy is not None:
            proxy = _url("http_proxy", self.http_proxy)
            if proxy.scheme != "http" or proxy.target != "/":
                raise _bad("http_proxy", f"{self.http_proxy!r} is no proxy", "use http://HOST:PORT")
        for entry in self.no_proxy:
            if not is_pattern(entry):
                raise _bad("no_proxy", f"{entry!r} matches no host", "use a domain, an IP address, a network or *")

    def _check_responders(self) -> None:
        checked: dict[str, str] = {}
        for name, url in self.responders.items():
            try:
                host = parse_host(name)
            except BadURL as error:
                raise _bad("responders", str(error), "use the host name of a responder as the key") from error
            checked[host] = str(_url("responders", url)) if url else ""
        # A copy under normalised names: equal spellings meet, and the caller's dictionary may change.
        object.__setattr__(self, "responders", checked)

    def _check_choices(self) -> None:
        if self.on_revoked not in ("drop", "refuse"):
            raise _bad("on_revoked", f"{self.on_revoked!r} is no choice", 'use "drop" or "refuse"')
        if self.certid != AUTO and self.certid not in HASHES:
            raise _bad("certid", f"{self.certid!r} is no hash", f"use one of {AUTO}, {', '.join(HASHES)}")

    def _check_numbers(self) -> None:
        for key in ("max_interval", "min_interval", "timeout"):
            if getattr(self, key) <= timedelta(0):
                raise _bad(key, "is not above zero", "use a number of seconds")
        if self.start_wait < timedelta(0):
            raise _bad("start_wait", "is negative", "use a number of seconds, 0 to listen at once")
        if self.missing_next_update is not None and self.missing_next_update <= timedelta(0):
            raise _bad("missing_next_update", "is not above zero", 'use a number of seconds, or "reject"')
        if self.min_interval > self.max_interval:
            raise _bad("min_interval", "is above max_interval", "make it the smaller one")
        if self.max_response < 1:
            raise _bad("max_response", "is not above zero", "use a number of bytes")


def _url(key: str, text: str) -> WebURL:
    try:
        return WebURL.parse(text)
    except BadURL as error:
        raise _bad(key, str(error), "use an http or https URL") from error


def _bad(key: str, problem: str, advice: str) -> OperatorError:
    return OperatorError(WHERE, problem, advice, key=key)
