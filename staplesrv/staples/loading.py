"""Taking many certificates' responses out of the store at a start, without holding the reactor up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from staplesrv.staples.case import Case, Phase
from staplesrv.staples.errands import Errands
from staplesrv.staples.tasks import Tasks

AT_ONCE = 8
PER_BREATH = 50
"""So many loads per turn of the reactor, where a store answers at once: about 10 ms."""

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
        self._loaders = 0
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
        while self._running and self._loaders < AT_ONCE and (self._urgent or self._others):
            self._loaders += 1
            self._tasks.run(self._load())

    async def _load(self) -> None:
        try:
            loads = 0
            while self._running and (self._urgent or self._others):
                case = (self._urgent or self._others).popleft()
                if case.phase is Phase.LOADING:
                    await self._load_one(case)
                loads += 1
                if loads % PER_BREATH == 0:
                    await deferLater(self._reactor, 0)
        finally:
            self._loaders -= 1

    async def _load_one(self, case: Case) -> None:
        try:
            await self._errands.load(case)
        except Exception:  # noqa: BLE001 - a bug of ours: then the responder has to be asked
            _log.failure("A stored response could not be loaded")
        if case.phase is Phase.LOADING:
            self._loaded(case)
