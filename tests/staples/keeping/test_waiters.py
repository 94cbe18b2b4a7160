"""Those who wait for one thing."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError

from staplesrv.staples.keeping.waiters import Waiters


def test_each_has_a_deferred_of_its_own() -> None:
    """Everybody who waits hears of it once, whatever the others did with their Deferreds."""
    waiters, heard = Waiters(), []
    for n in range(3):
        waiters.wait().addCallback(lambda _, n=n: heard.append(n))
    assert waiters
    waiters.fire()
    assert heard == [0, 1, 2]
    assert not waiters
    waiters.fire()
    assert heard == [0, 1, 2]


def test_who_cancels_is_off_the_list() -> None:
    """A cancelled waiter fails with `CancelledError`, and the others hear of it as before."""
    waiters, ends = Waiters(), []
    first, second = waiters.wait(), waiters.wait()
    first.addErrback(lambda failure: ends.append(failure.type))
    second.addCallback(ends.append)
    first.cancel()
    waiters.fire()
    assert ends == [CancelledError, None]


def test_one_may_cancel_another_on_hearing() -> None:
    """A waiter whose callback cancels the next one is no problem."""
    waiters, ends = Waiters(), []
    first, second = waiters.wait(), waiters.wait()
    second.addErrback(lambda failure: ends.append(failure.type))
    first.addCallback(lambda _: second.cancel())
    waiters.fire()
    assert ends == [CancelledError]


def test_who_joins_on_hearing_waits_for_the_next_time() -> None:
    """Waiting anew from within a callback does not fire at once."""
    waiters, heard = Waiters(), []

    def again(_: Any) -> None:
        heard.append("again")
        waiters.wait().addCallback(again)

    waiters.wait().addCallback(again)
    waiters.fire()
    assert heard == ["again"]
    waiters.fire()
    assert heard == ["again", "again"]
