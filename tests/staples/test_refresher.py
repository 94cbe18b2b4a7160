"""The refresher from outside: what handshakes get, whom it asks and when, and who is told."""

from __future__ import annotations

import timeit
from datetime import timedelta
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel

from staplesrv.staples.assignment import Assignment
from staplesrv.staples.cache import Reason
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.fetched import Fetched
from staplesrv.staples.settings import Settings
from staplesrv.testing import CertificateAuthority

HOUR = 3600.0
DAY = 24 * HOUR
URL = "http://ocsp.example/"
DOWN = FetchFailed(FailureKind.NETWORK, "connection refused", url=URL)


def many(world: Any, count: int, **options: Any) -> list[Assignment]:
    """Assignments of different leaves."""
    return [world.assign(world.leaf(f"host{n}.example", **options)) for n in range(count)]


class TestStart:
    def test_a_new_certificate_gets_its_staple(self, world: Any) -> None:
        """What is added is asked about at once, and the answer is what handshakes get."""
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        assert world.asked == 1
        assert world.served(assignment) == world.entry(assignment).held.response_der != b""
        assert world.status(assignment).reason is Reason.OK

    def test_what_is_added_before_the_start_waits_for_it(self, world: Any) -> None:
        """Nothing is read or asked before the service starts."""
        refresher, assignment = world.make(start=False), world.assign()
        refresher.add(assignment)
        world.clock.advance(10)
        assert world.asked == 0
        assert world.status(assignment).reason is Reason.PENDING
        refresher.startService()
        assert world.asked == 1

    def test_a_stored_staple_is_served_without_asking(self, world: Any) -> None:
        """After a restart with the responder dead the staple is there at once, and nobody was asked."""
        assignment = world.assign()
        world.make().add(assignment)
        served = world.served(assignment)
        world.fetcher.answer = lambda _: DOWN
        world.clock.advance(HOUR)
        world.restart().add(assignment)
        assert world.served(assignment) == served
        assert world.asked == 1

    def test_a_stored_staple_is_refreshed_when_its_time_comes(self, world: Any) -> None:
        """A restart does not put the next question off: it comes a day after the answer was made."""
        assignment = world.assign()
        world.make().add(assignment)
        world.clock.advance(20 * HOUR)
        world.restart().add(assignment)
        assert world.wait(assignment) == 4 * HOUR

    def test_what_became_due_while_nothing_ran_is_spread(self, world: Any) -> None:
        """Staples that should have been refreshed during a standstill are asked about within a minute of the start."""
        assignments = many(world, 3)
        for assignment in assignments:
            world.store_now(assignment, world.good(assignment))
        world.clock.advance(3 * DAY)
        refresher = world.make()
        for chance, assignment in zip((0.25, 0.5, 0.75), assignments, strict=True):
            world.chance = chance
            refresher.add(assignment)
        assert [world.wait(assignment) for assignment in assignments] == [15, 30, 45]
        assert world.asked == 0
        world.clock.pump([0.5] * 92)
        assert world.asked == 3

    @pytest.mark.parametrize("stored", [b"garbage", b"", b"0\x03\x0a\x01\x03"])
    def test_a_damaged_file_is_ignored_and_replaced(self, world: Any, stored: bytes) -> None:
        """What is stored and does not verify is not served; the responder is asked, and its answer takes the place."""
        assignment = world.assign()
        world.store_now(assignment, stored)
        world.make().add(assignment)
        assert world.asked == 1
        assert world.stored(assignment) == world.served(assignment) != b""

    def test_a_stored_staple_of_another_leaf_is_ignored(self, world: Any) -> None:
        """A sound response for another certificate is worth nothing, wherever it was found."""
        assignment, other = many(world, 2)
        world.store_now(assignment, world.good(other))
        world.fetcher.answer = lambda _: DOWN
        world.make().add(assignment)
        assert world.served(assignment) == b""
        assert any("left aside" in line and "host0.example" in line for line in world.said())

    def test_a_stored_staple_past_its_cut_off_is_ignored(self, world: Any) -> None:
        """A stored response past its cut-off is not served, and the responder is asked at once."""
        assignment = world.assign()
        world.store_now(assignment, world.good(assignment))
        world.clock.advance(7 * DAY - 299)
        world.fetcher.answer = lambda _: DOWN
        world.make().add(assignment)
        assert (world.served(assignment), world.asked) == (b"", 1)

    def test_must_staple_first(self, world: Any) -> None:
        """With more certificates than slots, those that must be stapled are asked about first."""
        plain = many(world, 6)
        must = [world.assign(world.leaf(f"must{n}.example", must_staple=True)) for n in range(3)]
        pending = world.hold_answers()
        refresher = world.make(start=False)
        for assignment in [*plain, *must]:
            refresher.add(assignment)
        refresher.startService()
        while pending:
            pending.pop(0).callback(DOWN)
        asked = [question.assignment for question in world.fetcher.questions]
        assert asked == [*must, *plain]

    def test_nothing_held_before_something_held(self, world: Any) -> None:
        """A certificate with nothing to serve goes before those whose staple is only due."""
        blockers, due, bare = many(world, 2), world.assign(world.leaf("due.example")), world.assign()
        world.store_now(due, world.respond(due, age=5 * DAY))
        pending = world.hold_answers()
        refresher = world.make()
        for assignment in [*blockers, due]:
            refresher.add(assignment)
        world.clock.pump([0.5] * 130)
        refresher.add(bare)
        for deferred in tuple(pending):
            deferred.callback(DOWN)
        assert [question.assignment for question in world.fetcher.questions][2:4] == [bare, due]

    def test_eight_at_once_and_two_per_host(self, world: Any) -> None:
        """There are never more than 8 fetches at once, nor more than 2 at one host."""
        pending = world.hold_answers()
        refresher = world.make()
        assignments = [
            world.assign(world.leaf(f"www{n}.example", responder_urls=[f"http://ocsp{n % 5}.example/"]))
            for n in range(25)
        ]
        for assignment in assignments:
            refresher.add(assignment)
        while pending:
            pending.pop().callback(DOWN)
        assert (world.fetcher.most, world.fetcher.most_per_host) == (8, 2)
        assert {question.assignment for question in world.fetcher.questions} == set(assignments)

    def test_adding_again_changes_nothing(self, world: Any) -> None:
        """A certificate that is added twice is asked about once."""
        refresher, leaf = world.make(), world.leaf()
        refresher.add(world.assign(leaf))
        refresher.add(world.assign(leaf))
        assert world.asked == 1

    def test_a_new_assignment_for_the_same_leaf_takes_over(self, world: Any) -> None:
        """After a reload with another responder the staple stays, and the new responder is asked next."""
        refresher, leaf = world.make(), world.leaf()
        refresher.add(world.assign(leaf))
        entry = world.entry(world.assign(leaf))
        moved = Assignment.for_leaf(leaf.certificate, leaf.chain, responder="http://new.example/", settings=Settings())
        refresher.add(moved)
        assert world.entry(moved) is entry
        assert world.served(moved)
        world.pass_to_next(moved)
        assert world.fetcher.questions[-1].assignment is moved
        assert world.asked == 2


