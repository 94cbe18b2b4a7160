"""What it costs to ask a server with very many certificates how it is, and for how long it holds others up.

    python bench/status.py [--certificates 10000] [--rounds 10]

A server with a certificate for each of so many sites has all of them stapled, out of a warm disk cache, and is asked
for `/status` and `/metrics` over loopback. Measured are the CPU time of the process for one answer, the client in the
same process included, and the longest time that a call meant for every millisecond had to wait. That is CPU time, too:
what else runs on that core is no property of ours.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import treq
from many import write
from twisted.internet import task
from twisted.internet.defer import Deferred

from staplesrv.ops.admin_address import AdminAddress
from staplesrv.server.config import Configuration
from staplesrv.server.configuration.content import Folder
from staplesrv.server.configuration.listener import Listener
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.site import Site
from staplesrv.server.service import StaplesrvService
from staplesrv.staples.settings import Settings
from staplesrv.tls.site import SiteCertificate

LIMIT_PAUSE = 0.1
"""Seconds of CPU. Whoever connects meanwhile waits for so long."""


def configuration(directory: Path, count: int) -> Configuration:
    """So many sites, and a place to ask."""
    place = Place("bench")
    certificates = (
        SiteCertificate(directory / f"{number}-fullchain.pem", directory / f"{number}-privkey.pem")
        for number in range(count)
    )
    return Configuration(
        listeners=(Listener("tcp:0:interface=127.0.0.1"),),
        sites=tuple(Site(certificate, Folder(directory), place) for certificate in certificates),
        settings=Settings(),
        state_dir=directory / "state",
        file=None,
        place=place,
        admin=AdminAddress("127.0.0.1", 0),
    )


class Pauses:
    """Finds the longest time between two calls that are meant for every millisecond."""

    def __init__(self, reactor: Any) -> None:
        self.longest = 0.0
        self._last = time.process_time()
        self._calling = task.LoopingCall(self._look)
        self._calling.clock = reactor
        self._calling.start(0.001)

    def _look(self) -> None:
        now = time.process_time()
        self.longest = max(self.longest, now - self._last)
        self._last = now

    def stop(self) -> float:
        """Return it, in seconds."""
        self._look()
        self._calling.stop()
        return self.longest


async def ask(reactor: Any, url: str, rounds: int) -> float:
    """Ask so often, print what it cost, and return the longest pause, in the median.

    Once in a while Python looks for garbage among all objects that there are. That is the longest one of all.
    """
    taken, pauses, size = [], [], 0
    for _ in range(rounds):
        watch, cpu = Pauses(reactor), time.process_time()
        size = len(await (await treq.get(url)).content())
        taken.append(time.process_time() - cpu)
        pauses.append(watch.stop())
    cpu, pause = statistics.median(taken), statistics.median(pauses)
    print(
        f"{url.rpartition('/')[2]:8} {cpu * 1e3:5.0f} ms CPU, {size / 2**20:.1f} MiB; "
        f"longest pause {pause * 1e3:.0f} ms, once {max(pauses) * 1e3:.0f} ms"
    )
    return pause


async def measure(reactor: Any, directory: Path, count: int, rounds: int) -> None:
    """Start, ask, and print."""
    started: Deferred[Any] = Deferred()
    service = StaplesrvService(
        configuration(directory, count), reactor=reactor, state_dir=directory / "state", started=started.callback
    )
    service.privilegedStartService()
    service.startService()
    await started
    held = sum(one.stapled for one in (await service.status()).certificates)
    _, port = service.admin.addresses[0]
    pause = max([await ask(reactor, f"http://127.0.0.1:{port}/{page}", rounds) for page in ("status", "metrics")])
    await service.stopService()
    print(f"certificates {count}, with a staple {held}")
    if held < count:
        raise SystemExit("not every staple came out of the cache: this is not what was to be measured")
    if pause > LIMIT_PAUSE:
        raise SystemExit(f"over the limit of {LIMIT_PAUSE} s")


def in_reactor(do: Callable[[Any], Any]) -> None:
    """Run a coroutine under the reactor; what it raises ends the process."""
    task.react(lambda reactor: Deferred.fromCoroutine(do(reactor)))  # type: ignore[arg-type]


def main() -> None:
    """Make certificates, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--certificates", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=10)
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="staplesrv-bench-") as directory:
        write(Path(directory), chosen.certificates)
        in_reactor(lambda reactor: measure(reactor, Path(directory), chosen.certificates, chosen.rounds))


if __name__ == "__main__":
    main()
