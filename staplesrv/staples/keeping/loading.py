"""Taking many certificates' responses out of the store at a start, without holding the reactor up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from staplesrv.staples.keeping.case import Case, Phase
from staplesrv.staples.keeping.errands import Errands
from staplesrv.staples.keeping.tasks import Tasks

AT_ONCE = 100
"""Responses that the store is asked for in one call: a turn of a thread costs as much as reading twenty."""

PER_TURN = 20
"""Responses that are verified in one turn of the reactor: about 5 ms."""

_log = Logger()


class Loading:
    """Loads what was put in, must-staple certificates first.

    Args:
        reactor: For turns.
        errands: Do the loading.
        tasks: Where it runs.
        loaded: Called with each case when it is loaded.
    """

    def __init__(self, reactor: IReactorTime, errands: Errands, tasks: Tasks, loaded: Callable[[Case], None]) -> None:
        self._reactor = reactor
        self._errands = errands
        self._tasks = tasks
        self._loaded = loaded
        self._urgent: deque[Case] = deque()
        self._others: deque[Case] = deque()
        self._busy = False
        self._running = False

    def put(self, case: Case) -> None:
        """Load a case, now or when `start` is called."""
        (self._urgent if case.assignment.must_staple else self._others).append(case)
        self._go_on()

    def start(self) -> None:
        """Begin, or go on."""
        self._running = True
        self._go_on()

    def stop(self) -> None:
        """Begin with no more; what is being loaded ends by itself."""
        self._running = False

    def _go_on(self) -> None:
        if self._running and not self._busy and (self._urgent or self._others):
            self._busy = True
            self._tasks.run(self._load())

    async def _load(self) -> None:
        try:
            while self._running and (cases := self._next()):
                found = await self._find(cases)
                for number, case in enumerate(cases, start=1):
                    self._take(case, found)
                    if number % PER_TURN == 0:
                        await deferLater(self._reactor, 0)
        finally:
            self._busy = False

    def _next(self) -> list[Case]:
        line = self._urgent or self._others
        return [line.popleft() for _ in range(min(len(line), AT_ONCE))]

    async def _find(self, cases: list[Case]) -> Mapping[bytes, bytes]:
        try:
            return await self._errands.load(cases)
        except Exception:  # noqa: BLE001 - a bug of ours: then the responders have to be asked
            _log.failure("Stored responses could not be loaded")
            return {}

    def _take(self, case: Case, found: Mapping[bytes, bytes]) -> None:
        if case.phase is not Phase.LOADING:
            return
        try:
            self._errands.loaded(case, found)
        except Exception:  # noqa: BLE001 - the same
            _log.failure("A stored response could not be taken")
        self._loaded(case)
