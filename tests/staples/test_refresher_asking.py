"""Those who ask for a refresh or wait for one, and the end of the service."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from staplesrv.staples.assignment import Assignment
from staplesrv.staples.failure import FailureKind, FetchFailed

HOUR = 3600.0
DAY = 24 * HOUR
URL = "http://ocsp.example/"
DOWN = FetchFailed(FailureKind.NETWORK, "connection refused", url=URL)


def many(world: Any, count: int, **options: Any) -> list[Assignment]:
    """Assignments of different leaves."""
    return [world.assign(world.leaf(f"host{n}.example", **options)) for n in range(count)]


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

    def test_settled_with_patience(self, world: Any) -> None:
        """With patience `settled` also waits for later attempts, which come by their back-off and no sooner."""
        world.fetcher.answer = lambda _: DOWN
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        wait = Deferred.fromCoroutine(refresher.settled(assignment.fingerprint, timedelta(seconds=10)))
        world.pass_to_next(assignment)
        asked = world.asked
        assert not wait.called
        world.fetcher.answer = world.good
        world.pass_to_next(assignment)
        assert wait.called
        assert world.served(assignment)
        assert world.asked == asked + 1

    def test_patience_ends_where_hope_does(self, world: Any) -> None:
        """When the next attempt would begin after its end, `settled` is over; so it is when the service stops."""
        world.fetcher.answer = lambda _: DOWN
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        short = Deferred.fromCoroutine(refresher.settled(assignment.fingerprint, timedelta(seconds=0.1)))
        long = Deferred.fromCoroutine(refresher.settled(assignment.fingerprint, timedelta(hours=1)))
        assert short.called
        assert not long.called
        world.stop()
        assert long.called

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

    def test_removed_in_line_is_not_asked_about(self, world: Any) -> None:
        """A certificate that is removed while it waits for its turn is passed over, and its slot is the next one's."""
        pending = world.hold_answers()
        refresher, assignments = world.make(), many(world, 4)
        for assignment in assignments:
            refresher.add(assignment)
        refresher.remove(assignments[2].fingerprint)
        pending[0].callback(world.good(assignments[0]))
        assert [question.assignment for question in world.fetcher.questions] == [*assignments[:2], assignments[3]]

    @pytest.mark.parametrize("method", ["lease", "load", "load_many", "save"])
    def test_removed_while_the_store_is_busy(self, world: Any, method: str) -> None:
        """Whatever the store is being asked when a certificate is removed, nobody is asked about it afterwards."""
        busy: Deferred[None] = Deferred()
        call = getattr(world.store, method)

        async def slow(*args: Any, **kwargs: Any) -> Any:
            await busy
            return await call(*args, **kwargs)

        setattr(world.store, method, slow)
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        asked = world.asked
        refresher.remove(assignment.fingerprint)
        busy.callback(None)
        world.clock.pump([1.0] * 10)
        assert world.asked == asked == (1 if method == "save" else 0)

    def test_a_removed_certificate_can_come_back(self, world: Any) -> None:
        """A certificate that is added again has its stored staple at once."""
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        refresher.remove(assignment.fingerprint)
        world.cache.forget(assignment.fingerprint)
        refresher.add(assignment)
        assert world.served(assignment)
        assert world.asked == 1


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

    def test_a_stop_while_the_store_is_busy(self, world: Any) -> None:
        """A stop while the lease is being asked for waits for it, gives it back, and asks nobody."""
        busy: Deferred[None] = Deferred()
        call = world.store.lease

        async def lease(key: bytes) -> Any:
            await busy
            return await call(key)

        world.store.lease = lease
        refresher, assignment = world.make(), world.assign()
        refresher.add(assignment)
        stopped = world.refreshers.pop().stopService()
        assert not stopped.called
        busy.callback(None)
        assert stopped.called
        assert world.asked == 0
        assert world.result(Deferred.fromCoroutine(call(assignment.fingerprint))) is not None

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
