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

    The Deferred can't be cancelled to any effect: what a thread has begun it ends, so waiting for it is the only way to
    know that it is over. Who loses interest lets go of the Deferred.

    Args:
        reactor: Has the pool; a reactor without threads, such as `task.Clock`, has the call made at once.
        call: What to call.
        *args: Its arguments.
        **kwargs: The same, by name.
    """
    if not IReactorThreads.providedBy(reactor):
        return maybeDeferred(call, *args, **kwargs)
    done: Deferred[R] = Deferred(lambda _: None)
    under_way = deferToThreadPool(reactor, reactor.getThreadPool(), call, *args, **kwargs)
    under_way.addCallbacks(done.callback, done.errback)
    return done