class TestNobodyToAsk:
    def test_no_url(self, world: Any) -> None:
        """A certificate without a responder gets one info line, and nobody is asked, ever."""
        refresher, assignment = world.make(), world.assign(world.leaf("plain.example", responder_urls=[]))
        refresher.add(assignment)
        refresher.add(assignment)
        world.clock.pump([DAY] * 30)
        assert world.status(assignment).reason is Reason.NO_URL
        assert world.status(assignment).next_attempt is None
        assert world.asked == 0
        assert len([line for line in world.said() if "plain.example" in line]) == 1

    def test_short_lived(self, world: Any) -> None:
        """A certificate for 7 days without a responder is not worth a line."""
        leaf = world.leaf(responder_urls=[], not_before=world.now, not_after=world.now + timedelta(days=7))
        world.make().add(world.assign(leaf))
        assert world.status(world.assign(leaf)).reason is Reason.SHORT_LIVED
        assert world.said() == []

    def test_disabled(self, world: Any) -> None:
        """Where the operator said never to ask, nobody is asked, and what was stored is not served."""
        world.settings = Settings(responders={"ocsp.example": ""})
        assignment = world.assign()
        world.store_now(assignment, world.good(assignment))
        world.make().add(assignment)
        assert world.status(assignment).reason is Reason.DISABLED
        assert (world.asked, world.served(assignment)) == (0, b"")

    def test_no_issuer(self, world: Any) -> None:
        """Without the issuer's certificate, and without a place to get it from, there is a warning and no question."""
        leaf = world.leaf()
        assignment = Assignment.for_leaf(leaf.certificate, (), settings=world.settings)
        world.make().add(assignment)
        assert world.status(assignment).reason is Reason.NO_ISSUER
        assert world.asked == 0
        assert len(world.said(LogLevel.warn)) == 1

    def test_no_issuer_but_a_place_to_get_it_from(self, world: Any) -> None:
        """Where the leaf says where its issuer's certificate is, the fetcher is asked, and what it found is passed on."""
        leaf = world.leaf(issuer_urls=["http://ca.example/ca.der"])
        assignment = Assignment.for_leaf(leaf.certificate, (), settings=world.settings)
        full = world.assign(leaf)
        fetched = world.fetcher._judge(full, world.good(full))
        world.fetcher.answer = lambda _: Fetched(fetched.response, URL, issuer=leaf.issuer)
        found: list[Any] = []
        refresher = world.make()
        refresher.issuer_found = lambda fingerprint, issuer: found.append((fingerprint, issuer))
        refresher.add(assignment)
        assert world.served(assignment)
        assert found == [(leaf.fingerprint, leaf.issuer)]
        world.pass_to_next(assignment)
        assert world.fetcher.questions[-1].assignment.target is not None

    def test_a_hook_that_fails_costs_no_staple(self, world: Any) -> None:
        """An error of whoever wanted to know of the issuer goes to the log, and the staple is served."""
        leaf = world.leaf(issuer_urls=["http://ca.example/ca.der"])
        assignment, full = Assignment.for_leaf(leaf.certificate, (), settings=world.settings), world.assign(leaf)
        fetched = world.fetcher._judge(full, world.good(full))
        world.fetcher.answer = lambda _: Fetched(fetched.response, URL, issuer=leaf.issuer)
        refresher = world.make()
        refresher.issuer_found = lambda *_: 1 / 0
        refresher.add(assignment)
        assert world.served(assignment)
        assert len(world.said(LogLevel.critical)) == 1

    def test_an_expired_leaf_is_not_asked_about(self, world: Any) -> None:
        """A certificate that has expired is an error in the log, and no question."""
        leaf = world.leaf(not_before=world.now - timedelta(days=90), not_after=world.now)
        world.make().add(world.assign(leaf))
        assert world.asked == 0
        assert world.status(world.assign(leaf)).reason is Reason.STALE
        assert len(world.said(LogLevel.error)) == 1

    def test_when_a_leaf_expires_asking_ends(self, world: Any) -> None:
        """A certificate that expires while it is served is asked about no more, and said to have expired once."""
        assignment = world.assign(world.leaf(not_after=world.now + timedelta(days=2)))
        world.fetcher.answer = lambda a: world.respond(a, life=DAY)
        world.make().add(assignment)
        world.clock.pump([600.0] * (6 * 24 * 4))
        asked = world.asked
        assert asked >= 3
        assert len([line for line in world.said(LogLevel.error) if "expired" in line]) == 1
        world.clock.pump([600.0] * (6 * 24))
        assert world.asked == asked
        assert world.served(assignment) == b""


