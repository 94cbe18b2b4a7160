"""Why a response is not accepted."""

from __future__ import annotations

from enum import StrEnum

from staplesrv.errors import ResponderError


class RejectReason(StrEnum):
    """One reason per check, in the order of the checks."""

    TOO_LARGE = "too-large"
    MALFORMED = "malformed"
    MALFORMED_REQUEST = "malformed-request"
    INTERNAL_ERROR = "internal-error"
    TRY_LATER = "try-later"
    SIG_REQUIRED = "sig-required"
    UNAUTHORIZED = "unauthorized"
    NOT_BASIC = "not-basic"
    NO_MATCHING_RESPONSE = "no-matching-response"
    SIGNER_NOT_AUTHORIZED = "signer-not-authorized"
    SIGNER_EXPIRED = "signer-expired"
    RESPONDER_ID_MISMATCH = "responder-id-mismatch"
    WEAK_SIGNATURE = "weak-signature"
    BAD_SIGNATURE = "bad-signature"
    FUTURE = "future"
    NO_NEXT_UPDATE = "no-next-update"
    INVERTED_TIMES = "inverted-times"
    STALE = "stale"
    CRITICAL_EXTENSION = "critical-extension"
    NONCE_MISMATCH = "nonce-mismatch"


class ResponseRejected(ResponderError):
    """A response did not pass a check. It is never shown to a client; what was held before is kept or dropped by rule.

    Args:
        reason: Which check.
        detail: What was found, one printable line; names the signer where there is one.
    """

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.detail}"
