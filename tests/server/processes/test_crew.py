"""Workers as their supervisor sees them: hired, replaced, told in rounds, let go."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server.processes.fake_reactor import FakeReactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from staplesrv.errors import OperatorError
from staplesrv.ops.status import State
from staplesrv.server.config import load
from staplesrv.server.inheritance import Inheritance
from staplesrv.server.processes import fork_server, orders, reports
from staplesrv.server.processes.back_off import BACK_OFF, STEADY
from staplesrv.server.processes.crew import LATE, SILENT, Crew
from staplesrv.server.processes.hand import Hand
from staplesrv.staples.cache import Reason
from staplesrv.testing import LeafFiles
from staplesrv.tls.connection import STAPLED
from staplesrv.tls.limits import Limits
from staplesrv.tls.stage import Stage

ENDPOINT = "tcp:0:interface=127.0.0.1"


class Firm:
    """A crew of two, whose workers the test plays."""

    def __init__(self, file: Path) -> None:
        self.reactor = FakeReactor()
        self.file = file
        self.given_up: list[OperatorError] = []
        configuration = load(file)
        self.stage = Stage([one.certificate for one in configuration.sites], configuration.settings, lambda: 0.0)
        self.stage.load()
        self.crew = Crew(self.stage, reactor=self.reactor, limits=Limits(), give_up=self.given_up.append)
        self.crew.prepare(configuration, Inheritance({}))
        self.opened = Deferred.fromCoroutine(self.crew.open())

    @property
    def hands(self) -> list[Hand]:
        """Those that are to serve."""
        return [hand for hand in self.crew.hands if not hand.draining]

    def told(self, hand: Hand) -> list[orders.Order]:
        """What a worker was told since the last time."""
        transport: Any = hand.channel.transport
        data, told = transport.value(), []
        transport.clear()
        while data:
            length = int.from_bytes(data[:4])
            told.append(orders.unpacked(data[4 : 4 + length]))
            data = data[4 + length :]
        return told

    def kinds(self, hand: Hand) -> list[str]:
        """The same, by name."""
        return [type(order).__name__ for order in self.told(hand)]

    def say(self, hand: Hand, report: reports.Report) -> None:
        """Have a worker report."""
        data = reports.packed(report)
        hand.channel.dataReceived(len(data).to_bytes(4) + data)

    def serve(self) -> None:
        """Have all workers serve."""
        for hand in self.hands:
            self.say(hand, reports.Serving(0))
            self.told(hand)

    def reload(self, before: str, after: str) -> dict[int, list[orders.Order]]:
        """Write another configuration down and have all prepare for it; what each seat was told, up to there."""
        self.file.write_text(self.file.read_text().replace(before, after))
        rehearsed = Deferred.fromCoroutine(self.crew.rehearse(load(self.file)))
        told = {hand.seat: self.told(hand) for hand in self.hands}
        for hand in self.hands:
            self.say(hand, reports.Prepared(hand.round))
        rehearsed.addCallback(self._adopt)
        return told

    def _adopt(self, plan: Any) -> None:
        self.crew.adopt(plan)
        self.crew.settle(plan, ())

    def die(self, hand: Hand) -> None:
        """End a worker."""
        hand.channel.connectionLost(connectionDone)


@pytest.fixture
def firm(files: LeafFiles) -> Iterator[Firm]:
    """A crew that has been told to open."""
    yield from opened(files, 'listen = "tcp:0:interface=127.0.0.1"')


@pytest.fixture
def firm_apart(files: LeafFiles) -> Iterator[Firm]:
    """The same, with a socket for each."""
    yield from opened(files, f'[[listeners]]\nendpoint = "{ENDPOINT}"\nreuse_port = true')


def opened(files: LeafFiles, listeners: str) -> Iterator[Firm]:
    """A crew with such listeners; in the end it is closed."""
    file = files.certificate.parent / "a.toml"
    file.write_text(
        f"workers = 2\n{listeners}\n"
        '[[sites]]\ncertificate = "fullchain.pem"\nprivate_key = "privkey.pem"\nstatic = "www"\n'
    )
    made = Firm(file)
    yield made
    closing = Deferred.fromCoroutine(made.crew.close(0))
    for hand in list(made.crew.hands):
        made.die(hand)
    assert closing.called


def test_a_worker_is_told_everything_before_it_listens(firm: Firm) -> None:
    """Its sockets come along; it is open when all serve."""
    first, second = firm.hands
    prepare, adopt, show, settle = firm.told(first)[:4]
    assert isinstance(prepare, orders.Prepare)
    assert prepare.sockets == (("tcp:0:interface=127.0.0.1", 1),)
    assert isinstance(adopt, orders.Adopt)
    assert isinstance(show, orders.Show)
    assert [loaded is not None for _, loaded in show.sites] == [True]
    assert [staple.reason for staple in show.staples] == [Reason.PENDING]
    assert isinstance(settle, orders.Settle)
    firm.say(first, reports.Serving(0))
    assert not firm.opened.called
    firm.say(second, reports.Serving(0))
    assert firm.opened.called


def test_one_that_dies_is_replaced_at_once_and_then_later_and_later(firm: Firm, lines: list[str]) -> None:
    """Up to 30 s; after a minute's service it is at once again."""
    firm.serve()
    for wait in (*BACK_OFF, BACK_OFF[-1]):
        first, *_ = firm.hands
        firm.die(first)
        seat = first.seat
        if wait:
            firm.reactor.advance(wait - 0.1)
            assert seat not in {hand.seat for hand in firm.hands}
        firm.reactor.advance(0.1)
        assert seat in {hand.seat for hand in firm.hands}
        # The other one is first now, and has its own count.
        firm.crew._hands.sort(key=lambda hand: hand.seat != seat)
    assert firm.crew.replaced == len(BACK_OFF) + 1
    hand = firm.hands[0]
    firm.reactor.pump([1.0] * int(STEADY))
    for one in firm.hands:
        one.heard = firm.reactor.seconds()
    firm.die(hand)
    firm.reactor.advance(0.1)
    assert len(firm.hands) == 2
    assert any("its place is filled at once" in line for line in lines)


