"""Why a fetch brought no verified answer: one kind per line of the back-off table, and the error that carries it."""

from __future__ import annotations

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
    """5xx, 429, or more redirects than are followed."""
    REFUSED = "refused"
    """Any other 4xx, or a redirect to where nobody follows."""
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
    """

    def __init__(self, kind: FailureKind, detail: str, *, url: str = "", retry_after: timedelta | None = None) -> None:
        super().__init__(kind, detail, url, retry_after)
        self.kind = kind
        self.detail = one_line(detail)
        self.url = url
        self.retry_after = retry_after

    def __str__(self) -> str:
        place = f"{self.url}: " if self.url else ""
        return f"{place}{self.kind}: {self.detail}"
