"""What the refresher does when the answer is no good one: the table of docs/stapling.md, seen from outside."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from twisted.logger import LogLevel

from staplesrv.staples.assignment import Assignment
from staplesrv.staples.cache import Reason
from staplesrv.staples.failure import FailureKind, FetchFailed

HOUR = 3600.0
DAY = 24 * HOUR
URL = "http://ocsp.example/"


def failed(kind: FailureKind, retry_after: float | None = None) -> FetchFailed:
    """A failure of this kind."""
    wait = None if retry_after is None else timedelta(seconds=retry_after)
    return FetchFailed(kind, "it went wrong", url=URL, retry_after=wait)


def waits(world: Any, assignment: Assignment, count: int) -> list[float]:
    """Let so many attempts happen, and say how long the wait was before each."""
    found = []
    for _ in range(count):
        found.append(world.wait(assignment))
        world.clock.advance(found[-1])
    return found


def with_staple(world: Any, *, life: float = 7 * DAY) -> Assignment:
    """A certificate with a staple in hand, made just now."""
    assignment: Assignment = world.assign()
    world.fetcher.answer = lambda a: world.respond(a, life=life)
    world.make().add(assignment)
    assert world.served(assignment)
    return assignment


class TestNothingToServe:
    def test_one_second_doubling_to_five_minutes(self, world: Any) -> None:
        """With nothing to serve the waits are 1, 2, 4 ... 256, then 300 s."""
        assignment = world.assign()
        world.fetcher.answer = lambda _: failed(FailureKind.NETWORK)
        world.make().add(assignment)
        assert waits(world, assignment, 11) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]

    def test_the_responder_comes_back_after_two_seconds(self, world: Any) -> None:
        """A responder that is back after 2 s has been asked successfully before 4 s have passed."""
        assignment = world.assign()
        world.fetcher.answer = lambda a: failed(FailureKind.NETWORK) if world.clock.seconds() < 2 else world.good(a)
        world.make().add(assignment)
        world.clock.pump([0.5] * 8)
        assert world.served(assignment)

    @pytest.mark.parametrize("kind", [FailureKind.REFUSED, FailureKind.UNAUTHORIZED, FailureKind.MALFORMED_REQUEST])
    def test_a_refusal_is_asked_about_as_often(self, world: Any, kind: FailureKind) -> None:
        """With nothing to serve a refusal does not lengthen the wait."""
        assignment = world.assign()
        world.fetcher.answer = lambda _: failed(kind)
        world.make().add(assignment)
        assert waits(world, assignment, 3) == [1, 2, 4]

    def test_retry_after_is_honoured(self, world: Any) -> None:
        """When the responder asks for ten minutes it gets them."""
        assignment = world.assign()
        world.fetcher.answer = lambda _: failed(FailureKind.HTTP_STATUS, 600)
        world.make().add(assignment)
        assert world.wait(assignment) == 600

    @pytest.mark.parametrize(
        ("kind", "reason"),
        [
            (FailureKind.NETWORK, Reason.FETCH_FAILED),
            (FailureKind.HTTP_STATUS, Reason.FETCH_FAILED),
            (FailureKind.BAD_RESPONSE, Reason.FETCH_FAILED),
            (FailureKind.TRY_LATER, Reason.FETCH_FAILED),
            (FailureKind.REFUSED, Reason.FETCH_FAILED),
            (FailureKind.VERIFY_FAILED, Reason.VERIFY_FAILED),
            (FailureKind.FUTURE, Reason.VERIFY_FAILED),
            (FailureKind.STALE, Reason.STALE),
            (FailureKind.NO_ISSUER, Reason.NO_ISSUER),
        ],
    )
    def test_the_reason(self, world: Any, kind: FailureKind, reason: Reason) -> None:
        """Where there is no staple, the entry says why."""
        assignment = world.assign()
        world.fetcher.answer = lambda _: failed(kind)
        world.make().add(assignment)
        assert world.entry(assignment).reason is world.status(assignment).reason is reason
        assert world.served(assignment) == b""


class TestStapleInHand:
    @pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind is not FailureKind.NO_ISSUER])
    def test_every_failure_keeps_it(self, world: Any, kind: FailureKind) -> None:
        """Whatever goes wrong, the staple held is served to its cut-off, and not beyond it."""
        assignment = with_staple(world)
        first = world.served(assignment)
        world.fetcher.answer = lambda _: failed(kind)
        world.clock.pump([600.0] * (6 * 24 * 7 - 1))
        assert world.served(assignment) == first
        assert world.entry(assignment).reason is Reason.OK
        world.clock.advance(300)
        assert world.served(assignment) == b""
        assert world.status(assignment).reason is not Reason.OK

    def test_a_minute_doubling_to_an_hour(self, world: Any) -> None:
        """With a staple in hand the waits are 1, 2, 4 ... 32 minutes, then an hour."""
        assignment = with_staple(world)
        world.fetcher.answer = lambda _: failed(FailureKind.NETWORK)
        world.clock.advance(DAY)
        assert waits(world, assignment, 8) == [60, 120, 240, 480, 960, 1920, 3600, 3600]

    def test_an_eighth_as_the_cut_off_nears(self, world: Any) -> None:
        """Near the cut-off the wait is an eighth of what is left, but no less than a minute."""
        assignment = with_staple(world)
        world.fetcher.answer = lambda _: failed(FailureKind.NETWORK)
        world.clock.pump([60.0] * (60 * 24 * 7 - 5 - 60))
        left = (world.status(assignment).held.cut_off - world.now).total_seconds()
        assert 60 <= world.wait(assignment) <= left / 8 + 60

    def test_a_refusal_waits_an_hour_doubling_to_twelve(self, world: Any) -> None:
        """With a staple in hand a refusal is asked about again after 1, 2, 4, 8, then each 12 hours."""
        assignment = with_staple(world)
        world.fetcher.answer = lambda _: failed(FailureKind.REFUSED)
        world.clock.advance(DAY)
        assert waits(world, assignment, 6) == [HOUR * n for n in (1, 2, 4, 8, 12, 12)]

    def test_counters_fall_back_on_a_verified_answer(self, world: Any) -> None:
        """After an outage and one good answer the next failure is the first again."""
        assignment = with_staple(world)
        world.fetcher.answer = lambda _: failed(FailureKind.NETWORK)
        world.clock.advance(DAY)
        waits(world, assignment, 5)
        world.fetcher.answer = world.good
        world.pass_to_next(assignment)
        assert (world.status(assignment).failures, world.status(assignment).last_failure) == (0, "")
        world.fetcher.answer = lambda _: failed(FailureKind.NETWORK)
        world.clock.advance(DAY)
        assert world.wait(assignment) == 60

    def test_retry_after_does_not_cost_the_staple(self, world: Any) -> None:
        """A Retry-After is honoured for no more than a quarter of what is left to the cut-off."""
        assignment = with_staple(world, life=20 * HOUR)
        world.fetcher.answer = lambda _: failed(FailureKind.HTTP_STATUS, 6 * HOUR)
        world.pass_to_next(assignment)
        left = (world.status(assignment).held.cut_off - world.now).total_seconds()
        assert world.wait(assignment) == pytest.approx(left / 4, abs=1)


class TestYoungLeaf:
    def test_unauthorized_is_quiet(self, world: Any) -> None:
        """A certificate of a minute that the responder does not know yet is asked about after 60, 120, 240, 300 s."""
        assignment = world.assign(not_before=world.now - timedelta(minutes=1))
        world.fetcher.answer = lambda _: failed(FailureKind.UNAUTHORIZED)
        world.make().add(assignment)
        assert waits(world, assignment, 5) == [60, 120, 240, 300, 300]
        assert world.said() == []
        assert world.status(assignment).reason is Reason.PENDING

    def test_an_hour_later_it_is_a_failure(self, world: Any) -> None:
        """What is still unauthorized when the certificate is an hour old is said, once."""
        assignment = world.assign(not_before=world.now)
        world.fetcher.answer = lambda _: failed(FailureKind.UNAUTHORIZED)
        world.make().add(assignment)
        world.clock.pump([60.0] * 80)
        assert len(world.said(LogLevel.warn)) == 1
        assert world.status(assignment).reason is Reason.FETCH_FAILED

    def test_unknown_is_quiet_and_keeps_all(self, world: Any) -> None:
        """In its first hour a certificate may be unknown five times without losing its staple."""
        assignment = world.assign(not_before=world.now)
        world.make().add(assignment)
        world.fetcher.answer = lambda a: world.respond(a, "unknown")
        for _ in range(5):
            world.refreshers[-1].refresh(assignment.fingerprint)
        assert world.served(assignment)
        assert world.said(LogLevel.warn) == []


class TestUnknown:
    def test_kept_twice_dropped_at_the_third(self, world: Any) -> None:
        """Two answers "unknown" leave the staple, the third one drops it, here and in the store; each costs 300 s."""
        assignment = with_staple(world)
        world.fetcher.answer = lambda a: world.respond(a, "unknown")
        world.clock.advance(DAY)
        assert world.served(assignment)
        assert waits(world, assignment, 1) == [300]
        assert world.served(assignment)
        assert waits(world, assignment, 1) == [300]
        assert world.served(assignment) == b""
        assert world.stored(assignment) is None
        assert world.status(assignment).reason is Reason.UNKNOWN
        assert waits(world, assignment, 2) == [300, 300]

    def test_an_outage_in_between_does_not_count(self, world: Any) -> None:
        """An outage between the answers neither counts as one nor makes the count begin anew."""
        assignment = with_staple(world)
        says = iter(["unknown", None, "unknown", None, "unknown"])

        def answer(a: Assignment) -> Any:
            status = next(says)
            return world.respond(a, status) if status else failed(FailureKind.NETWORK)

        world.fetcher.answer = answer
        kept = []
        for _ in range(5):
            world.pass_to_next(assignment)
            kept.append(bool(world.served(assignment)))
        assert kept == [True, True, True, True, False]

    def test_good_makes_the_count_begin_anew(self, world: Any) -> None:
        """After a good answer two more "unknown" leave the staple again."""
        assignment = with_staple(world)
        for status in ("unknown", "unknown", "good", "unknown", "unknown"):
            world.fetcher.answer = lambda a, status=status: world.respond(a, status)
            world.pass_to_next(assignment)
        assert world.served(assignment)

    def test_dropped_does_not_come_back_out_of_the_store(self, world: Any) -> None:
        """A dropped staple stays dropped where the store can't be deleted from."""
        assignment = with_staple(world)

        async def remove(key: bytes) -> None:
            """Nothing goes."""

        world.store.remove = remove
        world.fetcher.answer = lambda a: world.respond(a, "unknown")
        for _ in range(3):
            world.pass_to_next(assignment)
        assert world.stored(assignment)
        world.pass_to_next(assignment)
        assert world.served(assignment) == b""

    def test_a_good_answer_is_served_again(self, world: Any) -> None:
        """When the responder says good again, also with an answer from before it said unknown, that is served."""
        assignment = with_staple(world)
        world.fetcher.answer = lambda a: world.respond(a, "unknown")
        for _ in range(3):
            world.pass_to_next(assignment)
        world.fetcher.answer = lambda a: world.respond(a, age=HOUR)
        world.pass_to_next(assignment)
        assert world.served(assignment) == world.stored(assignment) != b""
        assert world.status(assignment).reason is Reason.OK


