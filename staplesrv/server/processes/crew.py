"""The workers, as a whole: hired, replaced when they end, told of configurations and staples, and let go.

Theory of operation: each worker has a seat. What it has to know comes down its channel in order: a configuration with
its sockets, the sites, and the word to listen; so it listens only when it has everything, staples included. A new
configuration goes to all in a round: all have prepared for it, or it is abandoned. Whoever was not there for the round,
as it began meanwhile, is told afterwards.
"""

from __future__ import annotations

import socket
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredLock
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from staplesrv.errors import OperatorError
from staplesrv.ops.status import Traffic, Workers
from staplesrv.server.adopted_socket import adopt
from staplesrv.server.config import Configuration
from staplesrv.server.configuration.listener import Listener
from staplesrv.server.inheritance import Inheritance
from staplesrv.server.premises import inherited_or_bound
from staplesrv.server.privileges import Identity
from staplesrv.server.processes import orders, reports
from staplesrv.server.processes.back_off import BACK_OFF, BackOff
from staplesrv.server.processes.berths import Berths, Place, berths_of, close
from staplesrv.server.processes.catalogue import Catalogue
from staplesrv.server.processes.census import Census, worker
from staplesrv.server.processes.fork_server import ending
from staplesrv.server.processes.forks import Forks
from staplesrv.server.processes.hand import Hand, Left, operator_error
from staplesrv.tls.bound_ports import BoundPorts
from staplesrv.tls.front import TICKET_KEY_SECONDS
from staplesrv.tls.limits import Limits
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.stage import Stage

LOOK_EVERY = 0.5
"""Seconds between two looks for staples that workers were not told of."""

SILENT = 30.0
"""Seconds without a sign of life after which a worker is killed."""

LATE = 5.0
"""Seconds that a draining worker has beyond what it was told."""

_NOTHING = Inheritance({})

