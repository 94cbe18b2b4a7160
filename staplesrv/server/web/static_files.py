"""A folder of files, through Twisted's `static.File`: no listings, no hidden files, no surprises in odd paths."""

# Twisted Web has no annotations, and each call would need a waiver of its own.
# mypy: allow-untyped-calls

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from twisted.logger import Logger
from twisted.web import http, pages, static
from twisted.web.resource import IResource
from twisted.web.server import Request

from staplesrv.server.web.byte_range import usable_range

UNKNOWN_TYPE = "application/octet-stream"
"""Twisted's own default is text/html, which makes a page of anything."""

WELL_KNOWN = b".well-known"

# On top of the system's table, which is another one on each system.
_TYPES: Mapping[str, str] = {
    ".avif": "image/avif",
    ".css": "text/css",
    ".gz": "application/gzip",
    ".htm": "text/html",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xml": "text/xml",
}

_NOT_ALLOWED: Any = pages.errorPage(http.NOT_ALLOWED, "405 Method Not Allowed", "There are only files here.")

_log = Logger()


def content_types() -> dict[str, str]:
    """Media types by extension; texts say that they are UTF-8."""
    types = {**static.File.contentTypes, **_TYPES}
    return {
        extension: f"{kind}; charset=utf-8" if kind.startswith("text/") else kind for extension, kind in types.items()
    }


def is_plain(segment: bytes) -> bool:
    """Whether a path segment may name a file: its escapes are undone already, so that anything may be in it."""
    if b"\0" in segment or b"/" in segment:
        # `%00` would raise in the file system's calls, and `a%2F.git` pass for something else than a hidden name.
        return False
    if segment.startswith(b".") and segment != WELL_KNOWN:
        return False
    try:
        segment.decode()
    except UnicodeDecodeError:
        return False
    return True


class StaticFiles(static.File):
    """A file or a folder as Twisted serves it, within limits; the constructor is `static.File`'s."""

    indexNames = ["index.html"]  # noqa: RUF012 - Twisted's is an attribute of the class, too
    contentTypes = content_types()
    # With Twisted's own, a download of `site.tar.gz` would be unpacked on its way.
    contentEncodings: dict[str, str] = {}  # noqa: RUF012 - the same
    childNotFound: Any = pages.notFound("404 Not Found", "There is nothing here.")
    forbidden: Any = pages.forbidden("403 Forbidden", "This may not be read.")

    def __init__(self, path: str, defaultType: str = UNKNOWN_TYPE, *args: Any) -> None:
        super().__init__(path, defaultType, *args)

    def directoryListing(self) -> Any:
        """Show nobody what else is in the folder."""
        return self.childNotFound

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Return what lies below a folder."""
        if not is_plain(path):
            missing: IResource = self.childNotFound
            return missing
        child: IResource = super().getChild(path, request)
        return child

    def render(self, request: Request) -> bytes | int:
        """Answer GET and HEAD."""
        if request.method in (b"GET", b"HEAD"):
            return self.render_GET(request)
        request.setHeader(b"allow", b"GET, HEAD")
        answer: bytes | int = _NOT_ALLOWED.render(request)
        return answer

    def render_GET(self, request: Request) -> bytes | int:
        """Send the file, or the part of it that is asked for."""
        self.restat(reraise=False)
        if self.isdir() and not request.path.endswith(b"/"):
            return self.redirect(request)
        if not self.isfile():
            # A pipe would block the process, and a socket raise.
            return self._render_not_found(request)
        _narrow_range(request, self.getsize(), self.getModificationTime())
        try:
            answer: bytes | int = super().render_GET(request)
        except OSError as error:
            _log.error("{path} can't be served: {problem}", path=self.path, problem=error.strerror)
            return self._render_not_found(request)
        return answer

    def redirect(self, request: Request) -> bytes:
        """Send the client to the folder's page; relative links on it need the slash at the end."""
        path, mark, query = request.uri.partition(b"?")
        # The last segment alone: what starts with two slashes would lead to another host.
        request.redirect(b"./" + path.rpartition(b"/")[2] + b"/" + mark + query)
        request.setResponseCode(http.MOVED_PERMANENTLY)
        return b""

    def _render_not_found(self, request: Request) -> bytes | int:
        answer: bytes | int = self.childNotFound.render(request)
        return answer


def _narrow_range(request: Request, size: int, modified: float) -> None:
    wanted = request.getHeader(b"range")
    if wanted is None:
        return
    usable = usable_range(wanted, size)
    condition = request.getHeader(b"if-range")
    # RFC 9110 §13.1.5: a part of another version than the client has is of no use to it. Twisted's Last-Modified is
    # rounded up.
    if usable is None or (condition is not None and condition != http.datetimeToString(math.ceil(modified))):
        request.requestHeaders.removeHeader(b"range")
    else:
        request.requestHeaders.setRawHeaders(b"range", [usable])
