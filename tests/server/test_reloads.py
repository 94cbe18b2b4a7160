"""Reloads, one after the other."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher

from staplesrv.ops.status import Reload
from staplesrv.server.reloads import Reloads

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def failed(line: str) -> Reload:
    """One that did not come to its end."""
    return Reload(NOON, good=False, line=line)


class Work:
    """Reloads that end when the test says so."""

    def __init__(self) -> None:
        self.begun: list[Deferred[Reload]] = []
        self.reloads = Reloads(self.run, failed)

    async def run(self) -> Reload:
        """Wait for the test."""
        self.begun.append(Deferred())
        return await self.begun[-1]

    def end(self, line: str) -> None:
        """End the one under way."""
        self.begun[-1].callback(Reload(NOON, good=True, line=line))


def told(asked: Deferred[Reload]) -> list[str]:
    """What somebody was told, if anything."""
    lines: list[str] = []
    asked.addCallback(lambda reload: lines.append(reload.line))
    return lines


def test_whoever_asks_is_told_what_became_of_it() -> None:
    """And so is everybody who asks for the last one later."""
    work = Work()
    first = told(work.reloads.soon())
    assert (first, work.reloads.last) == ([], None)
    assert work.reloads.under_way is not None
    work.end("one")
    assert first == ["one"]
    assert work.reloads.last is not None
    assert (work.reloads.last.line, work.reloads.under_way) == ("one", None)


def test_whoever_asks_meanwhile_gets_the_next_one() -> None:
    """The one under way may have read the old file; one more does for all of them."""
    work = Work()
    first = told(work.reloads.soon())
    second, third = told(work.reloads.soon()), told(work.reloads.soon())
    assert len(work.begun) == 1
    work.end("one")
    assert (first, second, third, len(work.begun)) == (["one"], [], [], 2)
    work.end("two")
    assert (second, third, len(work.begun)) == (["two"], ["two"], 2)


def test_stopping_breaks_off_what_is_under_way() -> None:
    """Nobody waits for ever, and no other one begins."""
    work = Work()
    first, second = told(work.reloads.soon()), told(work.reloads.soon())
    work.reloads.stop()
    assert (first, second, len(work.begun)) == (["the server stops"], ["the server stops"], 1)


def test_stopping_with_nothing_under_way() -> None:
    """Does nothing."""
    work = Work()
    work.reloads.stop()
    assert work.reloads.last is None


def test_a_bug_is_told_and_logged() -> None:
    """And is no end of reloads."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        work = Work()
        first = told(work.reloads.soon())
        work.begun[-1].errback(ZeroDivisionError())
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert first == ["a bug of ours, which is in the log; what was served before goes on"]
    assert [event["log_failure"].check(ZeroDivisionError) for event in events] == [ZeroDivisionError]
    second = told(work.reloads.soon())
    work.end("two")
    assert second == ["two"]


@pytest.mark.parametrize("line", ["one", ""])
def test_one_that_takes_no_time(line: str) -> None:
    """Is told at once."""

    async def run() -> Reload:
        return Reload(NOON, good=True, line=line)

    reloads = Reloads(run, failed)
    assert told(reloads.soon()) == [line]
    assert told(reloads.soon()) == [line]
