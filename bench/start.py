"""How long a server with very many certificates takes to start from a warm disk cache, and how much memory they take.

    python bench/start.py [--certificates 10000] [--key ec|rsa]

Certificates are made first, and written with their keys and with the responses of an earlier run. Then a fresh process,
held to one core, reads all of them, makes their contexts, verifies every response again and waits until all are shown.
Nobody answers at the responder's address.

Memory is the growth of the process's resident size over that: contexts, certificates, staples, and what the refresher
keeps, without the interpreter and its modules, which are loaded before.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from many import write
from twisted.internet import task
from twisted.internet.defer import Deferred

from staplesrv import sources
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.stapler import Stapler

LIMIT_SECONDS = 30
LIMIT_KIB = 64
PATIENCE = 300


def resident_kib() -> int:
    """The resident size of this process."""
    gc.collect()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0])


def sites(directory: Path, count: int) -> list[SiteCertificate]:
    """What a configuration would name."""
    return [
        SiteCertificate(directory / f"{number}-fullchain.pem", directory / f"{number}-privkey.pem")
        for number in range(count)
    ]


async def measure(reactor: Any, directory: Path, count: int) -> None:
    """Start, and print."""
    before = resident_kib()
    wall, cpu = time.monotonic(), time.process_time()
    wanted = sites(directory, count)
    stapler = Stapler(wanted, state_dir=directory / "state", reactor=reactor)
    stapler.load()
    loaded = time.process_time() - cpu
    stapler.startService()
    await stapler.ready()
    ready, ready_cpu = time.monotonic() - wall, time.process_time() - cpu

    def fresh() -> int:
        return sum(entry.fresh(sources.wall_clock()) for entry in stapler.stage.cache)

    held_when_ready = fresh()
    while fresh() < count and time.monotonic() - wall < PATIENCE:
        await task.deferLater(reactor, 0.05)
    took, took_cpu = time.monotonic() - wall, time.process_time() - cpu
    each = (resident_kib() - before) / count
    held = fresh()
    asked = sum(stapler.keeper.refresher.totals.values())
    await stapler.stopService()

    print(f"certificates                  {count:>10}")
    print(f"files read, contexts made     {loaded:>10.1f} s CPU")
    print(f"ready to listen               {ready:>10.1f} s, {ready_cpu:.1f} s CPU, {held_when_ready} with a staple")
    print(f"every staple verified         {took:>10.1f} s, {took_cpu:.1f} s CPU, {held} with a staple")
    print(f"memory per certificate        {each:>10.1f} KiB")
    print(f"memory before                 {before / 1024:>10.1f} MiB")
    print(f"answers and failures          {asked:>10}")
    if held < count or asked:
        raise SystemExit("not every staple came out of the cache: this is not what was to be measured")
    # By the CPU time: what else runs on that core is no property of ours.
    if took_cpu >= LIMIT_SECONDS or each > LIMIT_KIB:
        raise SystemExit(f"over the limit of {LIMIT_SECONDS} s of CPU or {LIMIT_KIB} KiB")


def in_reactor(do: Callable[[Any], Awaitable[None]]) -> None:
    """Run a coroutine under the reactor; what it raises ends the process."""
    task.react(lambda reactor: Deferred.fromCoroutine(do(reactor)))  # type: ignore[arg-type]


def main() -> None:
    """Make certificates, then measure in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--certificates", type=int, default=10_000)
    parser.add_argument("--key", choices=["ec", "rsa"], default="ec")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        in_reactor(lambda reactor: measure(reactor, chosen.measure, chosen.certificates))
        return
    with tempfile.TemporaryDirectory(prefix="staplesrv-bench-") as directory:
        write(Path(directory), chosen.certificates, chosen.key)
        command = [sys.executable, __file__, "--measure", directory, "--certificates", str(chosen.certificates)]
        raise SystemExit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
