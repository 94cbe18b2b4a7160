"""Verification of what did not come over the network just now: stored responses and response files."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import ocsp

from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.response import RejectReason, ResponseRejected, Revoked, Rules, VerifiedResponse
from staplesrv.staples.failure import FailureKind, FetchFailed

_KINDS: Final = {
    RejectReason.FUTURE: FailureKind.FUTURE,
    RejectReason.STALE: FailureKind.STALE,
    RejectReason.MALFORMED: FailureKind.BAD_RESPONSE,
    RejectReason.TOO_LARGE: FailureKind.BAD_RESPONSE,
    RejectReason.NOT_BASIC: FailureKind.BAD_RESPONSE,
    # An error that a responder gave to somebody else has nothing to say to us.
    RejectReason.TRY_LATER: FailureKind.BAD_RESPONSE,
    RejectReason.INTERNAL_ERROR: FailureKind.BAD_RESPONSE,
    RejectReason.MALFORMED_REQUEST: FailureKind.BAD_RESPONSE,
    RejectReason.SIG_REQUIRED: FailureKind.BAD_RESPONSE,
    RejectReason.UNAUTHORIZED: FailureKind.BAD_RESPONSE,
}


class Verify(Protocol):
    """`ocsp.response.verify_response`, or a stand-in for it."""

    def __call__(self, response_der: bytes, target: Target, *, now: datetime, rules: Rules) -> VerifiedResponse:
        """See `ocsp.response.verify_response`."""


class Judge:
    """Applies one server's rules.

    Args:
        rules: What the operator decided.
        verify: The verification itself.
    """

    def __init__(self, rules: Rules, verify: Verify) -> None:
        self._rules = rules
        self._verify = verify

    def stored(self, response_der: bytes, target: Target, now: datetime) -> VerifiedResponse:
        """Judge what a store had.

        A revocation does not end with the response that told of it: one that is over now, and was sound in its time, is
        accepted.

        Raises:
            ResponseRejected: it is of no use.
        """
        try:
            return self._verify(response_der, target, now=now, rules=self._rules)
        except ResponseRejected as rejected:
            if rejected.reason is RejectReason.STALE:
                for moment in own_times(response_der):
                    verdict = self._revocation_at(moment, response_der, target)
                    if verdict is not None:
                        return verdict
            raise

    def filed(self, response_der: bytes, target: Target, now: datetime) -> VerifiedResponse:
        """Judge what was in a response file.

        Raises:
            FetchFailed: it does not pass.
        """
        try:
            return self._verify(response_der, target, now=now, rules=self._rules)
        except ResponseRejected as rejected:
            kind = _KINDS.get(rejected.reason, FailureKind.VERIFY_FAILED)
            detail = rejected.detail if rejected.reason.value == kind.value else str(rejected)
            raise FetchFailed(kind, detail) from rejected

    def _revocation_at(self, moment: datetime, response_der: bytes, target: Target) -> Revoked | None:
        try:
            response = self._verify(response_der, target, now=moment, rules=self._rules)
        except ResponseRejected:
            return None
        return response if isinstance(response, Revoked) else None


def own_times(response_der: bytes) -> list[datetime]:
    """The thisUpdate times in a response, the latest first, unverified; none where it can't be read."""
    try:
        singles = ocsp.load_der_ocsp_response(response_der).responses
        return sorted({single.this_update_utc for single in singles}, reverse=True)
    except (ValueError, UnsupportedAlgorithm):
        return []
