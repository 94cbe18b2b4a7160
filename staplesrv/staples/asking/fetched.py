"""What a successful attempt brings back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509

from staplesrv.ocsp.response import VerifiedResponse


@dataclass(frozen=True, slots=True)
class Conditional:
    """What a later question may say about the answer held, so that a 304 can do.

    Args:
        url: The GET that brought the answer, with the OCSP request in it; validators are good for no other.
        etag: For If-None-Match; None where there was none.
        last_modified: For If-Modified-Since; None where there was none.
    """

    url: str
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True, slots=True)
class Fetched:
    """The end of an attempt that went well.

    Args:
        response: The verified response, good, revoked or unknown; None for a 304: what is held has not changed.
        url: The responder's URL, as in the assignment.
        conditional: To be handed to the next attempt; None where the responder sent no validators.
        max_age: How long HTTP calls the answer fresh; None where it did not say.
        issuer: The issuer's certificate, where it had to be fetched; clients need it in the chain too.
    """

    response: VerifiedResponse | None
    url: str
    conditional: Conditional | None = None
    max_age: timedelta | None = None
    issuer: x509.Certificate | None = None
