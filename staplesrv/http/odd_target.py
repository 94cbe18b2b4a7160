"""Targets that no program behind the server is asked about."""

from __future__ import annotations

from staplesrv.http.pages import page, page_with
from staplesrv.http.request import Request
from staplesrv.http.response import Response

_STAR = Response(204, ((b"Allow", b"OPTIONS"),))
_NO_STAR = page_with(405, ((b"Allow", b"OPTIONS"),))


def answer_to_odd_target(request: Request) -> Response | None:
    """Return the answer where a request's target is no path that can be passed on; else None."""
    if b"%00" in request.path:
        # The file system's calls raise for it, and programs hand them what they get.
        return page(400)
    if request.target == b"*":
        # RFC 9110 §9.3.7: it asks about the server as a whole.
        return _STAR if request.method == b"OPTIONS" else _NO_STAR
    return None