def test_how_it_ended_is_told(firm: Firm, lines: list[str]) -> None:
    """By the fork server, before or after the end of its channel is seen."""
    firm.serve()
    (forks,) = (one for one in firm.reactor.protocols if hasattr(one, "fork"))
    first, second = firm.hands
    for pid in (1001, 1002):
        forks.dataReceived(fork_server.ANSWER.pack(pid, fork_server.RUNS))
    assert (first.pid, second.pid) == (1001, 1002)
    firm.die(first)
    forks.dataReceived(fork_server.ANSWER.pack(1001, 256 + 9))
    forks.dataReceived(fork_server.ANSWER.pack(1002, 3))
    firm.die(second)
    firm.reactor.advance(0.1)
    assert "worker 1 has ended (SIGKILL); its place is filled at once" in lines
    assert "worker 2 has ended (exit status 3); its place is filled at once" in lines


def test_one_without_a_sign_of_life_is_ended(firm: Firm, lines: list[str]) -> None:
    """The other one, which gives some, is not."""
    firm.serve()
    first, second = firm.hands
    for _ in range(int(SILENT / 5) + 2):
        firm.say(second, reports.Beat(0, 0, 0, {}, []))
        firm.reactor.advance(5)
    assert f"worker {first.seat} gives no sign of life; it is killed" in lines
    assert first.channel.transport.disconnected  # type: ignore[union-attr]
    assert not second.channel.transport.disconnected  # type: ignore[union-attr]