_log = Logger()


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A configuration that all workers have prepared for.

    Args:
        configuration: The same.
        berths: Its sockets, by endpoint.
        round: Its number.
    """

    configuration: Configuration
    berths: Mapping[str, Berths]
    round: int


class Crew(MultiService):
    """The workers of one supervisor, in the place that `Premises` have in a single process.

    Args:
        stage: The supervisor's, with sites and staples.
        reactor: The reactor.
        limits: What clients may take of each worker.
        identity: Who workers are; None for who this process is.
        give_up: Called with what keeps every worker from its start.

    Attributes:
        replaced: How many workers have ended that should not have.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        reactor: Any,
        limits: Limits,
        identity: Identity | None = None,
        give_up: Callable[[OperatorError], object] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        self.replaced = 0
        self._census = Census()
        self._stage = stage
        self._reactor = reactor
        self._limits = limits
        self._identity = identity
        self._give_up = give_up
        self._configuration: Configuration | None = None
        self._berths: Mapping[str, Berths] = {}
        self._forks: Forks | None = None
        self._forks_began = 0.0
        self._forks_back_off = BackOff()
        self._hands: list[Hand] = []
        self._back_offs: defaultdict[int, BackOff] = defaultdict(BackOff)
        self._rounds = count(1)
        self._round = 0
        self._catalogue = Catalogue(stage)
        self._leaving: dict[int, Hand] = {}
        self._lock = DeferredLock()
        self._stopping = False
        self._given_up = False
        self._late: IDelayedCall | None = None
        self._left: Deferred[None] = Deferred()
        self._all_serve: Deferred[None] = Deferred()
        self._ticks = [
            _every(reactor, LOOK_EVERY, self._tell_staples),
            _every(reactor, SILENT / 6, self._look_for_silence),
            _every(reactor, TICKET_KEY_SECONDS, self.renew_ticket_keys),
        ]
        self._looked = reactor.seconds()

    @property
    def addresses(self) -> Sequence[Any]:
        """What is listened on."""
        return [address for berths in self._berths.values() for address in berths.rows[0].addresses]

    @property
    def hands(self) -> Sequence[Hand]:
        """The workers."""
        return tuple(self._hands)

    def workers(self, now: float) -> Workers:
        """Who serves; `now` is in seconds since the epoch."""
        seconds = self._reactor.seconds()
        return Workers(
            self._size, self.replaced, tuple(worker(hand, seconds - hand.heard, now) for hand in self._hands)
        )

    def traffic(self) -> Traffic:
        """What came in; sites by their keys."""
        return self._census.traffic(self._hands)

    @property
    def sockets(self) -> Mapping[str, Sequence[socket.socket]]:
        """What is bound, by endpoint."""
        return {endpoint: berths.sockets for endpoint, berths in self._berths.items()}

    def leave_paths(self) -> None:
        """Leave the paths of UNIX sockets to another process that has the sockets."""
        for berths in self._berths.values():
            for row in berths.rows:
                row.leave_paths()

    def prepare(self, configuration: Configuration, inheritance: Inheritance) -> None:
        """Bind every socket, but those that another process has.

        Raises:
            OperatorError: one can't be bound. Nothing is left bound then.
        """
        self._configuration = configuration
        self._berths = self._bound(configuration, inheritance)

    async def open(self) -> None:
        """Listen, and have workers serve; returns when all of them do.

        Raises:
            OperatorError: another process was faster at a socket, or the fork server can't be started.
        """
        for berths in self._berths.values():
            berths.hold()
        self._catalogue.number()
        # To nobody yet: whoever is hired is told of everything.
        self._tell_staples()
        self._stage.shown = self._shown
        try:
            self._forks = self._new_forks()
        except OSError as error:
            problem = f"can't be started for workers: {error.strerror}"
            advice = "see whether the server's user may run it, and how many processes there may be"
            raise OperatorError(sys.executable, problem, advice) from error
        for seat in range(1, self._size + 1):
            self._hire(seat)
        for tick, seconds in self._ticks:
            tick.start(seconds, now=False).addErrback(_unexpected)
        await self._all_serve

    async def rehearse(self, configuration: Configuration) -> Plan:
        """Have all workers prepare for another configuration.

        Raises:
            OperatorError: one of them can't. Nothing has changed then.
        """
        berths = self._bound(configuration)
        plan = Plan(configuration, berths, next(self._rounds))
        try:
            for endpoint in berths.keys() - self._berths.keys():
                berths[endpoint].hold()
            asked = [hand for hand in self._hands if not hand.draining]
            results = await _outcomes(self._ask(hand, plan) for hand in asked)
        except BaseException:
            self.abandon(plan)
            raise
        for error in results:
            # Whoever has gone meanwhile says nothing; whoever comes for it learns of what is then.
            if isinstance(error, OperatorError | CancelledError):
                self.abandon(plan)
                raise error
        return plan

    def abandon(self, plan: Plan) -> None:
        """Go on with what there was."""
        self._order(orders.Abandon())
        close(plan.berths, but=self._berths)

    def adopt(self, plan: Plan) -> None:
        """Have what was prepared behind the sites, before the sites are there."""
        before = self._berths
        self._configuration, self._berths, self._round = plan.configuration, plan.berths, plan.round
        for hand in self._active():
            if hand.round != plan.round:
                # It began meanwhile, with what there was.
                self._send_configuration(hand, plan.configuration, plan.berths, plan.round)
            hand.places = _places(plan.berths, hand.seat)
        self._order(orders.Adopt())
        close(before, but=plan.berths)

    def settle(self, plan: Plan, live: Collection[SiteCertificate]) -> None:  # noqa: ARG002 - workers know by themselves
        """Have workers listen where the new configuration says, and let go of the rest."""
        self._order(orders.Settle())
        self._fill()
        for hand in self._active():
            if hand.seat > self._size:
                hand.drain(plan.configuration.drain, self._reactor.seconds())

    async def settled(self) -> None:
        """Wait until all workers serve what they were told last, or have gone."""
        await _outcomes(hand.wait_until_serving(self._round) for hand in self._active())

    def reopen_logs(self) -> None:
        """The log files were renamed."""
        self._order(orders.ReopenLogs())

    def renew_ticket_keys(self) -> None:
        """Have a new fork server, with new ticket keys, and then all workers replaced, one after the other."""
        before, self._forks = self._forks, self._new_forks()
        if before is not None:
            before.stop()
        self._fill()
        self._lock.run(lambda: Deferred.fromCoroutine(self._replace_all())).addErrback(_unexpected)

    async def close(self, seconds: float) -> None:
        """Have all workers leave as they come to rest; returns when they have."""
        self._stopping = True
        for tick, _ in self._ticks:
            if tick.running:
                tick.stop()
        for hand in self._hands:
            hand.drain(seconds, self._reactor.seconds())
        # Now, as workers do: else clients would go on to connect, and wait for nobody.
        close(self._berths, but={})
        self._berths = {}
        if self._hands:
            self._left = Deferred()
            self._late = self._reactor.callLater(seconds + LATE, self._left.callback, None)
            await self._left
        for hand in list(self._hands):
            hand.kill()
        if self._forks is not None:
            self._forks.stop()

    def hurry(self) -> None:
        """Have them leave at once; whoever stands still is not waited for any longer than `LATE`."""
        now = self._reactor.seconds()
        for hand in self._hands:
            hand.drain(0, now)
        if self._late is not None and self._late.active() and self._late.getTime() > now + LATE:
            self._late.reset(LATE)

    def heard(self, hand: Hand, report: reports.Report) -> None:
        """A worker has said something."""
        hand.heard = self._reactor.seconds()
        match report:
            case reports.Line():
                level = LogLevel.lookupByName(report.level)
                _log.emit(level, "worker {worker}: {text}", worker=hand.seat, text=_plain(report.text))
            case reports.Beat():
                self._catalogue.count(report)
                self._count_refused(report)
            case reports.Serving():
                if not self._all_serve.called and sum(one.serving for one in self._active()) >= self._size:
                    self._all_serve.callback(None)
            case reports.Leaving():
                self._leaves(hand)
            case reports.Failed():
                self._failed(hand, operator_error(report))

    def lost(self, hand: Hand) -> None:
        """A worker has gone."""
        self._hands.remove(hand)
        self._census.lost(hand.beat)
        if not self._hands and self._late is not None and self._late.active():
            self._late.cancel()
            self._left.callback(None)
        if hand.draining or self._stopping or self._given_up:
            return
        wait = self._replace(hand)
        if hand.pid is not None:
            self._leaving[hand.pid] = hand
        # A little later: the fork server tells how it ended.
        self._reactor.callLater(0.05, self._tell_end, hand, wait)

    @property
    def _size(self) -> int:
        return 0 if self._configuration is None else self._configuration.workers

    def _active(self) -> list[Hand]:
        return [hand for hand in self._hands if not hand.draining]

    def _bound(self, configuration: Configuration, inheritance: Inheritance = _NOTHING) -> Mapping[str, Berths]:
        def bind(listener: Listener) -> Sequence[BoundPorts]:
            return inherited_or_bound(listener, inheritance, self._reactor, configuration).ports.rows()

        return berths_of(configuration, self._berths, bind)

    def _new_forks(self) -> Forks:
        forks = Forks(self._ended, self._forks_gone)
        forks.start(self._reactor, self._identity)
        self._forks_began = self._reactor.seconds()
        return forks

    def _forks_gone(self, forks: Forks) -> None:
        if forks is self._forks and not self._stopping:
            _log.error("The fork server has ended; with a new one workers are replaced in turn")
            self._forks = None
            # One that can't run at all is not tried all the time.
            wait = self._forks_back_off.wait(self._reactor.seconds() - self._forks_began)
            self._reactor.callLater(wait, self._begin_again)

    def _begin_again(self) -> None:
        if self._forks is not None or self._stopping:
            return
        try:
            self.renew_ticket_keys()
        except OSError as error:
            _log.error("A fork server can't be had: {error}; it is tried again", error=error)
            self._reactor.callLater(BACK_OFF[-1], self._begin_again)

    def _ended(self, pid: int, status: int) -> None:
        # It may be known by the end of its channel that it has gone, or not yet.
        for hand in (*self._hands, *self._leaving.values()):
            if hand.pid == pid:
                hand.ended = ending(status)

    def _hire(self, seat: int) -> Hand:
        assert self._forks is not None  # noqa: S101 - there is always one while workers are
        hand = Hand(seat, self, self._reactor.seconds())
        ours, theirs = socket.socketpair()
        try:
            with ours:
                adopt(self._reactor, ours, hand.channel)
        except OSError:
            theirs.close()
            raise
        self._hands.append(hand)

        def born(pid: int) -> None:
            hand.pid = pid

        self._forks.fork(theirs, born)
        self._send_configuration(hand, self._configuration_now, self._berths, self._round)
        hand.order(_ADOPT)
        self._send_sites([hand])
        hand.order(_SETTLE)
        return hand

    def _fill(self) -> None:
        """Have somebody in each seat."""
        for seat in range(1, self._size + 1):
            self._hire_again(seat)

    def _hire_again(self, seat: int) -> None:
        if self._forks is None or self._stopping or seat > self._size:
            return
        if any(hand.seat == seat for hand in self._active()):
            return
        try:
            self._hire(seat)
        except OSError as error:
            _log.error("worker {worker} can't be had: {error}; its place is filled later", worker=seat, error=error)
            self._reactor.callLater(BACK_OFF[-1], self._hire_again, seat)

    async def _replace_all(self) -> None:
        for old in self._active():
            while not (self._stopping or old.draining or old.gone):
                if await self._has_successor(old.seat):
                    old.drain(self._configuration_now.drain, self._reactor.seconds())
                else:
                    await deferLater(self._reactor, BACK_OFF[-1])

    async def _has_successor(self, seat: int) -> bool:
        """Hire another one for a seat; tell whether it came to serve."""
        if self._forks is None:
            return False
        try:
            await self._hire(seat).wait_until_serving()
        except (Left, OSError):
            return False
        return True

    def _ask(self, hand: Hand, plan: Plan) -> Deferred[None]:
        answer = hand.answer(plan.round)
        self._send_configuration(hand, plan.configuration, plan.berths, plan.round)
        return answer

    def _send_configuration(
        self, hand: Hand, configuration: Configuration, berths: Mapping[str, Berths], number: int
    ) -> None:
        places = _places(berths, hand.seat)
        fresh = places - hand.places
        counts = tuple((listener.endpoint, len(given)) for listener, given in fresh)
        descriptors = [one.fileno() for _, given in fresh for one in given]
        order = orders.Prepare(number, configuration, self._limits, counts)
        hand.order(orders.packed(order), descriptors)
        hand.round = number
        if number == self._round:
            hand.places = places

    def _shown(self) -> None:
        """Have workers show what the supervisor's stage has."""
        self._catalogue.number()
        self._tell_staples()
        self._send_sites(self._active())

    def _send_sites(self, hands: Iterable[Hand]) -> None:
        # Those who know the same get the same, which is written down once.
        packed: dict[frozenset[int], bytes] = {}
        all_of_them = self._catalogue.known
        for hand in hands:
            if hand.known not in packed:
                packed[hand.known] = orders.packed(self._catalogue.show(hand.known))
            hand.order(packed[hand.known])
            hand.known = all_of_them

    def _tell_staples(self) -> None:
        if renewed := self._catalogue.renewed():
            self._order(orders.Renew(renewed))

    def _order(self, order: orders.Order) -> None:
        packed = orders.packed(order)
        for hand in self._active():
            hand.order(packed)

    def _look_for_silence(self) -> None:
        now = self._reactor.seconds()
        # Perhaps it was this process that stood still.
        late, self._looked = now - self._looked > SILENT, now
        for hand in list(self._hands):
            if late:
                hand.heard = now
            elif now - hand.heard > SILENT:
                _log.error("worker {worker} gives no sign of life; it is killed", worker=hand.seat)
                hand.kill()
            elif hand.draining and now > hand.leave_by + LATE:
                hand.kill()

    def _count_refused(self, beat: reports.Beat) -> None:
        if beat.refused:
            # Of sites that there are: a worker may say anything.
            keys = {site.key for site in self._configuration_now.sites}
            self._census.refused.update({key: more for key, more in beat.refused if key in keys})

    def _failed(self, hand: Hand, error: OperatorError) -> None:
        if self._all_serve.called or self._give_up is None:
            _log.error("worker {worker}: {problem}", worker=hand.seat, problem=str(error))
        elif not self._given_up:
            # It would be the same with the others.
            self._given_up = True
            self._give_up(error)
        hand.channel.close()

    def _replace(self, hand: Hand) -> float:
        """Have somebody else on its seat, and return the seconds until then."""
        self.replaced += 1
        wait = self._back_offs[hand.seat].wait(self._reactor.seconds() - hand.born)
        self._reactor.callLater(wait, self._hire_again, hand.seat)
        return wait

    def _leaves(self, hand: Hand) -> None:
        """Not by order: else clients would wait in a socket of its own until it has left."""
        if hand.draining or self._stopping or self._given_up:
            return
        hand.leaves(self._reactor.seconds() + self._configuration_now.drain)
        when = _in(self._replace(hand))
        _log.warn("worker {worker} leaves by itself; its place is filled {when}", worker=hand.seat, when=when)

    def _tell_end(self, hand: Hand, wait: float) -> None:
        if hand.pid is not None:
            self._leaving.pop(hand.pid, None)
        _log.error(
            "worker {worker} has ended ({ended}); its place is filled {when}",
            worker=hand.seat,
            ended=hand.ended or "nobody knows how",
            when=_in(wait),
        )

    @property
    def _configuration_now(self) -> Configuration:
        assert self._configuration is not None  # noqa: S101 - `prepare` comes first
        return self._configuration