class TestRefreshing:
    def test_a_staple_is_refreshed_after_a_day(self, world: Any) -> None:
        """A response for a week is asked for again after 24 h, telling what is held; the new one is served and stored."""
        assignment = world.assign()
        world.make().add(assignment)
        first = world.served(assignment)
        world.clock.advance(DAY - 1)
        assert world.asked == 1
        world.clock.advance(1)
        assert world.asked == 2
        question = world.fetcher.questions[1]
        assert question.held.response_der == first
        assert question.conditional.etag == '"etag"'
        assert world.stored(assignment) == world.served(assignment) != first

    def test_answers_of_eight_seconds_stay_fresh(self, world: Any) -> None:
        """With answers that live 8 s there is a staple at every look, ten times a second, for five minutes."""
        assignment = world.assign()
        world.fetcher.answer = lambda a: world.respond(a, life=8)
        world.make().add(assignment)
        for _ in range(3000):
            world.clock.advance(0.1)
            assert world.served(assignment)
        assert world.asked < 100

    def test_not_changed_is_no_failure(self, world: Any) -> None:
        """A 304 keeps the staple, counts as the same answer, and is asked about again by the rule for that."""
        assignment = world.assign()
        world.make().add(assignment)
        first = world.served(assignment)
        world.fetcher.answer = lambda _: None
        world.pass_to_next(assignment)
        assert world.refreshers[-1].totals == {"new": 1, "same": 1}
        assert world.served(assignment) == first
        assert world.status(assignment).failures == 0
        world.clock.advance(3 * DAY)
        assert world.wait(assignment) == 12 * HOUR

    def test_not_changed_with_nothing_held_is_a_failure(self, world: Any) -> None:
        """A 304 to somebody who holds nothing is a bad response."""
        assignment = world.assign()
        world.fetcher.answer = lambda _: None
        world.make().add(assignment)
        assert world.status(assignment).reason is Reason.FETCH_FAILED
        assert "bad-response" in world.status(assignment).last_failure

    def test_nothing_is_said_of_a_staple_past_its_cut_off(self, world: Any) -> None:
        """A question asked when the staple is past its cut-off carries no validators, so that no 304 can come."""
        assignment = world.assign()
        world.make().add(assignment)
        world.clock.advance(7 * DAY)
        question = world.fetcher.questions[-1]
        assert (question.held, question.conditional) == (None, None)

    def test_an_older_answer_is_ignored_and_counted(self, world: Any) -> None:
        """An answer with an older thisUpdate than the one held changes nothing but a counter."""
        assignment = world.assign()
        world.make().add(assignment)
        first = world.served(assignment)
        world.fetcher.answer = lambda a: world.respond(a, age=2 * DAY)
        world.clock.advance(DAY)
        assert world.asked == 2
        assert world.served(assignment) == world.stored(assignment) == first
        status = world.status(assignment)
        assert (status.ignored, status.failures) == (1, 0)

    def test_an_older_answer_is_taken_when_nothing_else_is_left(self, world: Any) -> None:
        """Past its cut-off the newer answer is no staple any more, and a valid one that is older is better than none."""
        assignment = world.assign()
        world.fetcher.answer = lambda a: world.respond(a, life=DAY)
        world.make().add(assignment)
        older = world.respond(assignment, age=HOUR, life=30 * DAY)
        world.fetcher.answer = lambda _: older
        world.clock.pump([600.0] * (6 * 25))
        assert world.served(assignment) == older

    def test_the_same_age_for_longer_is_taken(self, world: Any) -> None:
        """Of two answers from the same moment the one that lives longer is served."""
        assignment, made = world.assign(), world.now
        lives = iter([timedelta(days=2), timedelta(days=4)])
        world.fetcher.answer = lambda a: world.respond(
            a, age=(world.now - made).total_seconds(), life=next(lives) / timedelta(seconds=1)
        )
        world.make().add(assignment)
        world.pass_to_next(assignment)
        assert world.status(assignment).held.lifetime == timedelta(days=4)

    def test_a_tick_over_ten_thousand_is_cheap(self, world: Any) -> None:
        """With 10,000 certificates of which none is due, a tick takes a small part of a millisecond."""
        refresher, leaf = world.make(), world.assign()
        refresher.add(leaf)
        case = refresher._cases[leaf.fingerprint]
        for n in range(10_000):
            case.due = world.wall() + 10 + n
            refresher._dispatcher._queue.put(case)
        seconds = min(timeit.repeat(lambda: refresher.tick(world.wall()), number=100, repeat=5)) / 100
        assert seconds < 1e-3


