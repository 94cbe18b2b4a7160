"""The admin interface: what a server tells of itself and may be asked to do, as resources of Twisted Web.

It is plain HTTP, and asks nobody who they are: `admin_address` sees to it that it is out of strangers' reach, `visitor`
keeps pages in browsers from it.
"""

# Twisted Web has no annotations, and each call would need a waiver of its own.
# mypy: allow-untyped-calls

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from staplesrv.ops import metrics, visitor
from staplesrv.ops.status import Reload, Status
from staplesrv.ops.status_document import document

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"

OK: Final = 200
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
NOT_ALLOWED: Final = 405
CONFLICT: Final = 409
MISDIRECTED: Final = 421
UNUSABLE: Final = 422
BROKEN: Final = 500
UNAVAILABLE: Final = 503

LOOKING: Final = ("GET", "HEAD")
STEERING: Final = ("POST",)

_log = Logger()


class Server(Protocol):
    """The server that is looked at."""

    def status(self) -> Status:
        """How it is now."""

    def reload_soon(self) -> Deferred[Reload] | None:
        """Reload as for SIGHUP; None where it stops, so that nothing more is read."""


def tree(server: Server) -> Resource:
    """Make the resources.

    Args:
        server: What they show and steer.
    """
    root = Page(LOOKING, _nothing_here)
    pages: Mapping[bytes, Page] = {
        b"status": Page(LOOKING, lambda request: _status(server.status(), request)),
        b"metrics": Page(LOOKING, lambda request: _metrics(server.status(), request)),
        b"health": Page(LOOKING, lambda request: _health(server.status(), request)),
        b"reload": Page(STEERING, lambda request: _reload(server, request)),
    }
    for name, page in pages.items():
        root.putChild(name, page)
    return root


class Page(Resource):
    """A resource that is one function.

    Args:
        methods: Those that it answers.
        respond: Answers, now or later.
    """

    def __init__(self, methods: Sequence[str], respond: Callable[[Request], object]) -> None:
        super().__init__()
        self._methods = methods
        self._respond = respond

    def getChild(self, path: bytes, request: Request) -> Resource:  # noqa: ARG002 - there is none, whatever it is
        """Nothing is below a page but what was put there."""
        return Page(LOOKING, _nothing_here)

    def render(self, request: Request) -> int:
        """Answer those who may ask."""
        method = request.method.decode("latin-1")
        if not isinstance(request.getHost(), UNIXAddress) and not visitor.is_at_home(_fields(request, "Host")):
            answer(request, MISDIRECTED, "ask for localhost, or for an address of this machine")
        elif method not in self._methods:
            request.setHeader("Allow", ", ".join(self._methods))
            answer(request, NOT_ALLOWED, f"use {' or '.join(self._methods)}")
        elif self._methods is STEERING and not _may_steer(request):
            answer(request, FORBIDDEN, "pages in browsers may not do this")
        else:
            self._respond(request)
        return NOT_DONE_YET


def answer(request: Request, status: int, text: str, content_type: str = TEXT) -> None:
    """Send a response; one line of text gets its end."""
    body = f"{text}\n".encode() if content_type == TEXT else text.encode()
    request.setResponseCode(status)
    for name, value in (
        ("Server", "staplesrv"),
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ):
        request.setHeader(name, value)
    # Twisted leaves it out for HEAD.
    request.write(body)
    request.finish()


def _nothing_here(request: Request) -> None:
    answer(request, NOT_FOUND, "there are /status, /metrics, /health, and /reload for POST")


def _status(status: Status, request: Request) -> None:
    answer(request, OK, json.dumps(document(status), indent=1) + "\n", JSON)


def _metrics(status: Status, request: Request) -> None:
    answer(request, OK, metrics.exposition(status), metrics.CONTENT_TYPE)


def _health(status: Status, request: Request) -> None:
    # Of staples it says nothing: a server that lacks one still serves, and to take it away helps nobody.
    wrong = status.out_of_service
    answer(request, UNAVAILABLE if wrong else OK, wrong or "ok")


def _reload(server: Server, request: Request) -> None:
    reloading = server.reload_soon()
    if reloading is None:
        answer(request, CONFLICT, "the server stops")
        return
    gone: list[Failure] = []
    request.notifyFinish().addErrback(gone.append)

    def done(reload: Reload) -> None:
        if not gone:
            good = reload.good and not reload.failures
            answer(request, OK if good else UNUSABLE, "\n".join(reload.lines))

    def failed(failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            _log.failure("A reload ended in a bug of ours", failure=failure)
        if not gone:
            answer(request, BROKEN, "the reload ended before it was done; see the log")

    reloading.addCallbacks(done, failed)


def _may_steer(request: Request) -> bool:
    return visitor.may_steer(_fields(request, "Origin"), _fields(request, "Sec-Fetch-Site"))


def _fields(request: Request, name: str) -> list[str]:
    values: Any = request.requestHeaders.getRawHeaders(name.encode(), [])
    return [value.decode("latin-1") for value in values]