class TestRevoked:
    def test_dropped_at_once(self, world: Any) -> None:
        """A revoked certificate has no staple from that moment, and one critical line says so."""
        assignment = with_staple(world)
        world.fetcher.answer = lambda a: world.respond(a, "revoked")
        world.clock.advance(DAY)
        assert world.served(assignment) == b""
        status = world.status(assignment)
        assert (status.reason, status.held) == (Reason.REVOKED, None)
        assert status.revoked.status == "revoked"
        (line,) = world.said(LogLevel.critical)
        assert "www.example" in line
        assert "revoked at 2027-01-15" in line

    def test_asked_again_hourly(self, world: Any) -> None:
        """A revoked certificate is asked about each hour, also while the responder fails; the reason stays."""
        assignment = with_staple(world)
        world.fetcher.answer = lambda a: world.respond(a, "revoked")
        world.clock.advance(DAY)
        assert waits(world, assignment, 2) == [HOUR, HOUR]
        world.fetcher.answer = lambda _: failed(FailureKind.NETWORK)
        assert waits(world, assignment, 2) == [HOUR, HOUR]
        assert world.entry(assignment).reason is Reason.REVOKED

    def test_nothing_older_replaces_it(self, world: Any) -> None:
        """A good answer that is older than the revocation, or as old, is ignored; a newer one lifts it."""
        assignment = with_staple(world)
        world.fetcher.answer = lambda a: world.respond(a, "revoked")
        world.clock.advance(DAY)
        since = world.clock.seconds()
        world.fetcher.answer = lambda a: world.respond(a, age=world.clock.seconds() - since + 1)
        world.pass_to_next(assignment)
        world.fetcher.answer = lambda a: world.respond(a, age=world.clock.seconds() - since)
        world.pass_to_next(assignment)
        assert (world.served(assignment), world.status(assignment).ignored) == (b"", 2)
        assert world.entry(assignment).reason is Reason.REVOKED
        world.fetcher.answer = world.good
        world.pass_to_next(assignment)
        assert world.served(assignment)
        assert world.status(assignment).revoked is None

    def test_remembered_after_a_restart(self, world: Any) -> None:
        """The verdict is stored: after a restart an older good answer is not served, however it comes."""
        assignment = with_staple(world)
        good = world.served(assignment)
        world.fetcher.answer = lambda a: world.respond(a, "revoked")
        world.clock.advance(DAY)
        world.fetcher.answer = lambda _: good
        world.restart().add(assignment)
        assert world.status(assignment).reason is Reason.REVOKED
        assert world.asked == 2
        world.pass_to_next(assignment)
        assert (world.asked, world.served(assignment)) == (3, b"")

    def test_remembered_beyond_its_own_end(self, world: Any) -> None:
        """A stored revocation counts after its nextUpdate, too: it was sound in its time."""
        assignment = with_staple(world)
        older = world.respond(assignment, life=30 * DAY)
        world.fetcher.answer = lambda a: world.respond(a, "revoked", life=DAY)
        world.clock.advance(DAY)
        world.stop()
        world.clock.advance(3 * DAY)
        world.fetcher.answer = lambda _: older
        world.make().add(assignment)
        assert world.status(assignment).reason is Reason.REVOKED
        world.pass_to_next(assignment)
        assert world.served(assignment) == b""

    def test_remembered_by_a_new_assignment(self, world: Any) -> None:
        """A reload does not make the verdict forgotten, be there a store or not."""
        leaf = world.leaf()
        assignment = world.assign(leaf)
        world.fetcher.answer = lambda a: world.respond(a, "revoked")
        refresher = world.make()
        refresher.add(assignment)
        world.forget(assignment)
        moved = Assignment.for_leaf(
            leaf.certificate, leaf.chain, responder="http://x.example/", settings=world.settings
        )
        refresher.add(moved)
        assert world.status(moved).reason is Reason.REVOKED

    def test_when_the_verdict_can_not_be_saved_the_staple_goes(self, world: Any) -> None:
        """On a disk that is full but can be deleted from, no restart finds the good answer from before."""
        assignment = with_staple(world)
        world.break_store("save")
        world.fetcher.answer = lambda a: world.respond(a, "revoked")
        world.clock.advance(DAY)
        assert world.stored(assignment) is None

    def test_an_older_revocation_is_ignored(self, world: Any) -> None:
        """A revocation older than the good answer held (a hold that was lifted) changes nothing."""
        assignment = with_staple(world)
        world.fetcher.answer = lambda a: world.respond(a, "revoked", age=2 * DAY)
        world.clock.advance(DAY)
        assert world.served(assignment)
        assert world.status(assignment).ignored == 1

    def test_the_last_state_counts_for_the_reader(self, world: Any) -> None:
        """While a certificate is revoked, handshakes go without a staple for that reason."""
        assignment = with_staple(world)
        world.fetcher.answer = lambda a: world.respond(a, "revoked")
        world.clock.advance(DAY)
        assert not world.served(assignment)
        assert world.entry(assignment).reason_at(world.wall()) is Reason.REVOKED


