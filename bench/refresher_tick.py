"""How long a tick of the refresher takes with nothing due.

    python bench/refresher_tick.py [--certificates 10000] [--ticks 2000]

Every certificate holds a verified staple, out of a store in memory; the ticks cover minutes, so nothing falls due.
Measured is the whole beat as it runs twice a second: the LoopingCall, the look at the clocks, the look at the queue.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from many import make
from twisted.internet.task import Clock

from staplesrv import sources
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.cache import Reason, StapleCache
from staplesrv.staples.keeping.ticker import TICK
from staplesrv.staples.refresher import Refresher
from staplesrv.staples.settings import Settings
from staplesrv.staples.stores.memory import MemoryStore

LIMIT_US = 1000


class NoFetcher:
    """Nobody is to be asked here."""

    async def fetch(self, assignment: Assignment, **_options: Any) -> Any:
        """Fail: the measurement would not be one of nothing due."""
        raise AssertionError(f"{assignment.responder_urls} asked")


async def fill(store: MemoryStore, count: int) -> list[Assignment]:
    """Make certificates, and put their responses into the store."""
    settings = Settings()
    assignments = []
    for leaf, response_der in make(count):
        assignments.append(Assignment.for_leaf(leaf.certificate, leaf.chain, settings=settings))
        await store.save(leaf.fingerprint, response_der, expires=leaf.certificate.not_valid_after_utc)
    return assignments


def run(coroutine: Any) -> Any:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def beats(clock: Clock, count: int) -> list[float]:
    """Advance by so many ticks; microseconds of CPU that each took."""
    taken = []
    for _ in range(count):
        begun = time.thread_time()
        clock.advance(TICK)
        taken.append((time.thread_time() - begun) * 1e6)
    return taken


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--certificates", type=int, default=10_000)
    parser.add_argument("--ticks", type=int, default=2_000)
    chosen = parser.parse_args()
    store, cache, clock = MemoryStore(), StapleCache(), Clock()
    assignments = run(fill(store, chosen.certificates))
    now = sources.wall_clock()
    refresher = Refresher(
        reactor=clock,
        cache=cache,
        store=store,
        fetcher=NoFetcher(),
        settings=Settings(),
        # The two clocks go together: apart they would look as if somebody had set one of them.
        wall_clock=lambda: now + clock.seconds(),
    )
    for assignment in assignments:
        refresher.add(assignment)
    refresher.startService()
    while any(entry.reason is Reason.PENDING for entry in cache):
        clock.advance(0)
    held = sum(entry.fresh(now) for entry in cache)
    taken = beats(clock, chosen.ticks)
    late = statistics.quantiles(taken, n=100)[-1]
    asked = sum(refresher.totals.values())
    refresher.stopService()

    print(f"certificates with a staple    {held:>10}")
    print(f"ticks                         {len(taken):>10}")
    print(f"median, CPU time              {statistics.median(taken):>10.1f} us")
    print(f"99 %                          {late:>10.1f} us")
    print(f"longest                       {max(taken):>10.1f} us")
    print(f"requests                      {asked:>10}")
    if held < chosen.certificates or asked:
        raise SystemExit(
            "not every certificate had a staple, or something was due: this is not what was to be measured"
        )
    if late >= LIMIT_US:
        raise SystemExit(f"a tick takes {LIMIT_US} us or more")


if __name__ == "__main__":
    main()