_ADOPT = orders.packed(orders.Adopt())
_SETTLE = orders.packed(orders.Settle())


def _places(berths: Mapping[str, Berths], seat: int) -> frozenset[Place]:
    """Where the worker on a seat listens."""
    return frozenset(one.place(seat) for one in berths.values())


def _in(wait: float) -> str:
    return f"in {wait:.0f} s" if wait else "at once"


async def _outcomes(waited_for: Iterable[Deferred[None]]) -> list[BaseException | None]:
    """Wait for all, and return what each failed of."""
    results: Any = await DeferredList(list(waited_for), consumeErrors=True)
    return [None if fine else result.value for fine, result in results]


def _every(reactor: Any, seconds: float, call: Callable[[], object]) -> tuple[LoopingCall, float]:
    ticking = LoopingCall(_guarded, call)
    ticking.clock = reactor
    return ticking, seconds


def _guarded(call: Callable[[], object]) -> None:
    try:
        call()
    except Exception:  # noqa: BLE001 - a LoopingCall whose function raises never calls it again
        _log.failure("Looking after the workers failed")


def _plain(text: str) -> str:
    """What a worker wants logged, without what speaks to terminals."""
    return "".join(one if one.isprintable() or one in "\n\t" else "?" for one in text)


def _unexpected(failure: Failure) -> None:
    if not failure.check(CancelledError):  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        _log.failure("A bug of ours", failure=failure)