class TestLog:
    def test_repeated_failures_are_not_repeated_lines(self, world: Any) -> None:
        """An outage of two days is said at its start and after 1, 3, 7, 15 and 31 hours; its end once, at info."""
        assignment = with_staple(world)
        world.clock.advance(DAY - 1)
        world.said()
        world.fetcher.answer = lambda _: failed(FailureKind.NETWORK)
        world.clock.pump([60.0] * (48 * 60))
        lines = world.said()
        assert len(lines) == 6
        assert all("the one held is good until 2027-01-22 07:55:00 UTC" in line for line in lines)
        world.fetcher.answer = world.good
        world.pass_to_next(assignment)
        (line,) = world.said()
        assert "in order again" in line

    def test_good_news_is_no_news(self, world: Any) -> None:
        """A certificate that is refreshed for a month without trouble is not mentioned."""
        with_staple(world)
        world.clock.pump([600.0] * (6 * 24 * 30))
        assert world.said() == []

    def test_a_bad_signer_is_an_error_that_names_it(self, world: Any) -> None:
        """A response that does not verify is an error in the log."""
        world.fetcher.answer = lambda _: FetchFailed(FailureKind.VERIFY_FAILED, "bad-signature: CN=mallory", url=URL)
        world.make().add(world.assign())
        (line,) = world.said(LogLevel.error)
        assert "CN=mallory" in line

    def test_a_response_from_the_future_hints_at_the_clock(self, world: Any) -> None:
        """A response from the future comes with a hint."""
        world.fetcher.answer = lambda _: failed(FailureKind.FUTURE)
        world.make().add(world.assign())
        assert "clock" in world.said()[0]


