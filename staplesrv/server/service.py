"""The server: a stapler, sockets that are bound early and listen late, and what is behind them.

Theory of operation: `prepare` reads every file and binds every socket, and is where mistakes come out, before anything
runs. Once started, the sockets listen when the first staples are there, or were waited for long enough. A reload makes
everything anew beside what runs, and swaps; what can't be used leaves the old in place.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from staplesrv import sources
from staplesrv.errors import OperatorError
from staplesrv.ops.status import Reload, State, Status, out_of_service
from staplesrv.server import summary
from staplesrv.server.admin_door import AdminDoor
from staplesrv.server.config import Configuration
from staplesrv.server.door import Door
from staplesrv.server.inheritance import Inheritance
from staplesrv.server.observation import observe
from staplesrv.server.on_signal import OnSignal
from staplesrv.server.premises import Premises
from staplesrv.server.privileges import Identity
from staplesrv.server.processes.crew import Crew
from staplesrv.server.reloads import Reloads
from staplesrv.server.staff import Staff
from staplesrv.server.stop_signals import StopSignals
from staplesrv.server.systemd import Systemd
from staplesrv.staples.blocking import in_thread, shielded
from staplesrv.tls.limits import Limits
from staplesrv.tls.stapler import Stapler

_log = Logger()


class StaplesrvService(MultiService):
    """Serves the sites of a configuration.

    Args:
        configuration: What to serve, and where.
        reactor: The reactor.
        state_dir: Where staples survive restarts; None keeps them in memory.
        limits: What clients may take of one process, where that is not what the configuration says.
        give_up: Called if a socket can't listen after all, though it could be bound.
        started: Called with the sockets' addresses when they listen.
        identity: Who workers are, where there are several; None for who this process is.
        inheritance: The sockets of a process that this one is to replace.
        wall_clock: Seconds since the epoch.

    Attributes:
        stapler: Keeps the staples.
        systemd: Is told how things are.
        staff: What serves them: the premises, or several processes that have premises of their own.
        premises: What serves them in this process, where it is the only one.
        admin: Where it can be looked at and steered.
        state: What it is about.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        reactor: Any,
        state_dir: Path | None = None,
        limits: Limits | None = None,
        give_up: Callable[[OperatorError], object] | None = None,
        started: Callable[[Sequence[Any]], object] | None = None,
        identity: Identity | None = None,
        inheritance: Inheritance | None = None,
        wall_clock: sources.WallClock = sources.wall_clock,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        self.configuration = configuration
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._give_up = give_up
        self._started = started
        self._inheritance = inheritance or Inheritance({})
        self.systemd = Systemd(reactor)
        self.systemd.setServiceParent(self)  # type: ignore[no-untyped-call]  # as above
        self.stapler = Stapler(
            [site.certificate for site in configuration.sites],
            settings=configuration.settings,
            state_dir=state_dir,
            reactor=reactor,
            wall_clock=wall_clock,
        )
        self.stapler.setServiceParent(self)  # type: ignore[no-untyped-call]  # as above
        self.admin = AdminDoor(configuration.admin, configuration.place, self, reactor, give_up or _say)
        self.admin.setServiceParent(self)  # type: ignore[no-untyped-call]  # as above
        front = self.stapler.stage.front
        limits = limits or configuration.limits
        self.premises = Premises(configuration, front, reactor=reactor, limits=limits, wall_clock=wall_clock)
        self.staff: Staff = self.premises
        if configuration.has_supervisor:
            self.staff = Crew(self.stapler.stage, reactor=reactor, limits=limits, identity=identity, give_up=give_up)
        self.staff.setServiceParent(self)  # type: ignore[no-untyped-call]  # as above
        # Without a log, too: left to itself SIGUSR1 ends the process.
        for number, call in ((signal.SIGHUP, self._hung_up), (signal.SIGUSR1, self.staff.reopen_logs)):
            OnSignal(number, reactor, call).setServiceParent(self)  # type: ignore[no-untyped-call]  # as above
        self._stop_signals = StopSignals(reactor, self._hurry)
        self._stop_signals.setServiceParent(self)  # type: ignore[no-untyped-call]  # as above
        self._hurried = False
        self._starting: Deferred[None] | None = None
        self._reloads = Reloads(self._reload, self._failed_reload)
        self._since = sources.utc(wall_clock())
        self.state = State.STARTING
        self._status = ""

    def prepare(self) -> None:
        """Read every file, make every resource and bind every socket; the second call does nothing.

        Raises:
            OperatorError: something can't be used. Nothing is left bound then.
        """
        if self.staff.addresses:
            return
        self._explained(self.stapler.load)
        self.admin.prepare(self._inheritance)
        try:
            self.staff.prepare(self.configuration, self._inheritance)
        except OperatorError:
            self.admin.close()
            raise

    @property
    def sockets(self) -> Mapping[str, Sequence[socket.socket]]:
        """What is bound, by endpoint."""
        return {**self.staff.sockets, **self.admin.sockets}

    @property
    def doors(self) -> tuple[Door, ...]:
        """The sockets."""
        return self.premises.doors

    def privilegedStartService(self) -> None:
        """Do what may need privileges: twistd sheds them right after this."""
        self.prepare()
        super().privilegedStartService()  # type: ignore[no-untyped-call]  # as above

    def startService(self) -> None:
        """Fetch, and listen once the first staples are there."""
        self.prepare()
        super().startService()  # type: ignore[no-untyped-call]  # as above
        self._starting = Deferred.fromCoroutine(self._start()).addErrback(self._start_failed)

    def stopService(self) -> Deferred[Any]:
        """Close the sockets, let connections finish, and stop fetching; the Deferred fires when nothing is left.

        Staples go on being kept until the last connection has ended. A second SIGTERM or SIGINT ends all at once.
        """
        return Deferred.fromCoroutine(self._stop())

    def follow(self, pid: int) -> None:
        """Leave everything to another process, which serves on the same sockets, and stop."""
        _log.info("upgrade: process {pid} serves; this one leaves when everybody was served", pid=pid)
        self.systemd.followed_by(pid)
        self.staff.leave_paths()
        self.admin.leave()
        self._reactor.stop()

    def out_of_service(self) -> str:
        """Why clients should go elsewhere; empty where they are served, whatever there is to say of staples."""
        return out_of_service(self.state, self.staff.workers(self._wall_clock()))

    async def status(self) -> Status:
        """How everything is now."""
        return await observe(
            self.stapler,
            self.staff,
            self.configuration,
            reactor=self._reactor,
            now=self._wall_clock(),
            since=self._since,
            state=self.state,
            reload=self._reloads.last,
        )

    def reload_soon(self) -> Deferred[Reload] | None:
        """Reload now; after the reload that is under way, if there is one.

        Returns:
            Fires with what became of it; None where the server stops.
        """
        return self._reloads.soon() if self.running else None

    async def reload(self) -> Reload:
        """Read the configuration again, and swap certificates together with their staples. Nothing ever stops for it.

        What can't be used is told in one line, and what was there before goes on.
        """
        before = self.configuration
        try:
            # A file with thousands of sites takes a moment.
            wanted = await in_thread(self._reactor, before.again)
            after = wanted.as_far_as_reloaded(before)
            plan = await self.staff.rehearse(after)
        except OperatorError as error:
            self._status = f"reload: {error}; what was served before goes on"
            _log.error("{status}", status=self._status)
            return self._failed_reload(str(error))
        for key in before.needs_restart_for(wanted):
            _log.warn("reload: {key} has changed, which takes a restart", key=key)
        # Before the certificates, so that no site appears without what is behind it.
        self.staff.adopt(plan)
        done = await self.stapler.reload([site.certificate for site in after.sites])
        try:
            self.staff.settle(plan, {site.loaded.certificate for site in self.stapler.stage.live})
        except OperatorError as error:
            self._status = f"reload: {error}"
            _log.error("{status}", status=self._status)
            self.configuration = after
            return self._failed_reload(str(error))
        self.configuration = after
        await self.staff.settled()
        line = (
            f"reloaded: {len(after.sites)} sites, {len(done.swapped)} with new certificates, "
            f"{len(done.failures)} that can't be used"
        )
        _log.info("{line}", line=line)
        self._status = self._summary()
        return Reload(sources.utc(self._wall_clock()), good=True, line=line, failures=tuple(map(str, done.failures)))

    def alone(self) -> None:
        """The process that this one was to replace has gone: systemd, which heard that one, hears this one now."""
        self.systemd.ready(self._status)

    async def _start(self) -> None:
        try:
            await self.stapler.ready()
        except CancelledError:
            return
        except Exception:  # noqa: BLE001 - a server without staples is better than none
            _log.failure("Waiting for the first staples failed; listening all the same")
        # Waiting may have ended because the service did.
        if not self.running:
            return
        await self.staff.open()
        if not self.running:
            return
        self.state = State.SERVING
        self.admin.open()
        self._status = self._summary()
        _log.info("{line}", line=self._status)
        self.systemd.ready(self._status)
        if self._started is not None:
            self._started(self.staff.addresses)

    def _summary(self) -> str:
        return summary.serving(self.staff.addresses, self.stapler.stage.live, self._wall_clock())

    def _start_failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, CancelledError):
            return
        if isinstance(error, OperatorError) and self._give_up is not None:
            self._give_up(error)
            return
        _log.failure("The server did not start", failure=failure)
        if self._give_up is not None:
            # A process that serves nobody, and never will, helps nobody: whoever watches it is to start it anew.
            self._give_up(OperatorError("staplesrv", "did not start", "the lines above say why; report them"))

    async def _stop(self) -> None:
        self.running = 0
        self.state = State.STOPPING
        self._stop_signals.stopping()
        self.systemd.stopping()
        under_way = [one for one in (self._starting, self._reloads.under_way) if one is not None]
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()
        self._reloads.stop()
        closing = Deferred.fromCoroutine(self.staff.close(0 if self._hurried else self.configuration.drain))
        await DeferredList([*under_way, closing], consumeErrors=True)
        await super().stopService()  # type: ignore[no-untyped-call]  # as above

    def _hurry(self) -> None:
        self._hurried = True
        if not self.running:
            self.staff.hurry()

    def _hung_up(self) -> None:
        # By custom this one asks for everything to be read and opened anew.
        self.staff.reopen_logs()
        self.reload_soon()

    async def _reload(self) -> Reload:
        # Until the first staples are there nothing listens; a reload would have it do so.
        if self._starting is not None:
            await shielded(self._starting)
        if self.state is not State.SERVING:
            return self._failed_reload("the server does not serve")
        _log.info("reloading")
        self.systemd.reloading()
        try:
            return await self.reload()
        finally:
            if self.running:
                self.systemd.ready(self._status)

    def _failed_reload(self, problem: str) -> Reload:
        return Reload(sources.utc(self._wall_clock()), good=False, line=problem)

    def _explained(self, call: Callable[[], object]) -> None:
        try:
            call()
        except OperatorError as error:
            raise self.configuration.explain(error) from error


def _say(error: OperatorError) -> None:
    _log.critical("{problem}", problem=str(error))
