"""The ways in which a responder can behave, by name."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TypeAlias


class Behaviour(StrEnum):
    """What a responder does with a question. Names follow RFC 6960 where it has one."""

    # Answers that a stapler may use.
    GOOD = "good"
    DELEGATED = "delegated"
    """Good, signed by a delegated signer whose certificate comes along."""
    BY_KEY_HASH = "by-key-hash"
    """Good; the responder is named by the hash of its key."""
    PSS = "pss"
    """Good, signed with RSASSA-PSS by a delegated signer with an RSA key."""
    OTHER_HASH = "other-hash"
    """Good; the CertID is under another hash than the one asked with."""
    TWO_SINGLES = "two-singles"
    """Good, and before it something about another certificate."""

    # Sound answers about a certificate that is not good.
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    GOOD_AND_REVOKED = "good-and-revoked"
    """Two single responses about the one certificate: the worse counts."""

    # The error statuses of RFC 6960 §2.3.
    MALFORMED_REQUEST = "malformed-request"
    INTERNAL_ERROR = "internal-error"
    TRY_LATER = "try-later"
    SIG_REQUIRED = "sig-required"
    UNAUTHORIZED = "unauthorized"

    # Bytes that are no OCSP response, or more than one.
    GARBAGE = "garbage"
    EMPTY = "empty"
    TRAILING_BYTES = "trailing-bytes"
    HUGE = "huge"
    """Sound, but for its 128 KiB."""
    NOT_BASIC = "not-basic"
    """Successful, but of a response type that nobody knows."""

    # Responses that say something else, or at another time.
    WRONG_CERT_ID = "wrong-cert-id"
    NO_SINGLES = "no-singles"
    NO_NEXT_UPDATE = "no-next-update"
    FUTURE = "future"
    """thisUpdate is an hour ahead."""
    EXPIRED = "expired"
    """nextUpdate was an hour ago."""
    NEARLY_EXPIRED = "nearly-expired"
    """Past its cut-off, not past nextUpdate."""
    BACKWARDS = "backwards"
    """nextUpdate is before thisUpdate."""
    CRITICAL_EXTENSION = "critical-extension"
    CRITICAL_SINGLE_EXTENSION = "critical-single-extension"
    WRONG_NONCE = "wrong-nonce"
    """Another nonce than the one that was sent, or one that nobody sent."""

    # Responses by someone who may not.
    SIGNER_WITHOUT_EKU = "signer-without-eku"
    SIGNER_WITHOUT_DIGITAL_SIGNATURE = "signer-without-digital-signature"
    EXPIRED_SIGNER = "expired-signer"
    FUTURE_SIGNER = "future-signer"
    FOREIGN_SIGNER = "foreign-signer"
    """A delegated signer of another CA."""
    IMPOSTOR = "impostor"
    """A delegated signer of another CA that has the same name."""
    SIGNER_NOT_SENT = "signer-not-sent"
    """A delegated signer whose certificate is left out."""
    WRONG_RESPONDER_ID = "wrong-responder-id"
    BAD_SIGNATURE = "bad-signature"
    SHA1_SIGNATURE = "sha1-signature"

    # What happens on the way.
    GZIP = "gzip"
    """Good and compressed, though nobody offered to take that."""
    ENDLESS = "endless"
    """A body without a stated length that goes on until the client leaves."""
    TRUNCATED = "truncated"
    """Half of what Content-Length promises, then the end of the connection."""
    SLOW_DRIP = "slow-drip"
    """Good, one byte at a time."""
    SILENCE = "silence"
    """Takes the question and never answers."""
    CLOSE = "close"
    RESET = "reset"
    NOT_MODIFIED = "not-modified"
    """304 to everybody."""
    HTTP_400 = "http-400"
    HTTP_403 = "http-403"
    HTTP_404 = "http-404"
    HTTP_405 = "http-405"
    HTTP_429 = "http-429"
    HTTP_500 = "http-500"
    HTTP_502 = "http-502"
    HTTP_503 = "http-503"
    REDIRECT = "redirect"
    """One redirect, then good."""
    REDIRECT_THREE_TIMES = "redirect-three-times"
    REDIRECT_FOUR_TIMES = "redirect-four-times"
    REDIRECT_LOOP = "redirect-loop"
    REDIRECT_TO_FILE = "redirect-to-file"
    """To a `file:` URL, which nobody may follow."""


Behaviours: TypeAlias = Behaviour | str | Iterable[Behaviour | str]
"""One behaviour, or several to be used up in turn; the last one stays."""


class Script:
    """Behaviours in turn; the last one stays.

    Args:
        behaviours: One or several, as members or by name.

    Raises:
        ValueError: If there is none, or a name is unknown.
    """

    def __init__(self, behaviours: Behaviours) -> None:
        names = [behaviours] if isinstance(behaviours, str) else behaviours
        self._turns = [Behaviour(name) for name in names]
        if not self._turns:
            raise ValueError("at least one behaviour is needed")

    @property
    def current(self) -> Behaviour:
        """What comes next."""
        return self._turns[0]

    def advance(self) -> Behaviour:
        """Take the next turn; the last one is never used up."""
        return self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]