def test_a_round_is_for_all_or_for_nobody(firm: Firm) -> None:
    """One that can't prepare makes all abandon it."""
    firm.serve()
    first, second = firm.hands
    rehearsed = Deferred.fromCoroutine(firm.crew.rehearse(load(firm.file)))
    (prepare,) = firm.told(first)
    assert isinstance(prepare, orders.Prepare)
    assert prepare.sockets == ()
    firm.say(first, reports.Prepared(prepare.round))
    firm.say(second, reports.Failed(prepare.round, "a.toml", "is\nwrong", "mend it", "key"))
    failed: list[Any] = []
    rehearsed.addErrback(failed.append)
    assert str(failed[0].value) == "a.toml: key: is wrong; mend it"
    assert firm.kinds(first) == ["Abandon"]
    assert firm.kinds(second) == ["Prepare", "Abandon"]


def test_whoever_comes_during_a_round_is_told_afterwards(firm: Firm) -> None:
    """And whoever goes is not waited for."""
    firm.serve()
    first, second = firm.hands
    rehearsed = Deferred.fromCoroutine(firm.crew.rehearse(load(firm.file)))
    (prepare,) = firm.told(first)
    assert isinstance(prepare, orders.Prepare)
    firm.die(second)
    firm.reactor.advance(0)
    firm.say(first, reports.Prepared(prepare.round))
    plans: list[Any] = []
    rehearsed.addCallback(plans.append)
    (third,) = (hand for hand in firm.hands if hand is not first)
    firm.told(third)
    firm.crew.adopt(plans[0])
    firm.crew.settle(plans[0], ())
    assert firm.kinds(first) == ["Adopt", "Settle"]
    assert firm.kinds(third) == ["Prepare", "Adopt", "Settle"]
    settled = Deferred.fromCoroutine(firm.crew.settled())
    firm.say(first, reports.Serving(prepare.round))
    firm.say(third, reports.Serving(0))
    assert not settled.called
    firm.say(third, reports.Serving(prepare.round))
    assert settled.called


def test_whoever_goes_is_not_waited_for_in_the_end(firm: Firm) -> None:
    """Another one is told of everything when it comes."""
    firm.serve()
    first, second = firm.hands
    settled = Deferred.fromCoroutine(firm.crew.settled())
    firm.say(first, reports.Serving(0))
    firm.die(second)
    assert settled.called


def test_a_listener_that_goes_is_closed(firm: Firm) -> None:
    """Nobody would accept from it; one that comes is there from the round on."""
    firm.serve()
    (before,) = firm.crew.sockets[ENDPOINT]
    firm.reload("127.0.0.1", "127.0.0.2")
    assert list(firm.crew.sockets) == [ENDPOINT.replace("127.0.0.1", "127.0.0.2")]
    assert before.fileno() == -1


def test_whoever_leaves_is_not_waited_for(firm: Firm) -> None:
    """Not until it has gone, which may take a while: its successor does what the round was about."""
    firm.serve()
    leaving, other = firm.hands
    plans: list[Any] = []
    rehearsed = Deferred.fromCoroutine(firm.crew.rehearse(load(firm.file)))
    rehearsed.addCallback(plans.append)
    firm.say(other, reports.Prepared(other.round))
    assert not plans
    firm.say(leaving, reports.Leaving())
    assert len(plans) == 1
    firm.crew.abandon(plans[0])


def test_staples_are_told_as_they_change(firm: Firm) -> None:
    """Once to each, half a second later at most."""
    firm.serve()
    (entry,) = firm.stage.live[0].entries
    entry.reason = Reason.REVOKED
    firm.reactor.advance(0.5)
    for hand in firm.hands:
        (renew,) = firm.told(hand)
        assert renew == orders.Renew((orders.Staple(entry.fingerprint, None, Reason.REVOKED),))
    firm.reactor.advance(0.5)
    assert firm.kinds(firm.hands[0]) == []


def test_sites_that_a_worker_has_are_not_sent_again(firm: Firm) -> None:
    """A number stands for each."""
    firm.serve()
    firm.stage.show(firm.stage.live)
    (show,) = firm.told(firm.hands[0])
    assert isinstance(show, orders.Show)
    assert [loaded for _, loaded in show.sites] == [None]
    assert show.staples == ()


