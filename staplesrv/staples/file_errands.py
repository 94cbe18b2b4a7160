"""What is done for a certificate whose responses come out of a file."""

from __future__ import annotations

from pathlib import Path

from staplesrv.staples.blocking import in_thread
from staplesrv.staples.case import Case, FileWatch
from staplesrv.staples.delivery import Delivery
from staplesrv.staples.failure import FetchFailed
from staplesrv.staples.fetched import Fetched
from staplesrv.staples.judge import Judge
from staplesrv.staples.response_file import Look, decode, examine

JUDGED_AGAIN = 60.0
"""Seconds after which a file that did not change is judged again while there is nothing to serve: its time may come."""


class FileErrands:
    """Reads files.

    Args:
        reactor: For threads.
        judge: Verifies what is in them.
        delivery: Where outcomes go.
    """

    def __init__(self, reactor: object, judge: Judge, delivery: Delivery) -> None:
        self._reactor = reactor
        self._judge = judge
        self._delivery = delivery

    async def read(self, case: Case, path: Path, watch: FileWatch) -> None:
        """Take what is in the file, if it has changed."""
        now = self._delivery.now()
        # Written so that a clock that was set back delays nothing.
        judged_lately = 0 <= now.timestamp() - watch.judged_at < JUDGED_AGAIN
        seen = watch.seen if judged_lately or case.held(now) is not None else None
        try:
            look, content = await in_thread(self._reactor, examine, path, seen)
            if content is None:
                case.attempt_over()
            else:
                self._take(case, path, watch, look, content)
        except FetchFailed as failure:
            self._delivery.failed(case, failure)
        now = self._delivery.now()
        case.set_due(now, now)

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
