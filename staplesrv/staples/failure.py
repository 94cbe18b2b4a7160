"""Why a fetch brought no verified answer: one kind per line of the back-off table, and the error that carries it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

from staplesrv.errors import ResponderError

MAX_DETAIL = 300
"""Characters of `FetchFailed.detail`: parts of it are a stranger's text and end up in logs."""


class FailureKind(StrEnum):
    """What went wrong, as far as the next try depends on it."""

    NETWORK = "network"
    """DNS, connect, TLS, time-out, a connection that broke, or bytes that are no HTTP."""
    HTTP_STATUS = "http-status"
    """5xx, 429, or a redirect that is not followed: too many of them, or to where nobody goes."""
    REFUSED = "refused"
    """Any other 4xx, a responder that wants signed requests, or a URL that can't be."""
    BAD_RESPONSE = "bad-response"
    """Over the size cap, compressed, no DER, bytes behind it, or not the response that was asked for."""
    TRY_LATER = "try-later"
    """The responder's own tryLater or internalError."""
    UNAUTHORIZED = "unauthorized"
    """The responder does not know the certificate, or not yet."""
    MALFORMED_REQUEST = "malformed-request"
    """The responder did not understand the request, under either CertID hash."""
    VERIFY_FAILED = "verify-failed"
    """Signature, signer or CertID wrong."""
    FUTURE = "future"
    """thisUpdate lies ahead of this machine's clock."""
    STALE = "stale"
    """Past its end or its cut-off on arrival."""
    NO_ISSUER = "no-issuer"
    """The issuer's certificate is not known and could not be fetched."""


def one_line(text: str) -> str:
    """Make a stranger's text fit for a log: one line, printable characters only, at most `MAX_DETAIL` of them."""
    line = " ".join(text[: 4 * MAX_DETAIL].split())
    return "".join(character if character.isprintable() else "?" for character in line[:MAX_DETAIL])


class FetchFailed(ResponderError):
    """No verified answer came; the staple held so far is kept, and the refresher asks again by its back-off rules.

    Args:
        kind: What decides when to ask again.
        detail: What happened; made one printable line here, whatever it holds.
        url: The responder's (or issuer's) URL that was asked, "" where none was.
        retry_after: How long the responder asked to be left alone, already capped; None where it did not say.
        status: The HTTP status where that is what failed.
    """

    def __init__(
        self,
        kind: FailureKind,
        detail: str,
        *,
        url: str = "",
        retry_after: timedelta | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(kind, detail, url, retry_after, status)
        self.kind = kind
        self.detail = one_line(detail)
        self.url = url
        self.retry_after = retry_after
        self.status = status

    def __str__(self) -> str:
        place = f"{self.url}: " if self.url else ""
        return f"{place}{self.kind}: {self.detail}"


# Answers that came and were wrong first: somebody has to see to them. Then what may be well again soon, so that a URL
# that refuses for good does not lengthen the wait for one that is only down. What says least is last.
_TELLING = (
    FailureKind.VERIFY_FAILED,
    FailureKind.FUTURE,
    FailureKind.STALE,
    FailureKind.BAD_RESPONSE,
    FailureKind.TRY_LATER,
    FailureKind.HTTP_STATUS,
    FailureKind.NETWORK,
    FailureKind.UNAUTHORIZED,
    FailureKind.MALFORMED_REQUEST,
    FailureKind.REFUSED,
    FailureKind.NO_ISSUER,
)


def most_telling(failures: Sequence[FetchFailed]) -> FetchFailed:
    """Pick the failure that stands for several of one attempt.

    Args:
        failures: At least one, in the order in which they happened; of equal kinds the first counts.

    Returns:
        The one failure, or one of the same kind, URL and Retry-After whose detail names the others too.
    """
    chosen = min(failures, key=lambda failure: _TELLING.index(failure.kind))
    others = [str(failure) for failure in failures if failure is not chosen]
    if not others:
        return chosen
    return FetchFailed(
        chosen.kind,
        "; ".join([chosen.detail, *(f"also {other}" for other in others)]),
        url=chosen.url,
        retry_after=chosen.retry_after,
        status=chosen.status,
    )
