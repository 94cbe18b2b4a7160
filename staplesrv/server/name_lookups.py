"""Look-ups of host names, in threads that nobody has to wait for."""

from __future__ import annotations

from typing import Any

from twisted.internet._resolver import GAIResolver
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.python.threadpool import ThreadPool

from staplesrv.server.daemon_threads import daemon_pool

AT_ONCE = 8
"""Threads; as many as there are fetches at once."""


def keep_lookups_apart(reactor: Any) -> None:
    """Give a reactor's name look-ups threads of their own.

    getaddrinfo(3) can't be interrupted, and takes half a minute where the name servers are out of reach. Twisted's
    own thread pool is joined when the reactor stops, so that such a look-up would hold up SIGTERM for as long; and ten
    of them would hold up everything else that is done in threads. These threads are daemons: the process ends without
    them.
    """
    if not IReactorPluggableNameResolver.providedBy(reactor):
        return
    pool = daemon_pool("names", AT_ONCE)

    def started() -> ThreadPool:
        # Not before the first use: twistd forks in between, and threads don't survive that.
        if not pool.started:
            pool.start()
        return pool

    resolver: Any = GAIResolver
    reactor.installNameResolver(resolver(reactor, started))