class TestAsking:
    def test_one_fetch_however_many_ask(self, world: Any) -> None:
        """Two hundred who ask at once cause one question, and each has the answer on its own Deferred."""
        pending = world.hold_answers()
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        heard: list[int] = []
        for n in range(200):
            refresher.refresh(assignment.fingerprint).addCallback(lambda _, n=n: heard.append(n))
        assert world.asked == 1
        assert heard == []
        pending[0].callback(world.good(assignment))
        assert heard == list(range(200))
        assert world.asked == 1

    def test_refresh_asks_now(self, world: Any) -> None:
        """Asking for a refresh does not wait until it is due, and the Deferred fires when it is done."""
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        world.clock.advance(10)
        pending = world.hold_answers()
        done = refresher.refresh(assignment.fingerprint)
        assert (world.asked, done.called) == (2, False)
        pending[0].callback(DOWN)
        assert world.result(done) is None
        assert world.status(assignment).failures == 1

    def test_a_cancelled_waiter_cancels_nothing_else(self, world: Any) -> None:
        """Who loses patience is told so; the fetch goes on, and so do the others."""
        pending = world.hold_answers()
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        impatient, patient = (refresher.refresh(assignment.fingerprint) for _ in range(2))
        impatient.cancel()
        with pytest.raises(CancelledError):
            world.result(impatient)
        assert (world.fetcher.cancelled, patient.called) == (0, False)
        pending[0].callback(world.good(assignment))
        assert patient.called
        assert world.served(assignment)

    def test_refresh_where_nobody_is_to_be_asked(self, world: Any) -> None:
        """Asking for a refresh of a certificate without a responder is over at once."""
        refresher, assignment = world.make(), world.assign(world.leaf(responder_urls=[]))
        refresher.add(assignment)
        assert world.result(refresher.refresh(assignment.fingerprint)) is None

    def test_strangers_are_an_error(self, world: Any) -> None:
        """Asking about a certificate that was never added is a mistake of the caller."""
        refresher = world.make()
        with pytest.raises(KeyError):
            refresher.refresh(b"stranger")
        with pytest.raises(KeyError):
            refresher.status(b"stranger")

    def test_settled_with_the_first_staple(self, world: Any) -> None:
        """`settled` ends when the first staple is there, for each waiter by itself, and at once from then on."""
        pending = world.hold_answers()
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        waits = [Deferred.fromCoroutine(refresher.settled(assignment.fingerprint)) for _ in range(3)]
        waits[0].addErrback(lambda _: None).cancel()
        assert not waits[1].called
        pending[0].callback(world.good(assignment))
        assert all(wait.called for wait in waits)
        assert Deferred.fromCoroutine(refresher.settled(assignment.fingerprint)).called

    def test_settled_with_the_first_failure(self, world: Any) -> None:
        """`settled` ends with the first attempt, also if it failed: then nothing can be had for now."""
        world.fetcher.answer = lambda _: DOWN
        refresher, assignment = world.make(start=False), world.assign()
        refresher.add(assignment)
        wait = Deferred.fromCoroutine(refresher.settled(assignment.fingerprint))
        assert not wait.called
        refresher.startService()
        assert wait.called

    @pytest.mark.parametrize("urls", [[], [URL]])
    def test_settled_where_there_is_nothing_to_wait_for(self, world: Any, urls: list[str]) -> None:
        """Without a responder, and for a certificate that was removed, `settled` is over."""
        refresher, assignment = world.make(), world.assign(world.leaf(responder_urls=urls))
        refresher.add(assignment)
        refresher.remove(assignment.fingerprint)
        assert Deferred.fromCoroutine(refresher.settled(assignment.fingerprint)).called

    def test_settled_when_removed_meanwhile(self, world: Any) -> None:
        """Who waits for a certificate that is removed is let go, and its fetch is given up."""
        world.hold_answers()
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        wait = Deferred.fromCoroutine(refresher.settled(assignment.fingerprint))
        refresher.remove(assignment.fingerprint)
        assert wait.called
        assert world.fetcher.cancelled == 1

    def test_removed_certificates_are_asked_about_no_more(self, world: Any) -> None:
        """After `remove` nobody is asked; what is stored stays for the day the certificate comes back."""
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        refresher.remove(assignment.fingerprint)
        refresher.remove(assignment.fingerprint)
        world.clock.pump([DAY] * 10)
        assert world.asked == 1
        assert world.stored(assignment)

    def test_a_removed_certificate_can_come_back(self, world: Any) -> None:
        """A certificate that is added again has its stored staple at once."""
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        refresher.remove(assignment.fingerprint)
        world.cache.forget(assignment.fingerprint)
        refresher.add(assignment)
        assert world.served(assignment)
        assert world.asked == 1


