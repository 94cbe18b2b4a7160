"""The admin interface: what a server tells of itself and may be asked to do, as resources of Twisted Web.

It is plain HTTP, and asks nobody who they are: `admin_address` sees to it that it is out of strangers' reach, `visitor`
keeps pages in browsers from it.
"""

# Twisted Web has no annotations, and each call would need a waiver of its own.
# mypy: allow-untyped-calls

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from staplesrv.ops import metrics, visitor
from staplesrv.ops.status import Reload, Status
from staplesrv.ops.status_document import document
from staplesrv.staples.blocking import in_thread

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

    async def status(self) -> Status:
        """How it is now."""

    def out_of_service(self) -> str:
        """Why clients should go elsewhere; empty where they are served."""

    def reload_soon(self) -> Deferred[Reload] | None:
        """Reload as for SIGHUP; None where it stops, so that nothing more is read."""


class Answer(NamedTuple):
    """What is sent back.

    Args:
        status: Of HTTP.
        text: The body.
        content_type: What it is.
    """

    status: int
    text: str
    content_type: str = TEXT


Respond = Callable[[], Coroutine[Deferred[Any], Any, Answer]]
"""Answers a request that may be made."""


class Page(Resource):
    """A resource that is one function.

    Args:
        methods: Those that it answers.
        respond: Answers them.
    """

    def __init__(self, methods: Sequence[str], respond: Respond) -> None:
        super().__init__()
        self._methods = methods
        self._respond = respond

    def getChild(self, path: bytes, request: Request) -> Resource:  # noqa: ARG002 - there is none, whatever it is
        """Nothing is below a page but what was put there."""
        return Page(LOOKING, _nothing_here)

    def render(self, request: Request) -> int:
        """Answer those who may ask."""
        refused = self._refusal(request)
        if refused is not None:
            _send(request, refused)
            return NOT_DONE_YET
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)

        def send(answer: Answer) -> None:
            if not gone:
                _send(request, answer)

        Deferred.fromCoroutine(self._respond()).addErrback(_broken).addCallback(send)
        return NOT_DONE_YET

    def _refusal(self, request: Request) -> Answer | None:
        if not isinstance(request.getHost(), UNIXAddress) and not visitor.is_at_home(_fields(request, "Host")):
            return Answer(MISDIRECTED, "ask for localhost, or for an address of this machine\n")
        if request.method.decode("latin-1") not in self._methods:
            request.setHeader("Allow", ", ".join(self._methods))
            return Answer(NOT_ALLOWED, f"use {' or '.join(self._methods)}\n")
        steered = self._methods is STEERING
        if steered and not visitor.may_steer(_fields(request, "Origin"), _fields(request, "Sec-Fetch-Site")):
            return Answer(FORBIDDEN, "pages in browsers may not do this\n")
        return None


def tree(server: Server, reactor: Any) -> Page:
    """Make the resources.

    Args:
        server: What they show and steer.
        reactor: For its threads: ten thousand certificates take a moment to write down.
    """
    root = Page(LOOKING, _nothing_here)
    pages: Mapping[bytes, Page] = {
        b"status": Page(LOOKING, partial(_status, server, reactor)),
        b"metrics": Page(LOOKING, partial(_metrics, server, reactor)),
        b"health": Page(LOOKING, partial(_health, server)),
        b"reload": Page(STEERING, partial(_reload, server)),
    }
    for name, page in pages.items():
        root.putChild(name, page)
    return root


async def _nothing_here() -> Answer:
    return Answer(NOT_FOUND, "there are /status, /metrics, /health, and /reload for POST\n")


async def _status(server: Server, reactor: Any) -> Answer:
    status = await server.status()
    return Answer(OK, await in_thread(reactor, lambda: json.dumps(document(status)) + "\n"), JSON)


async def _metrics(server: Server, reactor: Any) -> Answer:
    status = await server.status()
    return Answer(OK, await in_thread(reactor, metrics.exposition, status), metrics.CONTENT_TYPE)


async def _health(server: Server) -> Answer:
    # Of staples it says nothing: a server that lacks one still serves, and to take it away helps nobody.
    wrong = server.out_of_service()
    return Answer(UNAVAILABLE, f"{wrong}\n") if wrong else Answer(OK, "ok\n")


async def _reload(server: Server) -> Answer:
    reloading = server.reload_soon()
    if reloading is None:
        return Answer(CONFLICT, "the server stops\n")
    reload = await reloading
    return Answer(OK if reload.good and not reload.failures else UNUSABLE, "".join(f"{one}\n" for one in reload.lines))


def _broken(failure: Failure) -> Answer:
    _log.failure("A bug of ours in the admin interface", failure=failure)
    return Answer(BROKEN, "this is a bug; the log says more\n")


def _send(request: Request, answer: Answer) -> None:
    # Names of files need not be text.
    body = answer.text.encode(errors="backslashreplace")
    request.setResponseCode(answer.status, HTTPStatus(answer.status).phrase.encode())
    for name, value in (
        ("Server", "staplesrv"),
        ("Content-Type", answer.content_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ):
        request.setHeader(name, value)
    # Twisted leaves it out for HEAD.
    request.write(body)
    request.finish()


def _fields(request: Request, name: str) -> list[str]:
    values: Any = request.requestHeaders.getRawHeaders(name.encode(), [])
    return [value.decode("latin-1") for value in values]
