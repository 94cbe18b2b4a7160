"""Coroutines that nobody awaits: begun, watched to their end, and waited for when a service stops."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()


class Tasks:
    """What is under way."""

    def __init__(self) -> None:
        self._under_way: set[Deferred[None]] = set()

    def run(self, task: Coroutine[Any, Any, None]) -> None:
        """Begin something. An error that gets out of it is a bug, and its traceback goes to the log."""
        running: Deferred[None] = Deferred.fromCoroutine(task)
        self._under_way.add(running)
        running.addErrback(self._failed)
        running.addBoth(lambda _: self._under_way.discard(running))

    async def over(self) -> None:
        """Wait for everything, also for what is begun meanwhile."""
        while self._under_way:
            await DeferredList(list(self._under_way))

    def __len__(self) -> int:
        return len(self._under_way)

    def _failed(self, failure: Failure) -> None:
        _log.failure("A task of the refresher failed", failure=failure)
