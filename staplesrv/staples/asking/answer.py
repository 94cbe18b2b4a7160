"""What a responder's HTTP response means: an answer, or a refusal. The OCSP response inside is not looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from twisted.web.iweb import IResponse

from staplesrv.staples.asking.freshness import max_age, retry_after, validator
from staplesrv.staples.failure import FailureKind, FetchFailed

_NOT_MODIFIED: Final = 304
_TOO_MANY_REQUESTS: Final = 429
_CLIENT_ERRORS: Final = range(400, 500)
# Redirects that get this far are of a kind that is not followed.
_NOT_NOW: Final = {*range(300, 400), _TOO_MANY_REQUESTS, *range(500, 600)} - {_NOT_MODIFIED}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a responder sent; nothing of it is verified.

    Args:
        body: The response's body; None for a 304, which says that what is held has not changed.
        url: What was asked, before redirects; of a GET the whole URL with the OCSP request in it.
        etag: For If-None-Match next time.
        last_modified: For If-Modified-Since next time.
        max_age: How long HTTP calls the answer fresh.
    """

    body: bytes | None
    url: str
    etag: str | None = None
    last_modified: str | None = None
    max_age: timedelta | None = None


def make_answer(body: bytes | None, url: str, response: IResponse) -> Answer:
    """Make an answer of a 200 or a 304.

    Args:
        body: As in `Answer`, as `url`.
        url: What was asked.
        response: For its headers.
    """
    cache_control = [value.decode("latin-1") for value in response.headers.getRawHeaders(b"Cache-Control", [])]
    return Answer(
        body=body,
        url=url,
        etag=validator(_header(response, b"ETag")),
        last_modified=validator(_header(response, b"Last-Modified")),
        max_age=max_age(cache_control, _header(response, b"Age")),
    )


def refusal(response: IResponse, now: datetime) -> FetchFailed:
    """Make a failure of any other status.

    Args:
        response: For its status and headers.
        now: Aware, UTC; what a Retry-After that is a date is compared with.
    """
    status = response.code
    if status in _NOT_NOW:
        kind = FailureKind.HTTP_STATUS
    else:
        kind = FailureKind.REFUSED if status in _CLIENT_ERRORS else FailureKind.BAD_RESPONSE
    wait = retry_after(_header(response, b"Retry-After"), now)
    return FetchFailed(kind, f"HTTP status {status}", retry_after=wait, status=status)


def _header(response: IResponse, name: bytes) -> str | None:
    values: list[bytes] = response.headers.getRawHeaders(name, [])
    return values[0].decode("latin-1") if values else None