def test_handshakes_are_added_up_and_nonsense_is_not(firm: Firm) -> None:
    """Workers count for sites that there are, and outcomes that there can be."""
    firm.serve()
    site = firm.stage.live[0]
    number = firm.crew._catalogue.numbers[site]
    counts = [(number, STAPLED, 2), (number + 7, STAPLED, 1), (number, "nonsense", 1)]
    for hand in firm.hands:
        firm.say(hand, reports.Beat(1, 5, 3, {"lost": 1, "nonsense": 1}, counts))
    assert site.handshakes == {STAPLED: 4}
    firm.die(firm.hands[0])
    traffic = firm.crew.traffic()
    assert (traffic.open, traffic.accepted, traffic.requests, traffic.closed) == (1, 10, 6, {"lost": 2})


def test_handshakes_of_a_site_that_was_replaced_count(firm: Firm) -> None:
    """Workers tell of them once more when they are told of another one."""
    firm.serve()
    (before,) = firm.stage.live
    number = firm.crew._catalogue.numbers[before]
    after = firm.stage.make(before.loaded)
    after.handshakes = before.handshakes
    firm.stage.show((after,))
    firm.say(firm.hands[0], reports.Beat(0, 0, 0, {}, [(number, STAPLED, 2)]))
    assert after.handshakes == {STAPLED: 2}


def test_requests_that_were_too_much_are_added_up(firm: Firm) -> None:
    """Of sites that there are; also those of workers that have ended."""
    firm.serve()
    (site,) = firm.crew._configuration_now.sites
    for hand in firm.hands:
        firm.say(hand, reports.Beat(0, 0, 0, {}, [], [(site.key, 3), ("nonsense", 1)]))
    firm.die(firm.hands[0])
    assert firm.crew.traffic().refused == {site.key: 6}


def test_each_worker_is_told_of(firm: Firm) -> None:
    """Whether it serves yet, and when it last said anything; one that leaves is there until it has gone."""
    first, second = firm.hands
    firm.say(first, reports.Serving(0))
    firm.reactor.advance(10)
    firm.say(second, reports.Beat(7, 0, 0, {}, []))
    second.pid = 5
    found = firm.crew.workers(1000.0)
    assert (found.wanted, found.serving, found.replaced) == (2, 1, 0)
    assert [(one.seat, one.pid, one.state, one.heard.timestamp(), one.open) for one in found.each] == [
        (1, None, State.SERVING, 990.0, 0),
        (2, 5, State.STARTING, 1000.0, 7),
    ]
    first.drain(0, 0)
    assert firm.crew.workers(1000.0).each[0].state is State.STOPPING
    firm.say(second, reports.Serving(0))
    firm.die(second)
    assert firm.crew.workers(1000.0).replaced == 1


def test_a_worker_that_says_what_it_can_t_is_ended(firm: Firm) -> None:
    """Whatever has become of it."""
    firm.serve()
    hand = firm.hands[0]
    hand.channel.dataReceived(b"\0\0\0\1x")
    assert hand.channel.transport.disconnected  # type: ignore[union-attr]


def test_its_lines_are_logged_without_what_speaks_to_terminals(firm: Firm, lines: list[str]) -> None:
    """And with its number."""
    firm.serve()
    firm.say(firm.hands[0], reports.Line("warn", "one\x1b[2Jtwo\n\tthree"))
    assert f"worker {firm.hands[0].seat}: one?[2Jtwo\n\tthree" in lines


def test_a_start_that_no_worker_can_do_is_given_up_once(firm: Firm) -> None:
    """With what the first one said."""
    for hand in firm.hands:
        firm.say(hand, reports.Failed(0, "a.toml", "is wrong", "mend it", ""))
        firm.die(hand)
    assert [str(error) for error in firm.given_up] == ["a.toml: is wrong; mend it"]
    firm.reactor.advance(60)
    assert firm.hands == []


