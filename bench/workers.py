"""What a request and a handshake cost with one worker on each core, against one process on all of them.

    python bench/workers.py [--rounds 6]

Both are `twistd staplesrv` with one site of a single small file. h2load, on the same machine and not held to a core,
keeps connections for the requests, and makes one for each handshake. Counted is the CPU time of the process tree.
Threads of one process share an interpreter, so it has but one core's worth of either; what workers cost on top, and
what the second core is worth less for that, is the ratio.

Needs Linux, two cores and h2load.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from bench.measured.processes import cpu_seconds
from bench.measured.running import free_port
from bench.measured.site import Site

REQUESTS = 40_000
HANDSHAKES = 4000
PACE = 900
"""Handshakes a second: less than one core can do, so that neither server has a queue."""

PATIENCE = 30

CONFIGURATION = """\
workers = {workers}
listen = ["tcp:{port}:interface=127.0.0.1"]
state_dir = "{folder}/state-{workers}"

[[sites]]
certificate = "{site.certificate}"
private_key = "{site.key}"
staple_file = "{site.staple}"
static = "{folder}/www"
"""


class Server:
    """A server with so many workers; a context manager that ends it."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._port = free_port()
        file = folder / f"{workers}.toml"
        file.write_text(CONFIGURATION.format(workers=workers, port=self._port, folder=folder, site=Site(folder)))
        twistd = str(Path(sys.executable).with_name("twistd"))
        command = [twistd, "--nodaemon", "--pidfile=", "--logfile", str(folder / f"{workers}.log")]
        self._process = subprocess.Popen([*command, "staplesrv", "--config", str(file)])

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

    def request(self) -> float:
        """Return the microseconds of a request on a kept connection."""
        return self._spent(REQUESTS, "-n", str(REQUESTS), "-c", "32")

    def handshake(self) -> float:
        """Return the microseconds of a connection with one request."""
        return self._spent(HANDSHAKES, "-n", str(HANDSHAKES), "-c", str(HANDSHAKES), "--rate", str(PACE))

    def _spent(self, count: int, *arguments: str) -> float:
        before = cpu_seconds(self._process.pid)
        self._load(*arguments, check=True)
        return (cpu_seconds(self._process.pid) - before) / count * 1e6

    def _load(self, *arguments: str, check: bool) -> bool:
        """Have h2load ask; tell whether anything failed."""
        command = ["h2load", "--h1", "-t", "1", *arguments, f"https://127.0.0.1:{self._port}/small.bin"]
        done = subprocess.run(command, check=check, capture_output=True, text=True)
        failed = " 0 failed, 0 errored" not in done.stdout
        if check and failed:
            raise SystemExit(done.stdout)
        return failed


def main() -> None:
    """Measure, in turns, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    rounds = parser.parse_args().rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="staplesrv-bench-")))
        Site(folder).fill("bench.example")
        (folder / "www").mkdir()
        (folder / "www" / "small.bin").write_bytes(bytes(1024))
        one, two = (stack.enter_context(Server(folder, workers)) for workers in (1, 2))
        for title, measure in (("request", Server.request), ("handshake with a request", Server.handshake)):
            pairs = [(measure(one), measure(two)) for _ in range(rounds)]
            alone, together = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(second / first for first, second in pairs)
            print(f"{title:26}{alone:8.1f} us in one process{together:8.1f} us with two workers{ratio:7.3f}")


if __name__ == "__main__":
    main()