class TestOurOwnBugs:
    def test_a_fetcher_that_breaks_is_asked_again(self, world: Any) -> None:
        """An error that should not be possible is logged with its traceback, and counts as a failure like any other."""
        assignment = world.assign()
        world.fetcher.answer = lambda _: ZeroDivisionError("oops")
        world.make().add(assignment)
        assert len(world.said(LogLevel.critical)) == 1
        assert "oops" in world.status(assignment).last_failure
        world.fetcher.answer = world.good
        world.pass_to_next(assignment)
        assert world.served(assignment)

    def test_a_bug_about_what_was_stored_stops_nothing(self, world: Any) -> None:
        """A verification that stumbles over what was stored is logged, and the responder is asked."""

        def verify(*args: Any, **kwargs: Any) -> Any:
            raise ZeroDivisionError

        assignment = world.assign()
        world.store_now(assignment, b"odd")
        refresher = world.make(verify=verify)
        refresher.add(assignment)
        assert world.said(LogLevel.critical)
        world.forget(assignment)
        world.clock.pump([0.5] * 10)
        assert world.served(assignment)

    def test_a_cancellation_from_elsewhere_is_a_failure(self, world: Any) -> None:
        """A fetch that somebody else cancels does not end the asking."""
        assignment = world.assign()
        pending = world.hold_answers()
        world.make().add(assignment)
        pending[0].cancel()
        assert world.wait(assignment) == 1
        assert world.status(assignment).failures == 1

    def test_one_bad_certificate_does_not_cost_the_others_theirs(self, world: Any) -> None:
        """A certificate that makes the refresher itself stumble is logged, and the others are refreshed as ever."""
        good, bad = world.assign(), world.assign(world.leaf("bad.example"))
        refresher = world.make()
        refresher.add(bad)
        refresher.add(good)
        refresher._cases[bad.fingerprint].assignment = None
        world.clock.advance(DAY)
        assert [question.assignment for question in world.fetcher.questions[2:]] == [good]
        assert world.said(LogLevel.critical)
