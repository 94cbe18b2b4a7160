"""What is done for a certificate whose responses come out of a file."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IReactorTime

from staplesrv.staples.asking.fetched import Fetched
from staplesrv.staples.blocking import in_thread, shielded
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.keeping.case import Case, FileWatch
from staplesrv.staples.keeping.delivery import Delivery
from staplesrv.staples.keeping.judge import Judge
from staplesrv.staples.keeping.response_file import Look, decode, examine

PATIENCE = 10.0
"""Seconds that one look may take."""

JUDGED_AGAIN = 60.0
"""Seconds after which a file that did not change is judged again while there is nothing to serve: its time may come."""


class FileErrands:
    """Reads files.

    Args:
        reactor: For threads and time-outs.
        judge: Verifies what is in them.
        delivery: Where outcomes go.
    """

    def __init__(self, reactor: IReactorTime, judge: Judge, delivery: Delivery) -> None:
        self._reactor = reactor
        self._judge = judge
        self._delivery = delivery
        self._turn = DeferredLock()

    async def read(self, case: Case, path: Path, watch: FileWatch) -> None:
        """Take what is in the file, if it has changed."""
        now = self._delivery.now()
        # Written so that a clock that was set back delays nothing.
        judged_lately = 0 <= now.timestamp() - watch.judged_at < JUDGED_AGAIN
        seen = watch.seen if judged_lately or case.held(now) is not None else None
        try:
            look, content = await self._examine(path, watch, seen)
            if content is None:
                case.attempt_over()
            else:
                self._take(case, path, watch, look, content)
        except FetchFailed as failure:
            self._delivery.failed(case, failure)
        now = self._delivery.now()
        case.set_due(now, now)

    async def _examine(self, path: Path, watch: FileWatch, seen: Look | None) -> tuple[Look, bytes | None]:
        # A look that hangs, on a disk that went away, is waited for again and not begun twice.
        if watch.under_way is None:
            watch.under_way = Deferred.fromCoroutine(self._in_turn(path, seen))
        try:
            found = await shielded(watch.under_way).addTimeout(PATIENCE, self._reactor)
        except TookTooLong as error:
            problem = f"{path}: its disk has not answered for {PATIENCE:g} s"
            raise FetchFailed(FailureKind.NETWORK, problem) from error
        finally:
            if watch.under_way.called:
                watch.under_way = None
        if isinstance(found, FetchFailed):
            raise found
        return found

    async def _in_turn(self, path: Path, seen: Look | None) -> tuple[Look, bytes | None] | FetchFailed:
        # One file at a time: a disk that hangs takes one of the reactor's threads, not all of them.
        async with self._turn:
            try:
                return await in_thread(self._reactor, examine, path, seen)
            except FetchFailed as failure:
                return failure

    def _take(self, case: Case, path: Path, watch: FileWatch, look: Look, content: bytes) -> None:
        target, now = case.assignment.target, self._delivery.now()
        if target is None:
            return
        try:
            response = self._judge.filed(decode(content, path), target, now)
        except FetchFailed:
            if watch.seen is not None and look not in (watch.seen, watch.suspect):
                # Perhaps it is being written: it gets a second look before it is called wrong.
                watch.suspect = look
                return
            watch.seen, watch.judged_at = look, now.timestamp()
            raise
        watch.seen, watch.judged_at = look, now.timestamp()
        self._delivery.answered(case, Fetched(response, url=""))
