"""The refresher from outside: when responders are asked again, and what handshakes get."""

from __future__ import annotations

import timeit
from datetime import timedelta
from typing import Any

from staplesrv.staples.cache import Reason
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.testing import CertificateAuthority

HOUR = 3600.0
DAY = 24 * HOUR
URL = "http://ocsp.example/"
DOWN = FetchFailed(FailureKind.NETWORK, "connection refused", url=URL)


class TestRefreshing:
    def test_a_staple_is_refreshed_after_a_day(self, world: Any) -> None:
        """A response for a week is asked for again after 24 h, telling what is held; the new one is served."""
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
        """Past its cut-off the newer answer is no staple any more: a valid one that is older is better than none."""
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


def test_every_line_names_the_host(world: Any) -> None:
    """A line names the first host names, what happened, what happens meanwhile, and when it goes on."""
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