class TestClock:
    def test_a_suspend_is_followed_by_a_refresh(self, world: Any) -> None:
        """When the wall clock leaps ahead, as after a suspend, what became due is asked for at the next tick."""
        assignment = world.assign()
        world.make().add(assignment)
        world.step = 3 * DAY
        world.clock.advance(0.5)
        assert world.asked == 2

    def test_a_clock_set_back_does_not_put_retries_off(self, world: Any) -> None:
        """After the clock was set back by a month, a retry that was 1 s away still is."""
        assignment = world.assign()
        world.fetcher.answer = lambda _: DOWN
        world.make().add(assignment)
        assert world.wait(assignment) == 1
        world.step = -30 * DAY
        world.clock.advance(0.5)
        assert world.wait(assignment) <= 1
        world.clock.advance(1.5)
        assert world.asked == 2

    def test_a_clock_set_back_does_not_put_refreshes_off(self, world: Any) -> None:
        """A refresh that was a day away is no further away after the clock was set back by a year."""
        assignment = world.assign()
        world.make().add(assignment)
        world.step = -365 * DAY
        world.clock.advance(0.5)
        assert world.wait(assignment) <= DAY

    def test_a_small_step_back_is_seen_in_the_long_run(self, world: Any) -> None:
        """A clock that is a few seconds behind the reactor's counts as set back, too."""
        assignment = world.assign()
        world.fetcher.answer = lambda _: DOWN
        world.make().add(assignment)
        world.clock.pump([0.5] * 20)
        due = world.status(assignment).next_attempt
        world.step = -3.0
        world.clock.advance(10)
        world.clock.advance(0.5)
        assert world.wait(assignment) <= 300
        assert due is not None

    def test_a_fetch_under_way_begins_anew_when_the_clock_is_set_back(self, world: Any) -> None:
        """A fetch whose time-outs may hang in the old time is given up, and asked again at once; that is no failure."""
        pending = world.hold_answers()
        assignment = world.assign()
        world.make().add(assignment)
        world.step = -DAY
        world.clock.advance(0.5)
        assert world.fetcher.cancelled == 1
        world.clock.advance(0.5)
        assert world.asked == 2
        pending[1].callback(world.good(assignment))
        assert world.served(assignment)
        assert world.refreshers[-1].totals == {"new": 1}

    def test_a_leaf_that_only_seemed_expired_is_asked_about_again(self, world: Any) -> None:
        """When the clock was wrong by years and is put right, certificates that seemed expired are taken up again."""
        assignment = world.assign()
        world.make().add(assignment)
        world.step = 1000 * DAY
        world.clock.advance(0.5)
        assert world.status(assignment).reason is Reason.STALE
        world.step = 0
        world.clock.advance(0.5)
        world.clock.advance(0.5)
        assert world.asked == 2
        assert world.served(assignment)
        assert world.status(assignment).reason is Reason.OK

    def test_stalled_after_a_minute_without_a_tick(self, world: Any) -> None:
        """A refresher that has not ticked for a minute says so; one that ticks, or does not run, does not."""
        refresher = world.make()
        assert not refresher.stalled
        refresher._ticker._loop.stop()
        world.clock.advance(60)
        assert not refresher.stalled
        world.clock.advance(1)
        assert refresher.stalled
        world.stop()
        assert not refresher.stalled

    def test_a_tick_that_fails_is_not_the_last(self, world: Any) -> None:
        """Whatever a tick raises is logged, and the next one comes."""
        calls: list[float] = []

        def tick(now: float) -> None:
            calls.append(now)
            raise ZeroDivisionError

        refresher = world.make(start=False)
        refresher._ticker._tick = tick
        refresher.startService()
        world.clock.pump([0.5] * 4)
        assert len(calls) == 5
        assert len(world.said(LogLevel.critical)) == 5


