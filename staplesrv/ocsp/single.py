"""The single responses inside a response: which speak of our certificate, and what counts when several do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import ocsp

from staplesrv.ocsp.certid import CertID, Target
from staplesrv.ocsp.hashing import HASHES
from staplesrv.ocsp.rejection import RejectReason, ResponseRejected
from staplesrv.ocsp.text import one_line

LATEST: Final = datetime.max.replace(tzinfo=UTC)

SEVERITY: Final = {ocsp.OCSPCertStatus.GOOD: 0, ocsp.OCSPCertStatus.UNKNOWN: 1, ocsp.OCSPCertStatus.REVOKED: 2}
"""The worst status has the highest number."""


@dataclass(frozen=True, slots=True)
class Single:
    """What one SingleResponse says (RFC 6960 §4.2.1).

    Args:
        cert_id: The certificate, as the response names it.
        status: What it says.
        this_update: When that was known to be correct.
        next_update: When newer information will be there at the latest; None if it does not say.
        revoked_at: Since when, for a revoked certificate.
        revocation_reason: Why, a name of RFC 5280 §5.3.1; None if it does not say.
    """

    cert_id: CertID
    status: ocsp.OCSPCertStatus
    this_update: datetime
    next_update: datetime | None
    revoked_at: datetime | None
    revocation_reason: str | None

    def ends(self, missing_next_update: timedelta | None) -> datetime | None:
        """When it ends: nextUpdate, or a while after thisUpdate; None where neither is there."""
        if self.next_update is not None or missing_next_update is None:
            return self.next_update
        room = LATEST - self.this_update
        return self.this_update + min(missing_next_update, room)


def matching(response: ocsp.OCSPResponse, target: Target) -> list[Single]:
    """Read the single responses that speak of a certificate.

    Args:
        response: A successful response.
        target: The certificate.

    Returns:
        At least one.

    Raises:
        ResponseRejected: there is none, or one that can't be read.
    """
    try:
        singles = [_read(single, cert_id) for single, cert_id in _matches(response, target)]
    except ValueError as error:
        raise ResponseRejected(RejectReason.MALFORMED, one_line(str(error))) from error
    if not singles:
        detail = f"the response is not about serial number {target.serial_number:x}, or about another issuer's"
        raise ResponseRejected(RejectReason.NO_MATCHING_RESPONSE, detail)
    return singles


def worst(singles: Sequence[Single]) -> list[Single]:
    """Keep the single responses with the worst status that any of them has."""
    most = max(SEVERITY[single.status] for single in singles)
    return [single for single in singles if SEVERITY[single.status] == most]


def _matches(response: ocsp.OCSPResponse, target: Target) -> Iterator[tuple[ocsp.OCSPSingleResponse, CertID]]:
    for single in response.responses:
        # The cheapest first: a response may have hundreds of others.
        if single.serial_number != target.serial_number:
            continue
        try:
            hash_name = single.hash_algorithm.name
        except UnsupportedAlgorithm:
            continue
        if hash_name not in HASHES:
            continue
        cert_id = target.cert_id(hash_name)
        if (single.issuer_name_hash, single.issuer_key_hash) == (cert_id.issuer_name_hash, cert_id.issuer_key_hash):
            yield single, cert_id


def _read(single: ocsp.OCSPSingleResponse, cert_id: CertID) -> Single:
    reason = single.revocation_reason
    return Single(
        cert_id,
        single.certificate_status,
        single.this_update_utc,
        single.next_update_utc,
        single.revocation_time_utc,
        None if reason is None else reason.name,
    )
