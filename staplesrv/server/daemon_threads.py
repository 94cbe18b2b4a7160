"""Threads that nobody has to wait for."""

from __future__ import annotations

import threading
from typing import Any

from twisted.python.threadpool import ThreadPool


def daemon_pool(name: str, most: int) -> ThreadPool:
    """Make a pool of threads that the end of the process does not wait for; it is not started.

    Twisted's own pool is joined when the reactor stops, so that whatever takes its time in a thread would hold up
    SIGTERM for as long, and everything else that is done in threads.

    Args:
        name: What the pool is called.
        most: How many threads there are at most.
    """
    pool = ThreadPool(minthreads=0, maxthreads=most, name=name)
    pool.threadFactory = _Daemon
    return pool


class _Daemon(threading.Thread):
    """A thread that the end of the process does not wait for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "daemon": True})
