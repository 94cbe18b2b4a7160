"""From due to done: which certificate is asked about when, and how many at once."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from staplesrv.sources import utc
from staplesrv.staples.cache import Reason
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.keeping.announcer import Announcer
from staplesrv.staples.keeping.case import Case, FileWatch, Phase, why_never
from staplesrv.staples.keeping.delivery import Delivery
from staplesrv.staples.keeping.errands import Errands
from staplesrv.staples.keeping.file_errands import FileErrands
from staplesrv.staples.keeping.queue import DueQueue
from staplesrv.staples.keeping.slots import Slots
from staplesrv.staples.keeping.tasks import Tasks

AFTER_BUG = 60.0
"""Seconds."""

ASKED_MEANWHILE = 1.0
"""Seconds after which it is done again for those who asked while the answer was being saved."""

_log = Logger()


class Dispatcher:
    """Sends cases on their errands.

    Args:
        errands: To store and responder.
        file_errands: To files.
        delivery: Where outcomes go.
        announcer: Tells the operator.
        tasks: Where errands run.
    """

    def __init__(
        self,
        errands: Errands,
        file_errands: FileErrands,
        delivery: Delivery,
        announcer: Announcer,
        tasks: Tasks,
    ) -> None:
        self._errands = errands
        self._file_errands = file_errands
        self._delivery = delivery
        self._announcer = announcer
        self._tasks = tasks
        self._queue: DueQueue[Case] = DueQueue()
        self._slots: Slots[Case] = Slots()
        self._running = False
        self._flowing = False

    def start(self) -> None:
        """Begin, or go on."""
        self._running = True

    def stop(self, cases: Iterable[Case]) -> None:
        """Begin nothing more, and give up what can be given up."""
        self._running = False
        self._slots.clear()
        for case in cases:
            if case.phase is Phase.WAITING:
                self._rest(case)
            case.call_off()

    def tick(self, now: float) -> None:
        """Begin what is due at `now`, the wall clock in seconds since the epoch."""
        for case in self._queue.pop_due(now):
            if case.phase is Phase.IDLE:
                self._begin_safely(case, now)

    def clock_set_back(self, now: float, cases: Iterable[Case]) -> None:
        """Bring everything nearer that lies further ahead than it was meant to, now that the clock shows `now`."""
        self._queue.clear()
        for case in cases:
            case.clock_set_back(now)
            # Its time-outs may be stuck in the future with the reactor's clock.
            case.call_off()
            if case.phase is Phase.OVER and why_never(case.assignment, utc(now)) is None:
                case.due = now
                self._rest(case)
            elif case.phase is Phase.IDLE:
                self._rest(case)

    def loaded(self, case: Case) -> None:
        """Take over a case that the store has been asked about: what has nothing yet is due at once."""
        self._rest(case)
        if case.settlers is not None or case.waiters:
            self.begin(case)

    def begin(self, case: Case) -> None:
        """Do now what is to be done for a case, unless it is being done."""
        if case.phase is not Phase.IDLE or not self._running:
            return
        reason = why_never(case.assignment, self._delivery.now())
        if reason is not None:
            self.give_up(case, reason)
        elif case.file is not None and case.assignment.staple_file is not None:
            case.phase = Phase.BUSY
            self._tasks.run(self._do(case, self._read(case, case.assignment.staple_file, case.file)))
        else:
            case.phase = Phase.WAITING
            self._slots.put(case.host(), case.rank(), case)
            self._flow()

    def give_up(self, case: Case, reason: Reason) -> None:
        """There is nobody to ask about a case, or nothing to ask about."""
        case.phase = Phase.OVER
        case.out_of_reach(reason)
        self._announcer.never(case, reason)
        case.attempt_over()

    def _begin_safely(self, case: Case, now: float) -> None:
        try:
            self.begin(case)
        except Exception:  # noqa: BLE001 - a bug that one certificate brings up must not cost the others theirs
            _log.failure("A certificate could not be asked about")
            case.due = now + AFTER_BUG
            self._rest(case)

    def _flow(self) -> None:
        # An errand that ends at once comes back here from within the loop, which will see the slot that is free again.
        if self._flowing:
            return
        self._flowing = True
        try:
            while self._running and (taken := self._slots.take()) is not None:
                self._send(*taken)
        finally:
            self._flowing = False

    def _send(self, host: str, case: Case) -> None:
        if case.phase is Phase.WAITING:
            case.phase, case.called_off = Phase.BUSY, False
            self._tasks.run(self._ask(host, case))
        else:
            self._slots.done(host)

    async def _ask(self, host: str, case: Case) -> None:
        try:
            await self._do(case, self._errands.ask(case))
        finally:
            self._slots.done(host)
            self._flow()

    async def _read(self, case: Case, path: Path, watch: FileWatch) -> None:
        await self._file_errands.read(case, path, watch)
        await self._errands.keep(case)

    async def _do(self, case: Case, errand: Coroutine[Any, Any, None]) -> None:
        try:
            await errand
        except Exception as error:  # noqa: BLE001 - a bug of ours counts as a failure, so that there is a next time
            _log.failure("An errand for a certificate failed")
            self._delivery.failed(case, FetchFailed(FailureKind.NETWORK, f"an error of this program: {error!r}"))
        finally:
            if case.phase is Phase.BUSY:
                self._done(case)

    def _done(self, case: Case) -> None:
        if case.waiters:
            case.due = min(case.due, self._delivery.now().timestamp() + ASKED_MEANWHILE)
        self._rest(case)

    def _rest(self, case: Case) -> None:
        case.phase = Phase.IDLE
        self._queue.put(case)
