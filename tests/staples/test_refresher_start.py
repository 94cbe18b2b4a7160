"""A start: what is found in the store, who is asked first, and where there is nobody to ask."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel

from staplesrv.staples.asking.fetched import Fetched
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.cache import Reason
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.issuer import issuer_key
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
        """Where the leaf says where its issuer is published, the fetcher is asked, and what it found is passed on."""
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
        assert refresher.issuer_found is not None
        world.pass_to_next(assignment)
        assert world.fetcher.questions[-1].assignment.target is not None

    def test_an_issuer_that_had_to_be_fetched_is_kept(self, world: Any) -> None:
        """After a restart with the CA out of reach its certificate comes out of the store, and the staple with it."""
        leaf = world.leaf(issuer_urls=["http://ca.example/ca.der"])
        assignment, full = Assignment.for_leaf(leaf.certificate, (), settings=world.settings), world.assign(leaf)
        fetched = world.fetcher._judge(full, world.good(full))
        world.fetcher.answer = lambda _: Fetched(fetched.response, URL, issuer=leaf.issuer)
        world.make().add(assignment)
        served = world.served(assignment)
        world.fetcher.answer = lambda _: DOWN
        found: list[Any] = []
        refresher = world.restart()
        refresher.issuer_found = lambda fingerprint, issuer: found.append((fingerprint, issuer))
        refresher.add(assignment)
        assert world.served(assignment) == served != b""
        assert found == [(leaf.fingerprint, leaf.issuer)]

    @pytest.mark.parametrize("stranger", [b"", b"junk", CertificateAuthority().pem])
    def test_a_stored_issuer_is_believed_if_it_signed_the_leaf(self, world: Any, stranger: bytes) -> None:
        """What stands in the issuer's place and did not sign the leaf is passed over."""
        leaf = world.leaf(issuer_urls=["http://ca.example/ca.der"])
        assignment = Assignment.for_leaf(leaf.certificate, (), settings=world.settings)
        save = world.store.save(issuer_key(leaf.fingerprint), stranger, expires=assignment.not_after)
        world.result(Deferred.fromCoroutine(save))
        world.store_now(world.assign(leaf), world.good(world.assign(leaf)))
        world.fetcher.answer = lambda _: DOWN
        world.make().add(assignment)
        assert world.served(assignment) == b""

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