def test_a_new_fork_server_means_new_workers_in_turn(firm: Firm) -> None:
    """The second is replaced when the first one's successor serves; each drains after that."""
    firm.serve()
    first, second = firm.hands
    (forks,) = (one for one in firm.reactor.protocols if hasattr(one, "fork"))
    forks.connectionLost(connectionDone)
    firm.reactor.advance(0)
    assert len(firm.reactor.spawned) == 2
    assert not first.draining
    (successor,) = (hand for hand in firm.hands if hand not in (first, second))
    assert successor.seat == first.seat
    firm.say(successor, reports.Serving(0))
    assert first.draining
    assert not second.draining
    successor = firm.hands[-1]
    firm.say(successor, reports.Serving(0))
    assert second.draining


def test_a_fork_server_that_can_t_run_is_not_tried_all_the_time(firm: Firm) -> None:
    """Later and later; seats that became free meanwhile are filled by the next one."""
    firm.serve()
    firm.die(firm.hands[0])
    for times, wait in enumerate(BACK_OFF[:4], 2):
        firm.crew._forks.connectionLost(connectionDone)  # type: ignore[union-attr]
        firm.reactor.advance(wait / 2)
        assert len(firm.reactor.spawned) == (times if not wait else times - 1)
        firm.reactor.advance(wait / 2)
        assert len(firm.reactor.spawned) == times
    assert {hand.seat for hand in firm.hands} == {1, 2}


def test_workers_are_replaced_in_the_end_though_fork_servers_go(firm: Firm, lines: list[str]) -> None:
    """Whoever has no successor while there is none stays until there is one."""
    firm.serve()
    first = firm.hands[0]
    firm.crew._forks.connectionLost(connectionDone)  # type: ignore[union-attr]
    firm.reactor.advance(0)
    # The next try is 30 s from now, when the fork server has ended so often that the next one is waited for.
    firm.die(firm.hands[-1])
    for wait in BACK_OFF[1:5]:
        firm.crew._forks.connectionLost(connectionDone)  # type: ignore[union-attr]
        firm.reactor.advance(wait)
    firm.crew._forks.connectionLost(connectionDone)  # type: ignore[union-attr]
    for _ in range(4):
        for hand in firm.hands:
            firm.say(hand, reports.Beat(0, 0, 0, {}, []))
        firm.reactor.advance(BACK_OFF[5])
    assert not [line for line in lines if "bug" in line]
    firm.say(firm.hands[-1], reports.Serving(0))
    assert first.draining


def test_a_first_fork_server_that_the_system_does_not_start(firm: Firm) -> None:
    """Is one line, for the start to end with."""
    firm.reactor.refusal = OSError(errno.EACCES, "Permission denied")
    opened = Deferred.fromCoroutine(firm.crew.open())
    failures: list[Failure] = []
    opened.addErrback(failures.append)
    (failure,) = failures
    assert failure.check(OperatorError)
    assert f"{sys.executable}: can't be started for workers: Permission denied; see whether" in str(failure.value)


