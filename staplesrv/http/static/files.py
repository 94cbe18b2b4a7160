"""The application that serves a folder of files."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from staplesrv.http.exchange import Exchange, Handler
from staplesrv.http.pages import page, page_with
from staplesrv.http.request import Request
from staplesrv.http.response import Response
from staplesrv.http.static import conditions
from staplesrv.http.static.answer import Answer, answer, page_of_missing
from staplesrv.http.static.cache import Entry
from staplesrv.http.static.file_path import FilePath
from staplesrv.http.static.settings import StaticSettings, page_path
from staplesrv.http.static.shelf import Shelf
from staplesrv.http.static.transfer import Transfer
from staplesrv.http.static.tree import Tree
from staplesrv.sources import RandomBytes, WallClock

_READS = frozenset({b"GET", b"HEAD"})
_ALLOWED = ((b"Allow", b"GET, HEAD, OPTIONS"),)
_OPTIONS = Response(204, _ALLOWED)
_NOT_ALLOWED = page_with(405, _ALLOWED)

_PARTICULAR = conditions.FIELDS | {b"range", b"accept-encoding"}
"""The fields of a request that change the answer."""

_OF_ERROR = {
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL), 404),
    **dict.fromkeys((errno.EACCES, errno.EPERM), 403),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE), 503),
}
"""The status that goes with an error of the file system; 500 with all others."""

_OK = 200
_NOT_FOUND = 404
_TROUBLE = 500

_PIECE = 256 * 1024
"""Bytes of a file that are read at a time."""

_PIECE_OF_MANY = 32 * 1024
"""The same for HTTP/2, where a client may have a hundred files sent at once and take none of them. Half of it would
cost a tenth more time."""

_QUIET_SECONDS = 60.0
"""How long nothing more is logged after a file that can't be read, however often it is asked for."""

_log = Logger()


class Static:
    """An application that answers with the files of a folder: `docs/configuration.md` says by which rules.

    Args:
        root: The folder. It may be a link, and need not be there yet.
        settings: How it is served.
        clock: The reactor.
        wall_clock: What modification times are compared with.
        random_bytes: For the boundaries of multipart bodies.
    """

    def __init__(
        self,
        root: Path,
        *,
        settings: StaticSettings,
        clock: IReactorTime,
        wall_clock: WallClock,
        random_bytes: RandomBytes,
    ) -> None:
        self._fallback = page_path(settings.fallback) if settings.fallback else None
        self._not_found = page_path(settings.not_found) if settings.not_found else None
        self._seconds = clock.seconds
        self._wall_clock = wall_clock
        self._random_bytes = random_bytes
        self._shelf = Shelf(Tree(os.fsencode(root)), settings, clock, wall_clock)
        self._entries = self._shelf.entries
        self._quiet_until = 0.0

    def handle(self, exchange: Exchange) -> Handler | None:
        """Answer a request: one whose file is in memory and was looked at lately, in 1 us and without a system call."""
        request = exchange.request
        entry = self._entries.get(request.target)
        if entry is None and b"?" in request.target:
            entry = self._entries.get(request.path)
        if entry is not None and entry.fresh_until > self._seconds() and request.method in _READS:
            accepted = b""
            for name, value in request.fields:
                if name in _PARTICULAR:
                    if name != b"accept-encoding" or accepted:
                        break
                    accepted = value
            else:
                response = entry.whole.get(accepted)
                if response is not None:
                    exchange.send(response)
                    return None
        found = self._answer(exchange) if request.method in _READS else _instead(request)
        if isinstance(found, Transfer):
            return found
        exchange.send(found)
        return None

    def _answer(self, exchange: Exchange) -> Response | Transfer:
        """Answer with the first file that is there: of the requested one, its fallback, and the page for neither."""
        request = exchange.request
        path = FilePath.parse(request.path)
        for candidate, status in self._candidates(path):
            try:
                return self._found(exchange, self._shelf.find(candidate), status)
            except OSError as error:
                failed = _OF_ERROR.get(error.errno or 0, _TROUBLE)
                if failed != _NOT_FOUND:
                    return self._failed(failed, error)
                if candidate is path and error.errno == errno.EISDIR and self._is_folder(candidate):
                    return _redirect(candidate, request.query)
        return page(_NOT_FOUND)

    def _candidates(self, path: FilePath | None) -> Iterator[tuple[FilePath, int]]:
        # A path that can't name a file is nothing that an application in the browser made up.
        if path is not None:
            yield path, _OK
            if self._fallback is not None:
                yield self._fallback, _OK
        if self._not_found is not None:
            yield self._not_found, _NOT_FOUND

    def _is_folder(self, path: FilePath) -> bool:
        """Tell whether a path lacks the slash of a folder that has an index."""
        return not path.is_folder and self._shelf.is_there(path.as_folder)

    def _failed(self, status: int, error: OSError) -> Response:
        now = self._seconds()
        if status >= _TROUBLE and now >= self._quiet_until:
            self._quiet_until = now + _QUIET_SECONDS
            _log.error("A file can't be served: {reason}", reason=str(error))
        return page(status)

    def _found(self, exchange: Exchange, entry: Entry, status: int) -> Response | Transfer:
        """Answer with a file.

        Raises:
            OSError: it can't be opened or read.
        """
        request = exchange.request
        accepted = request.field(b"accept-encoding") or b""
        with ExitStack() as opened:
            representation, file = self._shelf.take(entry, accepted, opened)
            if status == _NOT_FOUND:
                said = page_of_missing(request, representation)
            else:
                said = answer(request, representation, self._wall_clock(), self._boundary)
            if isinstance(said, Answer):
                most = _PIECE_OF_MANY if request.version == "2" else _PIECE
                pieces = representation.pieces(said.parts, file, most)
                if file is None:
                    return Response(said.status, said.fields, b"".join(pieces))
                return Transfer(exchange, said.status, (*said.fields, said.length), pieces, opened.pop_all().close)
        if said.status == _OK and representation.body is not None:
            entry.remember(accepted, said)
        return said

    def _boundary(self) -> bytes:
        return self._random_bytes(16).hex().encode()


def _instead(request: Request) -> Response:
    """Answer a method that reads no file."""
    return _OPTIONS if request.method == b"OPTIONS" else _NOT_ALLOWED


def _redirect(path: FilePath, query: bytes | None) -> Response:
    """Lead to a folder, so that the relative links of its index lead to its files."""
    location = path.as_folder.url if query is None else path.as_folder.url + b"?" + query
    return page_with(301, ((b"Location", location),))
