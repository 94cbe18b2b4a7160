"""What two workers on two cores do, against one process on one.

    python bench/workers.py [--rounds 6]
    python bench/workers.py --reuse-port [--rounds 6]

Both are `twistd staplesrv` with one site of a single small file. h2load asks as fast as it is answered, with a thread
for each of the server's cores and on the same ones: it keeps connections for the requests, and makes one for each
handshake. Counted are the CPU time of the process tree, and how much is done in a second.

With `--reuse-port` it is two workers with one socket against two with a socket for each: how 1,000 connections are
parted between them, what a handshake costs, and how long clients wait while one worker stands still for a second.

Needs Linux, two cores and h2load.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

from bench.measured.parting import STUCK, all_at_once, one_by_one, parted, waits
from bench.measured.processes import cpu_seconds
from bench.measured.running import free_port
from bench.measured.site import Site

REQUESTS = 40_000
HANDSHAKES = 4000
PACE = 4000
"""Connections begun in a second: more than two cores can do."""

PATIENCE = 30
CONNECTIONS = 1000
ASKING = 150
"""Clients that come while a worker stands still."""

CONFIGURATION = """\
workers = {workers}
state_dir = "{folder}/state-{port}"

[[listeners]]
endpoint = "tcp:{port}:interface=127.0.0.1"
reuse_port = {reuse_port}

[[sites]]
certificate = "{site.certificate}"
private_key = "{site.key}"
staple_file = "{site.staple}"
static = "{folder}/www"
"""


class Done(NamedTuple):
    """What some work took.

    Args:
        microseconds: CPU for one piece of it.
        a_second: How many were done.
    """

    microseconds: float
    a_second: float


class Server:
    """A server with so many workers, on as many cores with its load; a context manager that ends it."""

    def __init__(self, folder: Path, workers: int, *, reuse_port: bool = False) -> None:
        self._port = free_port()
        self._cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:workers]))
        self._threads = workers
        file = folder / f"{self._port}.toml"
        said = {"workers": workers, "reuse_port": str(reuse_port).lower()}
        file.write_text(CONFIGURATION.format(**said, port=self._port, folder=folder, site=Site(folder)))
        twistd = str(Path(sys.executable).with_name("twistd"))
        command = [twistd, "--nodaemon", "--pidfile=", "--logfile", str(folder / f"{self._port}.log")]
        self._process = subprocess.Popen([*self._held(command), "staplesrv", "--config", str(file)])

    def __enter__(self) -> Self:
        deadline = time.monotonic() + PATIENCE
        while self._load("-n", "1", check=False):
            if time.monotonic() > deadline:
                self.__exit__()
                raise SystemExit("the server does not serve")
            time.sleep(0.1)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    def requests(self) -> Done:
        """Have requests on kept connections answered."""
        return self._done(REQUESTS, "-n", str(REQUESTS), "-c", "32")

    def handshakes(self) -> Done:
        """Have connections with one request each."""
        return self._done(HANDSHAKES, "-n", str(HANDSHAKES), "-c", str(HANDSHAKES), "--rate", str(PACE))

    def handshake(self) -> float:
        """Return the microseconds of a connection with one request."""
        return self.handshakes().microseconds

    def at_once(self) -> float:
        """Return the percentage of connections that the busier worker has got, of many at once."""
        return self._most(all_at_once)

    def one_by_one(self) -> float:
        """Return the same of as many one by one."""
        return self._most(one_by_one)

    def late(self) -> float:
        """Return the percentage of clients that waited for a worker that stood still."""
        waited = waits(self._process.pid, self._port, ASKING)
        return 100 * sum(one > STUCK / 4 for one in waited) / len(waited)

    def _most(self, way: Any) -> float:
        got = parted(self._process.pid, self._port, CONNECTIONS, way)
        return 100 * max(got) / sum(got)

    def _done(self, count: int, *arguments: str) -> Done:
        before, began = cpu_seconds(self._process.pid), time.monotonic()
        self._load(*arguments, check=True)
        seconds = time.monotonic() - began
        return Done((cpu_seconds(self._process.pid) - before) / count * 1e6, count / seconds)

    def _held(self, command: Sequence[str]) -> Sequence[str]:
        return ["taskset", "--cpu-list", self._cores, *command]

    def _load(self, *arguments: str, check: bool) -> bool:
        """Have h2load ask; tell whether anything failed."""
        threads = str(self._threads if check else 1)
        command = ["h2load", "--h1", "-t", threads, *arguments, f"https://127.0.0.1:{self._port}/small.bin"]
        done = subprocess.run(self._held(command), check=check, capture_output=True, text=True)
        failed = " 0 failed, 0 errored" not in done.stdout
        if check and failed:
            raise SystemExit(done.stdout)
        return failed


def main() -> None:
    """Measure, in turns, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--reuse-port", action="store_true")
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="staplesrv-bench-")))
        Site(folder).fill("bench.example")
        (folder / "www").mkdir()
        (folder / "www" / "small.bin").write_bytes(bytes(1024))
        if asked.reuse_port:
            shared, own = (stack.enter_context(Server(folder, 2, reuse_port=one)) for one in (False, True))
            compare(APART, asked.rounds, (shared, "with one socket"), (own, "with one for each"))
        else:
            one, two = (stack.enter_context(Server(folder, workers)) for workers in (1, 2))
            grow(asked.rounds, one, two)


def grow(rounds: int, one: Server, two: Server) -> None:
    """Measure one core and two in turns, and print medians, and those of the ratios."""
    for title, measure in (("request", Server.requests), ("handshake with a request", Server.handshakes)):
        pairs = [(measure(one), measure(two)) for _ in range(rounds)]
        for unit, column in (("us of CPU", 0), ("a second", 1)):
            here, there = (statistics.median(done[column] for done in side) for side in zip(*pairs, strict=True))
            ratio = statistics.median(after[column] / before[column] for before, after in pairs)
            print(f"{title:26}{here:10.1f} {unit} on one core{there:10.1f} on two{ratio:7.2f}")


def compare(works: Sequence[Work], rounds: int, *servers: tuple[Server, str]) -> None:
    """Measure two servers in turns, and print medians, from which to which they are, and that of the ratio."""
    (first, first_name), (second, second_name) = servers
    for title, unit, measure in works:
        pairs = [(measure(first), measure(second)) for _ in range(rounds)]
        before, after = (_spread(column) for column in zip(*pairs, strict=True))
        ratio = "" if unit == "%" else f"{statistics.median(there / here for here, there in pairs):8.3f}"
        print(f"{title:38}{before} {unit} {first_name}{after} {unit} {second_name}{ratio}")


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):9.1f} ({min(values):.1f} to {max(values):.1f})"


Work = tuple[str, str, Callable[[Server], float]]

APART: Sequence[Work] = (
    (f"busier worker of {CONNECTIONS} at once", "%", Server.at_once),
    (f"busier worker of {CONNECTIONS} one by one", "%", Server.one_by_one),
    ("handshake with a request", "us", Server.handshake),
    ("late by a worker that stands still", "%", Server.late),
)


if __name__ == "__main__":
    main()
