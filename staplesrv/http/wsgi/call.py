"""One call of a WSGI callable.

Theory of operation: the callable runs in a thread, the exchange lives in the reactor's. What is to be sent is handed
over one piece at a time: the thread goes on making the next piece meanwhile, and waits with it until the last one was
taken and the client keeps up. Nothing else is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Event
from types import TracebackType
from typing import IO, Any, TypeAlias
from wsgiref.types import WSGIApplication

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from staplesrv.http.exchange import Exchange
from staplesrv.http.fields import OF_CONNECTIONS, Fields
from staplesrv.http.pages import page
from staplesrv.http.response import WITHOUT_CONTENT, BadResponse, Response, checked, declared_length
from staplesrv.http.wsgi.environ import environ

_CONNECTIONS = OF_CONNECTIONS | {b"te", b"trailer"}
"""PEP 3333: an application sets no hop-by-hop fields. They are the HTTP version's."""


Headers: TypeAlias = list[tuple[str, str]]
ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

_log = Logger()


class ClientGone(ConnectionError):
    """There is nobody to write to."""


class Call:
    """Calls the callable, and hands what it says to an exchange; the handler of that, too.

    Args:
        exchange: The exchange.
        application: The callable.
        reactor: Its `callFromThread`.
        threads: Where it is called.
    """

    def __init__(self, exchange: Exchange, application: WSGIApplication, reactor: Any, threads: ThreadPool) -> None:
        self._exchange = exchange
        self._application = application
        self._reactor = reactor
        self._threads = threads
        self._room = Event()
        self._room.set()
        self._paused = False
        self._over = False
        self._head: tuple[int, Fields] | None = None
        self._begun = False
        self._complete = False

    # In the reactor's thread.

    def process(self, content: IO[bytes]) -> None:
        """Have the callable called."""
        self._threads.callInThread(self._run, environ(self._exchange, content), content)

    def body(self, data: bytes) -> None:
        """Ignore what can't be: the body is complete, or there was none."""

    def body_end(self, trailers: Fields) -> None:
        """There was none, or it is complete."""

    def pause(self) -> None:
        """Have the thread wait."""
        self._paused = True
        self._room.clear()

    def resume(self) -> None:
        """Let the thread go on."""
        self._paused = False
        self._room.set()

    def lost(self) -> None:
        """The client is gone: the thread is to know with its next piece."""
        self._over = True
        self._room.set()

    def _begin(self, status: int, fields: Fields) -> None:
        if not self._over:
            self._exchange.start(status, fields)

    def _write(self, data: bytes) -> None:
        if data and not self._over:
            self._exchange.write(data)
        if not self._paused:
            self._room.set()

    def _finish(self) -> None:
        if not self._over:
            self._exchange.finish()

    def _send(self, response: Response) -> None:
        if not self._over:
            self._exchange.send(response)

    def _fail(self, failure: Failure) -> None:
        _log.failure("A WSGI application failed at {path}", failure, path=self._exchange.request.path)
        if self._over:
            return
        if self._exchange.status:
            self._exchange.abort()
        else:
            self._exchange.send(page(500))

    # In a thread of the pool.

    def _run(self, variables: dict[str, Any], content: IO[bytes]) -> None:
        try:
            if not self._over:
                self._answer(variables)
        except ClientGone:
            return
        except BaseException:  # noqa: BLE001 - other people's code, which may also exit; it costs its own response
            self._tell(self._fail, Failure())  # type: ignore[no-untyped-call]
        finally:
            content.close()

    def _answer(self, variables: dict[str, Any]) -> None:
        pieces = self._application(variables, self._start_response)
        try:
            if isinstance(pieces, list | tuple) and not self._begun:
                self._put_all(b"".join(pieces))
                return
            for piece in pieces:
                if piece:
                    self._put(piece)
            self._end()
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def _start_response(
        self, status: str, headers: Headers, exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """Take the head; it goes out with the first piece of the body."""
        if exc_info:
            try:
                if self._begun and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # else there is a circle of references, as the PEP warns
        elif self._head is not None:
            raise RuntimeError("start_response was called twice")
        # What can't be sent is found out here: in the reactor's thread it would be nobody's, and the client would wait.
        fields = checked(_fields(headers))
        declared_length(fields)
        self._head = _status(status), fields
        return self._put

    def _put(self, data: bytes) -> None:
        """Send a piece, once there is room for it."""
        if not isinstance(data, bytes):
            raise TypeError(f"a WSGI application wrote no bytes but {type(data).__name__}")
        if self._complete:
            raise ValueError("a WSGI application wrote more than its Content-Length says")
        if not self._begun and self._begin_with(data):
            return
        self._room.wait()
        self._room.clear()
        # Only now: `lost` sets the one, then the other, and there may be no reactor any more to answer `_write`.
        if self._over:
            raise ClientGone
        self._tell(self._write, data)

    def _begin_with(self, data: bytes) -> bool:
        """Begin the response; tell whether these bytes are all of it, as most frameworks send theirs."""
        status, fields = self._checked_head()
        self._begun = True
        if _lengths(fields) == [b"%d" % len(data)]:
            self._send_all(status, fields, data)
        else:
            self._tell(self._begin, status, fields)
        return self._complete

    def _end(self) -> None:
        if not self._begun:
            self._put_all(b"")
        elif not self._complete:
            self._tell(self._finish)

    def _put_all(self, body: bytes) -> None:
        """Send a response of which nothing is missing."""
        status, fields = self._checked_head()
        # Of an answer to HEAD that has no body the length is what was said, or not known.
        if _lengths(fields) or (not body and self._exchange.request.method == b"HEAD"):
            self._put(body)
            self._end()
        else:
            self._send_all(status, fields, body)

    def _send_all(self, status: int, fields: Fields, body: bytes) -> None:
        """Send a whole response, by one word to the reactor."""
        self._complete = True
        rest = tuple(field for field in fields if field[0].lower() != b"content-length")
        self._tell(self._send, Response(status, rest, b"" if status in WITHOUT_CONTENT else body))

    def _checked_head(self) -> tuple[int, Fields]:
        if self._head is None:
            raise RuntimeError("start_response was not called")
        return self._head

    def _tell(self, what: Callable[..., None], *args: object) -> None:
        self._reactor.callFromThread(what, *args)


def _lengths(fields: Fields) -> list[bytes]:
    return [value for name, value in fields if name.lower() == b"content-length"]


def _status(status: str) -> int:
    number = status[:3]
    if not (number.isdecimal() and number.isascii() and 200 <= int(number) <= 599 and status[3:4] in {"", " "}):  # noqa: PLR2004 - RFC 9110 §15
        raise BadResponse(f"{status!r} is no status of a final response")
    return int(number)


def _fields(headers: Iterable[tuple[str, str]]) -> Fields:
    encoded = ((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
    return tuple((name, value) for name, value in encoded if name.lower() not in _CONNECTIONS)