class TestStop:
    def test_a_stop_gives_fetches_up(self, world: Any) -> None:
        """Stopping cancels what is being fetched, lets those who wait go, and leaves no timer."""
        world.hold_answers()
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        waiter = refresher.refresh(assignment.fingerprint)
        world.stop()
        assert world.fetcher.cancelled == 1
        assert waiter.called
        assert world.clock.getDelayedCalls() == []

    def test_nothing_begins_after_a_stop(self, world: Any) -> None:
        """Those who were in line when it stopped are not asked about."""
        world.hold_answers()
        refresher = world.make()
        for assignment in many(world, 10):
            refresher.add(assignment)
        assert world.asked == 2
        world.stop()
        world.clock.pump([1.0] * 100)
        assert world.asked == 2

    def test_a_stopped_service_can_start_again(self, world: Any) -> None:
        """What was given up by a stop is taken up by the next start."""
        world.hold_answers()
        refresher = world.make()
        assignments = many(world, 10)
        for assignment in assignments:
            refresher.add(assignment)
        world.result(refresher.stopService())
        world.fetcher.answer = world.good
        refresher.startService()
        world.clock.advance(0.5)
        assert all(world.served(assignment) for assignment in assignments)

    def test_a_stop_waits_for_what_is_being_saved(self, world: Any) -> None:
        """Stopping is over when the last write is."""
        saved = Deferred()

        class SlowStore(type(world.store)):  # type: ignore[misc]
            async def save(self, *args: Any, **kwargs: Any) -> None:
                await saved
                await super().save(*args, **kwargs)

        world.store = SlowStore()
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        assert world.served(assignment)
        world.refreshers.clear()
        stopped = refresher.stopService()
        assert not stopped.called
        saved.callback(None)
        assert stopped.called
        assert world.stored(assignment)


def test_every_line_names_the_host(world: Any) -> None:
    """A line about a certificate names its first host names, what happened, what happens meanwhile, and when it goes on."""
    leaf = world.leaf("a.example", "b.example", "c.example", "d.example", "e.example")
    world.fetcher.answer = lambda _: DOWN
    world.make().add(world.assign(leaf))
    (line,) = world.said()
    assert "a.example, b.example, c.example and 2 more" in line
    assert "http://ocsp.example/: network: connection refused" in line
    assert "handshakes carry none" in line
    assert "2027-01-15 08:00:01 UTC" in line


def test_a_leaf_without_names_is_named_by_its_subject(world: Any) -> None:
    """A certificate without host names is named by its subject in the log."""
    ca = CertificateAuthority(now=world.now)
    leaf = ca.issue(common_name="only a subject", responder_urls=[URL])
    world.fetcher.answer = lambda _: DOWN
    world.make().add(world.assign(leaf))
    assert "CN=only a subject" in world.said()[0]
