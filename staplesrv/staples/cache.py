"""The staples that handshakes show: per leaf one entry, looked up by the SHA-256 of the leaf's DER.

Theory of operation: the refresher writes, in the reactor's thread; handshakes read, in the same thread. What an entry
holds is one frozen object, replaced by one assignment, so a reader sees either the old staple or the new one whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from staplesrv.ocsp.response import Staple


class Reason(StrEnum):
    """Why a certificate has a staple (`OK`) or has none. The names go to logs, metrics and the status page."""

    OK = "ok"
    NO_URL = "no-url"
    """The certificate names no responder; usual today."""
    SHORT_LIVED = "short-lived"
    """No responder, and none is needed: it lives 7 days or less."""
    NO_ISSUER = "no-issuer"
    """The issuer's certificate is not known, so nothing can be verified."""
    DISABLED = "disabled"
    """The operator said never to ask."""
    PENDING = "pending"
    """Nothing came yet, and nothing is wrong yet."""
    FETCH_FAILED = "fetch-failed"
    """The responder could not be reached, or answered with an error."""
    VERIFY_FAILED = "verify-failed"
    """The responder's answer does not verify."""
    UNKNOWN = "unknown"
    """The responder says that it does not know the certificate."""
    REVOKED = "revoked"
    """The certificate is revoked."""
    STALE = "stale"
    """The staple is past its cut-off, and no newer one came."""


@dataclass(frozen=True, slots=True)
class Held:
    """A staple in the form that a handshake wants.

    Args:
        response_der: The bytes to send.
        cut_off: Seconds since the epoch from which it is not sent any more.
        staple: What the bytes say.
    """

    response_der: bytes
    cut_off: float
    staple: Staple

    @classmethod
    def of(cls, staple: Staple) -> Held:
        """Prepare a staple for handshakes."""
        return cls(staple.response_der, staple.cut_off.timestamp(), staple)


class Entry:
    """What handshakes for one leaf get.

    Args:
        fingerprint: SHA-256 of the leaf's DER.

    Attributes:
        held: The staple, also past its cut-off; None where there never was one, or it was dropped.
        reason: Why there is a staple or none, when the refresher last looked; see `reason_at`.
    """

    __slots__ = ("fingerprint", "held", "reason")

    def __init__(self, fingerprint: bytes) -> None:
        self.fingerprint = fingerprint
        self.held: Held | None = None
        self.reason = Reason.PENDING

    def current(self, now: float) -> bytes:
        """Return what one handshake sends.

        This is the hot path: one attribute read, one comparison; no lock, no call, no formatting.

        Args:
            now: The wall clock, seconds since the epoch.

        Returns:
            The response's DER, or `b""` where there is none before its cut-off.
        """
        held = self.held
        return held.response_der if held is not None and now < held.cut_off else b""

    def fresh(self, now: float) -> bool:
        """Whether a handshake at `now` (seconds since the epoch) would get a staple."""
        held = self.held
        return held is not None and now < held.cut_off

    def reason_at(self, now: float) -> Reason:
        """Why there is a staple or none at `now` (seconds since the epoch).

        A staple runs out between two looks of the refresher, so `OK` is only true together with the clock.
        """
        return Reason.STALE if self.reason is Reason.OK and not self.fresh(now) else self.reason


class StapleCache:
    """The entries of all leaves. An entry stays the same object until it is forgotten, so contexts may keep it."""

    def __init__(self) -> None:
        self._entries: dict[bytes, Entry] = {}

    def entry(self, fingerprint: bytes) -> Entry:
        """Return the entry of a leaf (SHA-256 of its DER), made on first use."""
        found = self._entries.get(fingerprint)
        if found is None:
            found = self._entries[fingerprint] = Entry(fingerprint)
        return found

    def forget(self, fingerprint: bytes) -> None:
        """Let go of a leaf's entry. Whoever still has it sees what it held last, up to its cut-off."""
        self._entries.pop(fingerprint, None)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)
