"""What a response said that passed every check."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

from staplesrv.ocsp.certid import CertID

CUT_OFF: Final = timedelta(seconds=300)
"""How long before its end a response is last shown, for clients whose clock runs ahead; at most 5 % of its life."""


def cut_off(this_update: datetime, expires: datetime) -> datetime:
    """When a response stops being shown: a little before its end, and later than `this_update`."""
    return expires - min(CUT_OFF, (expires - this_update) * 0.05)


@dataclass(frozen=True, slots=True)
class VerifiedResponse:
    """A response that passed every check: one of `Staple`, `Revoked` and `Unknown`.

    Args:
        response_der: The response, DER.
        this_update: T: when what it says was known to be correct.
        next_update: When newer information will be there at the latest; None if it does not say.
        produced_at: When it was signed.
        expires: E: the earliest of nextUpdate, the end of the signer's certificate and the end of the leaf.
        signer: The subject of the certificate that signed it, RFC 4514 text.
        cert_id: The certificate it is about, as the response names it.
    """

    status: ClassVar[str] = ""

    response_der: bytes
    this_update: datetime
    next_update: datetime | None
    produced_at: datetime
    expires: datetime
    signer: str
    cert_id: CertID

    @property
    def lifetime(self) -> timedelta:
        """V: from thisUpdate to the end."""
        return self.expires - self.this_update

    @property
    def cut_off(self) -> datetime:
        """When it stops being shown, or believed."""
        return cut_off(self.this_update, self.expires)


@dataclass(frozen=True, slots=True)
class Staple(VerifiedResponse):
    """A good response: what may be stapled until its cut-off."""

    status: ClassVar[str] = "good"


@dataclass(frozen=True, slots=True)
class Revoked(VerifiedResponse):
    """The certificate is revoked.

    Args:
        revoked_at: Since when.
        revocation_reason: Why, a name of RFC 5280 §5.3.1; None if it does not say.
    """

    status: ClassVar[str] = "revoked"

    revoked_at: datetime
    revocation_reason: str | None


@dataclass(frozen=True, slots=True)
class Unknown(VerifiedResponse):
    """The responder does not know the certificate."""

    status: ClassVar[str] = "unknown"
