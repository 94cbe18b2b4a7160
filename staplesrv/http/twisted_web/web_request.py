"""Twisted's Request, made of an exchange: what resources are given."""

# Twisted Web has no annotations, and each call would need a waiver of its own.
# mypy: allow-untyped-calls

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from http import HTTPMethod
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http, resource, server
from twisted.web.error import UnsupportedMethod
from twisted.web.http_headers import Headers

from staplesrv.http.client_certificate import without_claims
from staplesrv.http.pages import page, page_with
from staplesrv.http.response import WITHOUT_CONTENT, Response
from staplesrv.http.twisted_web.web_transport import address, as_handshake

if TYPE_CHECKING:
    from staplesrv.http.twisted_web.channel import Channel
    from staplesrv.http.twisted_web.quiet_site import QuietSite

_METHODS = {method.value.encode() for method in HTTPMethod}

FIELDS = 10_000
"""Of a form that is posted, at most; they take a third of a second."""

_log = Logger()


class BadForm(ValueError):
    """The body of a request is not what its Content-Type says."""


class WebRequest(server.Request):
    """A request whose response goes to an exchange.

    Most of what Twisted's constructor makes is made here when it is asked for: that is half of what a small resource
    costs. `write` and `finish` are Twisted's, without the framing, which is the HTTP version's; `render` is, without
    the pages that show what the objects behind it look like.

    Args:
        channel: Between it and the exchange.
        content: The request's body, from its start.
    """

    site: QuietSite
    channel: Any  # a Channel, where Twisted says HTTPChannel
    _encoder: Any

    def __init__(self, channel: Channel, content: IO[bytes]) -> None:
        exchange = channel.exchange
        request = as_handshake(exchange.request)
        self.channel = self._behind = channel  # the former is taken away once all is said
        self._fields = request.fields
        self._facts = exchange.connection
        self.site = channel.site
        self.content = content
        self.method = request.method
        self.uri = request.target
        self.clientproto = b"HTTP/" + request.version.encode()
        self.path, _, query = request.target.partition(b"?")
        self.args = http.parse_qs(query, 1) if query else {}
        self.notifications = []
        self.responseHeaders = Headers()
        self.cookies: Any = []
        self.queued = False
        self._adapterCache: dict[str, Any] = {}

    # What few resources ask for.

    @cached_property
    def requestHeaders(self) -> Headers:  # type: ignore[override]
        """The request's header fields."""
        headers = Headers()
        for name, value in without_claims(self._fields):
            headers.addRawHeader(name, value)
        return headers

    @cached_property
    def received_cookies(self) -> dict[bytes, bytes]:  # type: ignore[override]
        """The cookies that came along."""
        cookies: dict[bytes, bytes] = {}
        self.__dict__["received_cookies"] = cookies  # what is called next fills it
        self.parseCookies()
        return cookies

    @cached_property
    def client(self) -> Any:
        """The client's address."""
        return address(*self._facts.client)

    @cached_property
    def host(self) -> Any:
        """The address that it connected to."""
        return address(*self._facts.server)

    @cached_property
    def transport(self) -> Any:  # type: ignore[override]
        """What resources may know of the connection, and do to it."""
        return self._behind.transport

    def isSecure(self) -> bool:
        """Tell whether it came over TLS."""
        return bool(self._forceSSL) or self._facts.secure

    # How it is answered.

    def read_form(self, content: IO[bytes]) -> None:
        """Add the arguments of a form that was posted.

        Args:
            content: The request's body, which is at its start; there it is again afterwards.

        Raises:
            BadForm: it is none.
        """
        kind = self.requestHeaders.getRawHeaders(b"content-type")
        if self.method != b"POST" or not kind:
            return
        try:
            # Python's parsers of such headers raise whatever they like.
            self._read_form(content, kind[0])
        except Exception as error:
            raise BadForm from error

    def _read_form(self, content: IO[bytes], kind: bytes) -> None:
        key = http._parseContentType(kind)  # noqa: SLF001 - Twisted does it inside of `requestReceived` alone
        if key == b"application/x-www-form-urlencoded":
            self.args.update(http.parse_qs(_bounded(content.read(), b"&", b";"), 1))
        elif key == b"multipart/form-data":
            # Every boundary, those of parts within parts too, begins its line.
            body = _bounded(content.read(), b"\n--", b"\r--")
            self.args.update(http._getMultiPartArgs(body, kind))  # noqa: SLF001 - the same
        content.seek(0)

    def process(self) -> None:
        """Find the resource and have it answer."""
        self.prepath: list[bytes] = []
        self.postpath = [unquote_to_bytes(segment) for segment in self.path[1:].split(b"/")]
        try:
            found = self.site.getResourceFor(self)
            if resource._IEncodingResource.providedBy(found):  # noqa: SLF001 - what Twisted's wrapper provides
                self._encoder = found.getEncoder(self)
            self.render(found)
        except Exception:  # noqa: BLE001 - other people's code; it costs its own request
            self.processingFailed(Failure())

    def render(self, resrc: resource.IResource) -> None:
        """Have a resource answer."""
        try:
            body = resrc.render(self)
        except UnsupportedMethod as error:
            if self.method != b"HEAD" or b"GET" not in error.allowedMethods:
                self._refuse(error.allowedMethods)
                return
            # Of the answer to HEAD the head alone goes out, whatever the resource takes the method for.
            self.method = b"GET"
            body = resrc.render(self)
            self.method = b"HEAD"
        if body is server.NOT_DONE_YET:
            return
        if not isinstance(body, bytes):
            raise TypeError(f"{resrc!r} returned no bytes but {type(body).__name__}")
        if body or not (self.method == b"HEAD" or self.code in WITHOUT_CONTENT):
            # Some resources answer HEAD with the length that they know, and no body.
            self.setHeader(b"content-length", b"%d" % len(body))
        self.write(body)
        self.finish()

    def _refuse(self, allowed: Sequence[bytes]) -> None:
        # RFC 9110 §15.5.6 demands Allow with 405; §15.6.2 has 501 for methods that nobody knows.
        known = self.method in _METHODS
        self._answer(page_with(405, ((b"Allow", b", ".join(sorted(allowed))),)) if known else page(501))

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer what went wrong in a resource: log it, and tell the client no more than that."""
        what = {"resource": self.site.resource, "method": self.method, "path": self.path}
        _log.failure("{resource} failed at {method} {path}", reason, **what)
        self._answer(page(500))
        return reason

    def _answer(self, response: Response) -> None:
        if not (self.finished or self._disconnected):
            self.channel.replace(response)
            self._end()

    # What resources call.

    def write(self, data: bytes) -> None:
        """Send some of the body, after the head where that was not sent yet."""
        if not isinstance(data, bytes):
            data = b"".join((data,))  # a bytearray; TypeError for text
        if self.finished:
            raise RuntimeError("Request.write called on a request after Request.finish was called.")
        if self._disconnected:
            return
        self._complete_head()
        # Before the head is begun: an encoder takes Content-Length out of it then.
        if self._encoder is not None:
            data = self._encoder.encode(data)
        self._begin()
        self.sentLength += len(data)
        self.channel.write(data)

    def finish(self) -> None:
        """End the response. Of a request whose client is gone that is no error here: the client chooses the moment."""
        if self._disconnected:
            return
        if self.finished:
            warnings.warn("Warning! request.finish called twice.", stacklevel=2)
            return
        self._complete_head()
        if self._encoder is not None:
            rest = self._encoder.finish()
            self._begin()
            self.channel.write(rest)
        self._begin()
        self._end()

    def _complete_head(self) -> None:
        if self.startedWriting:
            return
        headers = self.responseHeaders
        kind = self.defaultContentType
        if kind and self.code not in WITHOUT_CONTENT and not headers.hasHeader(b"content-type"):
            length = headers.getRawHeaders(b"content-length")
            if not length or length[0] != b"0":
                headers.setRawHeaders(b"content-type", [kind])
        if self.lastModified is not None:
            headers.setRawHeaders(b"last-modified", [http.datetimeToString(self.lastModified)])
        if self.etag is not None:
            headers.setRawHeaders(b"etag", [self.etag])
        if self.cookies:
            headers.setRawHeaders(b"set-cookie", self.cookies)

    def _begin(self) -> None:
        if not self.startedWriting:
            self.startedWriting = 1
            self.channel.begin(self.code, self.responseHeaders)

    def _end(self) -> None:
        self.finished = 1
        self._cleanup()


def _bounded(body: bytes, *separators: bytes) -> bytes:
    """Return a form that can be read without keeping everybody else waiting.

    Raises:
        BadForm: it has too many fields.
    """
    if sum(map(body.count, separators)) > FIELDS:
        raise BadForm
    return body