def test_a_place_that_can_t_be_filled_is_filled_later(
    firm: Firm, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no descriptor for the way to another worker."""
    firm.serve()

    def none_left() -> None:
        raise OSError(errno.EMFILE, "none left")

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socketpair", none_left)
        firm.die(firm.hands[0])
        firm.reactor.advance(0)
    assert [hand.seat for hand in firm.hands] == [2]
    assert any("worker 1 can't be had" in line for line in lines)
    firm.reactor.advance(BACK_OFF[-1])
    assert {hand.seat for hand in firm.hands} == {1, 2}


def test_a_fork_server_that_can_t_be_had_is_tried_again(firm: Firm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no descriptor for the way to it."""
    firm.serve()

    def none_left() -> None:
        raise OSError(errno.EMFILE, "none left")

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socketpair", none_left)
        firm.crew._forks.connectionLost(connectionDone)  # type: ignore[union-attr]
        firm.reactor.advance(0)
    assert len(firm.reactor.spawned) == 1
    firm.reactor.advance(BACK_OFF[-1])
    assert len(firm.reactor.spawned) == 2


def test_a_second_signal_does_not_wait_for_one_that_stands_still(firm: Firm) -> None:
    """Nor does a third one begin anew."""
    firm.serve()
    closing = Deferred.fromCoroutine(firm.crew.close(30))
    firm.reactor.advance(20)
    firm.crew.hurry()
    firm.reactor.advance(LATE / 2)
    firm.crew.hurry()
    assert not closing.called
    firm.reactor.advance(LATE / 2)
    assert closing.called


def listens(one: socket.socket) -> bool:
    """Ask the kernel."""
    return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def prepared(told: list[orders.Order]) -> orders.Prepare:
    """The first order, which is to prepare."""
    assert isinstance(told[0], orders.Prepare)
    return told[0]


def test_each_may_have_a_socket_of_its_own(firm_apart: Firm) -> None:
    """Which its successor gets, too; a worker's own is listened on when it is there, not before."""
    for hand in firm_apart.hands:
        assert prepared(firm_apart.told(hand)).sockets == ((ENDPOINT, 1),)
    sockets = firm_apart.crew.sockets[ENDPOINT]
    assert [listens(one) for one in sockets] == [True, False]
    first, second = firm_apart.hands
    before = first.places, second.places
    firm_apart.serve()
    for hand in (first, second):
        firm_apart.die(hand)
    firm_apart.reactor.advance(0)
    assert tuple(hand.places for hand in firm_apart.hands) == before
    assert firm_apart.crew.addresses == [sockets[0].getsockname()]


def test_fewer_workers_share_what_the_others_had(firm_apart: Firm) -> None:
    """More bind more; who has the same as before is sent none."""
    firm_apart.serve()
    told = firm_apart.reload("workers = 2", "workers = 4")
    assert {seat: prepared(orders).sockets for seat, orders in told.items()} == {1: (), 2: ()}
    assert len(firm_apart.hands) == 4
    sockets = firm_apart.crew.sockets[ENDPOINT]
    assert [hand.places for hand in firm_apart.hands] == [
        {(firm_apart.crew._configuration_now.listeners[0], (one,))} for one in sockets
    ]
    firm_apart.serve()
    told = firm_apart.reload("workers = 4", "workers = 2")
    assert prepared(told[1]).sockets == prepared(told[2]).sockets == ((ENDPOINT, 3),)
    assert [hand.seat for hand in firm_apart.hands] == [1, 2]
    assert firm_apart.crew.sockets[ENDPOINT] == sockets


def test_sockets_of_an_abandoned_round_are_closed(firm_apart: Firm) -> None:
    """Those that there were stay."""
    firm_apart.serve()
    before = firm_apart.crew.sockets[ENDPOINT]
    firm_apart.file.write_text(firm_apart.file.read_text().replace("workers = 2", "workers = 3"))
    rehearsed = Deferred.fromCoroutine(firm_apart.crew.rehearse(load(firm_apart.file)))
    for hand in firm_apart.hands:
        firm_apart.say(hand, reports.Prepared(hand.round))
    plans: list[Any] = []
    rehearsed.addCallback(plans.append)
    *_, new = plans[0].berths[ENDPOINT].sockets
    firm_apart.crew.abandon(plans[0])
    assert new.fileno() < 0
    assert firm_apart.crew.sockets[ENDPOINT] == before
    assert all(one.fileno() >= 0 for one in before)


def test_one_that_leaves_by_itself_has_a_successor_meanwhile(firm: Firm, lines: list[str]) -> None:
    """However often it says so; it is ended when it does not leave in time."""
    firm.serve()
    leaving, _ = firm.hands
    for _ in range(3):
        firm.say(leaving, reports.Leaving())
    firm.reactor.advance(0)
    assert [hand.seat for hand in firm.hands] == [2, 1]
    assert firm.crew.replaced == 1
    assert "worker 1 leaves by itself; its place is filled at once" in lines
    transport: Any = leaving.channel.transport
    for _ in range(8):
        assert not transport.disconnected
        for hand in (*firm.hands, leaving):
            firm.say(hand, reports.Beat(0, 0, 0, {}, []))
        firm.reactor.advance(5)
    assert transport.disconnected
    firm.die(leaving)
    assert firm.crew.replaced == 1
