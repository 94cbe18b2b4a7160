"""Calls that may block (files, directories, locks), made outside of the reactor's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool

P = ParamSpec("P")
R = TypeVar("R")


def in_thread(reactor: object, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Deferred[R]:
    """Make a blocking call in the reactor's thread pool.

    Args:
        reactor: Has the pool; a reactor without threads, such as `task.Clock`, has the call made at once.
        call: What to call.
        *args: Its arguments.
        **kwargs: The same, by name.
    """
    if not IReactorThreads.providedBy(reactor):
        return maybeDeferred(call, *args, **kwargs)
    return deferToThreadPool(reactor, reactor.getThreadPool(), call, *args, **kwargs)


def shielded(under_way: Deferred[R]) -> Deferred[R]:
    """Return a Deferred for the same outcome; cancelling it stops the waiting and leaves what is under way alone.

    A thread can't be stopped. Whoever must know when it is over waits for `under_way` itself.
    """
    waiter: Deferred[R] = Deferred()

    def arrived(result: R) -> R:
        # After a cancel Twisted drops the one outcome that comes too late.
        waiter.callback(result)
        return result

    under_way.addCallbacks(arrived, waiter.errback)
    return waiter
