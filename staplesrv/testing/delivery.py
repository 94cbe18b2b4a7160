"""One answer of a responder on its way over HTTP."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from twisted.internet.interfaces import IReactorTime
from twisted.web import http

from staplesrv.testing.asked import Request


def http_date(moment: datetime) -> bytes:
    """Write a moment as HTTP does (RFC 9110 §5.6.7)."""
    return format_datetime(moment.astimezone(UTC), usegmt=True).encode()


def set_headers(
    request: Request, *, max_age: timedelta | None = None, retry_after: timedelta | datetime | str | None = None
) -> None:
    """Set the headers that any answer gets.

    Args:
        request: The request to be answered.
        max_age: Cache-Control's max-age (RFC 9919 §6); None sends none.
        retry_after: Retry-After: a span, a moment, or any text as it is; None sends none.
    """
    if max_age is not None:
        value = f"max-age={int(max_age.total_seconds())}, public, no-transform, must-revalidate"
        request.setHeader(b"Cache-Control", value.encode())
    if retry_after is not None:
        request.setHeader(b"Retry-After", _retry_after(retry_after))


def _retry_after(value: timedelta | datetime | str) -> bytes:
    if isinstance(value, timedelta):
        return b"%d" % int(value.total_seconds())
    if isinstance(value, datetime):
        return http_date(value)
    return value.encode("latin-1")


def after(delay: float, clock: IReactorTime | None, request: Request, deliver: Callable[[], None]) -> None:
    """Deliver after a while, unless the client leaves before that.

    Args:
        delay: Seconds; 0 delivers at once.
        clock: Where time comes from; may be None without a delay.
        request: The request that is answered.
        deliver: What to do then.

    Raises:
        RuntimeError: If there is a delay and no clock.
    """
    if not delay:
        deliver()
        return
    call = needed(clock).callLater(delay, deliver)

    def client_left(_: object) -> None:
        if call.active():
            call.cancel()

    request.notifyFinish().addErrback(client_left)


def needed(clock: IReactorTime | None) -> IReactorTime:
    """The clock, where there is no doing without one."""
    if clock is None:
        raise RuntimeError("a delay needs a clock: OCSPResponder(..., clock=reactor)")
    return clock


@dataclass(frozen=True, slots=True)
class Delivery:
    """One answer on its way.

    Args:
        request: The request to answer; the client must still be there.
        body: What to send.
        content_type: Its media type.
        last_modified: For conditional requests; None leaves them alone.
        clock: For the slow drip.
        drip: Seconds from byte to byte of the slow drip.
    """

    request: Request
    body: bytes
    content_type: str
    last_modified: datetime | None = None
    clock: IReactorTime | None = None
    drip: float = 1.0

    def send(self) -> None:
        """Send the answer as it should be; 304 where the client has it."""
        self.name_type()
        if self._is_unmodified():
            self.request.finish()
        else:
            self.finish(self.body)

    def name_type(self) -> None:
        """Set Content-Type."""
        self.request.setHeader(b"Content-Type", self.content_type.encode())

    def finish(self, body: bytes) -> None:
        """Send a body and no more."""
        self.request.setHeader(b"Content-Length", b"%d" % len(body))
        self.request.write(body)
        self.request.finish()

    def refuse(self, code: int) -> None:
        """Send a status code with a line of text."""
        self.request.setResponseCode(code)
        self.request.setHeader(b"Content-Type", b"text/plain")
        self.finish(b"no\n")

    def _is_unmodified(self) -> bool:
        # RFC 9110 §13.1.2, §13.1.3: If-None-Match decides where it is there; both are for GET.
        if self.last_modified is None or self.request.method != b"GET":
            return False
        etag = b'"' + hashlib.sha256(self.body).hexdigest()[:32].encode() + b'"'
        self.request.setHeader(b"Last-Modified", http_date(self.last_modified))
        if self.request.setETag(etag) is http.CACHED:
            return True
        if self.request.getHeader(b"If-None-Match") is not None:
            return False
        return self.request.setLastModified(int(self.last_modified.timestamp())) is http.CACHED
