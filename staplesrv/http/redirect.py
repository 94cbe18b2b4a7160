"""Lead clients elsewhere: to another site, or from plain HTTP to https."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from staplesrv.errors import OperatorError
from staplesrv.http.acme_challenges import AcmeChallenges
from staplesrv.http.authority import split
from staplesrv.http.exchange import Exchange
from staplesrv.http.fields import is_value
from staplesrv.http.pages import page, page_with
from staplesrv.http.request import Request
from staplesrv.http.response import Response

HTTPS_PORT = 443

_SCHEMES = {"http", "https"}


class Redirect:
    """Leads every request to the same path and query below another URL.

    Args:
        to: Like `https://www.example.org`, or with a path that is put in front of the request's.

    Raises:
        OperatorError: it is no such URL.
    """

    def __init__(self, to: str) -> None:
        self._to = _checked(to)

    def handle(self, exchange: Exchange) -> None:
        """Answer."""
        exchange.send(moved(exchange.request, self._to))


class HttpsRedirect:
    """Leads every request of a listener without TLS to https, on the host that it was for.

    Args:
        port: Where https is.
        acme_folder: What `/.well-known/acme-challenge/` is answered from instead; None: it is led to https as well.
    """

    def __init__(self, port: int = HTTPS_PORT, acme_folder: Path | None = None) -> None:
        self._suffix = b"" if port == HTTPS_PORT else b":%d" % port
        self._challenges = None if acme_folder is None else AcmeChallenges(acme_folder)

    def handle(self, exchange: Exchange) -> None:
        """Answer."""
        request = exchange.request
        answer = None if self._challenges is None else self._challenges.answer(request)
        exchange.send(answer or self._lead(request))

    def _lead(self, request: Request) -> Response:
        # The version has checked it; of HTTP/1.0 it may be missing.
        authority = split(request.authority)
        if authority is None:
            return page(400)
        return moved(request, b"https://" + authority.host + self._suffix)


def moved(request: Request, to: bytes) -> Response:
    """Return what leads a request to a URL with its own path and query put behind.

    Args:
        request: Its target has no byte that could end a header field.
        to: Scheme, host and maybe a path, without a slash at the end: with a host the path can't be taken for one.
    """
    target = b"/" if request.target == b"*" else request.target
    # RFC 9110 §15.4.2: after a 301 clients may turn other methods into GET; after a 308 they may not.
    return page_with(301 if request.method in {b"GET", b"HEAD"} else 308, ((b"Location", to + target),))


def _checked(to: str) -> bytes:
    def bad(problem: str) -> OperatorError:
        return OperatorError(to, problem, "use a URL like https://www.example.org")

    try:
        parts = urlsplit(to)
        authority = split(parts.netloc.encode("ascii"))
    except ValueError as error:
        raise bad("is no URL in ASCII") from error
    if parts.scheme not in _SCHEMES or authority is None:
        raise bad("names no scheme and host to lead to")
    if "?" in to or "#" in to:
        raise bad("has a query or a fragment, where the request's own is put behind")
    encoded = to.rstrip("/").encode("ascii", "replace")
    if not (to.isascii() and is_value(encoded)) or b" " in encoded:
        raise bad("has a character that no URL has")
    return encoded
