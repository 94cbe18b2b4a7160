"""What `twistd staplesrv` runs. The one place of the server that imports the global reactor.

Everything that can go wrong with what the operator gave goes wrong in `makeService`: before twistd forks, before it
sheds privileges, and as one line on stderr with exit status 1. (An exception of Twisted's own kind would print a
traceback there.)
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.logger import Logger

from staplesrv.errors import OperatorError
from staplesrv.server import privileges
from staplesrv.server.demo import Demo
from staplesrv.server.descriptors import within_descriptors
from staplesrv.server.inheritance import Inheritance
from staplesrv.server.name_lookups import keep_lookups_apart
from staplesrv.server.on_signal import OnSignal
from staplesrv.server.options import Options
from staplesrv.server.privileges import Identity
from staplesrv.server.service import StaplesrvService
from staplesrv.server.state_dir import usable_state_dir
from staplesrv.server.steady_time import use_steady_time
from staplesrv.server.upgrade import Upgrade

__all__ = ["Options", "makeService"]

MOST = 5
"""Files that a warning names one by one."""

_NO_CALLBACKS = (
    "OpenSSL can't call Python, as this process may not write memory that it executes; "
    "leave MemoryDenyWriteExecute= out of systemd's unit, or whatever else denies that"
)

_log = Logger()


def makeService(options: Options) -> IService:
    """Make the service: everything is read, and every socket is bound.

    Args:
        options: From the command line; `parent` has twistd's own.

    Raises:
        SystemExit: something can't be used; the line says what.
    """
    # twistd has chosen the reactor by now, and not before its command line was read.
    from twisted.internet import reactor  # noqa: PLC0415

    use_steady_time(reactor)
    keep_lookups_apart(reactor)
    try:
        identity = privileges.after_twistd(options.parent or {})
        if options.is_demo:
            return Demo(reactor, options.listen, identity=identity, give_up=_Failure(reactor).report)
        return _server(options, reactor, identity)
    except OperatorError as error:
        raise SystemExit(f"staplesrv: {error}") from error
    except MemoryError as error:
        # cffi's word for memory that its callbacks take, by which OpenSSL calls Python.
        if "write+execute" not in str(error):
            raise
        raise SystemExit(f"staplesrv: {_NO_CALLBACKS}") from error


def _server(options: Options, reactor: Any, identity: Identity | None) -> IService:
    # Before anything that may start a process.
    inheritance = Inheritance.of(os.environ)
    configuration = options.configuration()
    state_dir = usable_state_dir(configuration.state_dir, os.environ, identity)
    give_up = _Failure(reactor).report
    limits = within_descriptors(configuration.limits.part(configuration.workers), reactor)
    workers = privileges.of_workers(configuration.user, configuration.group, configuration.place)

    def alone() -> None:
        options.alone()
        service.alone()

    service = StaplesrvService(
        configuration,
        reactor=reactor,
        state_dir=state_dir,
        limits=limits,
        give_up=give_up,
        started=lambda _: inheritance.served(reactor, alone),
        identity=workers,
        inheritance=inheritance,
    )
    service.prepare()
    _make_replaceable(service, reactor, options)
    if identity is not None:
        _warn_of_unreadable(configuration.files, identity)
    if workers is not None:
        # The supervisor reads the rest.
        _warn_of_unreadable(tuple(file for site in configuration.sites for file in site.visited), workers)
    return service


def _make_replaceable(service: StaplesrvService, reactor: Any, options: Options) -> None:
    """Have SIGUSR2 start a new process on the same sockets."""
    # twistd may leave this folder.
    upgrade = Upgrade(reactor, Path.cwd(), lambda: service.sockets, service.follow, options.lost)
    OnSignal(signal.SIGUSR2, reactor, upgrade.start).setServiceParent(service)  # type: ignore[no-untyped-call]  # Twisted's has no annotations
    reactor.addSystemEventTrigger("before", "shutdown", upgrade.stop)


def _warn_of_unreadable(files: tuple[Path, ...], identity: Identity) -> None:
    unreadable = identity.unreadable(files)
    if unreadable:
        more = f" and {len(unreadable) - MOST} more" if len(unreadable) > MOST else ""
        _log.warn(
            "User {uid} can't read {files}, as a reload or a visitor will need: let that user or its group read them",
            uid=identity.uid,
            files=", ".join(map(str, unreadable[:MOST])) + more,
        )


class _Failure:
    """Ends the process with exit status 1 where it is too late for an exception to do so."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def report(self, error: OperatorError) -> None:
        """Say what is wrong, and stop."""
        _log.critical("{problem}", problem=str(error))
        # twistd ends with 0 whenever the reactor was stopped. At exit it has tidied up, pid file and all.
        atexit.register(self._exit)
        self._reactor.stop()

    @staticmethod
    def _exit() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
