"""What TLS costs a server, against nginx in the same run.

    python bench/tls [--rounds 5] [--only full,resumed,memory,bulk] [--nginx nginx] [--folder FOLDER]

Needs Linux, two cores, and an nginx with an OpenSSL about as new as pyOpenSSL's; where that one lives in a chroot,
`--nginx "chroot ROOT nginx"` and a folder that has the same name inside.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from processes import cpu_seconds, private_kib
from servers import LARGE, Place, Server

SERVERS = ("nginx", "staplesrv", "stock")
FULL = 2000
RESUMED = 3000
IDLE = 2000
DOWNLOADS = 6


def spent(server: Server, work: Callable[[], object]) -> float:
    """Return the CPU seconds that a server spends on some work."""
    before = cpu_seconds(server.pid)
    work()
    return cpu_seconds(server.pid) - before


def full(server: Server) -> float:
    """Microseconds per full handshake with an answer."""
    return spent(server, lambda: server.load.full(FULL)) / FULL * 1e6


def resumed(server: Server) -> float:
    """Microseconds per resumed handshake with an answer."""
    return spent(server, lambda: server.load.resumed(RESUMED)) / RESUMED * 1e6


def memory(server: Server) -> float:
    """KiB per idle connection."""
    server.load.full(200)
    before = private_kib(server.pid)
    connections = server.load.idle(IDLE)
    each = (private_kib(server.pid) - before) / IDLE
    for connection in connections:
        connection.close()
    return each


def _bulk(server: Server, path: bytes) -> float:
    seconds = spent(server, lambda: server.load.download(path, LARGE, DOWNLOADS))
    return LARGE * DOWNLOADS / seconds / (1 << 30)


def bulk(server: Server) -> float:
    """GiB per CPU second, written at once."""
    return _bulk(server, b"/large")


def pieces(server: Server) -> float:
    """GiB per CPU second, out of a pull producer."""
    return _bulk(server, b"/large" if server.name == "nginx" else b"/pieces")


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work.

    Args:
        title: How the table calls it.
        kind: How `--only` calls it.
        measure: Has a server do it; returns what it cost.
        fresh: Whether it needs a server that has done nothing yet.
    """

    title: str
    kind: str
    measure: Callable[[Server], float]
    fresh: bool = False


WORKS = (
    Work("full handshake, us", "full", full),
    Work("resumed handshake, us", "resumed", resumed),
    Work("idle connection, KiB", "memory", memory, fresh=True),
    Work("large body at once, GiB/s", "bulk", bulk),
    Work("large body in pieces, GiB/s", "bulk", pieces),
)


def warm_up(server: Server, body: bytes) -> None:
    """Have a server do some of everything, and look at each byte of the large body."""
    server.load.full(200)
    server.load.resumed(100)
    for path in (b"/large",) if server.name == "nginx" else (b"/large", b"/pieces"):
        if server.load.digest(path, LARGE) != body:
            raise SystemExit(f"{server.name} sent another body")


def main() -> None:
    """Measure in turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="full,resumed,memory,bulk")
    parser.add_argument("--nginx", default="nginx")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--suite", default="TLS_AES_128_GCM_SHA256")
    chosen = parser.parse_args()
    works = [work for work in WORKS if work.kind in chosen.only.split(",")]
    own, other = sorted(os.sched_getaffinity(0))[-2:]
    os.sched_setaffinity(0, {own})
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with ExitStack() as stack:
        folder = chosen.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="staplesrv-bench-")))
        folder.mkdir(exist_ok=True)
        place = Place(folder, chosen.suite, chosen.nginx)
        place.fill()
        body = hashlib.sha256(place.files["large"].read_bytes()).digest()
        servers = [stack.enter_context(Server(name, place, other)) for name in SERVERS]
        for server in servers:
            warm_up(server, body)
        seen: dict[tuple[Work, str], list[float]] = {(work, name): [] for work in works for name in SERVERS}
        for number in range(chosen.rounds):
            for work in works:
                for server in servers[number % len(servers) :] + servers[: number % len(servers)]:
                    if work.fresh:
                        with Server(server.name, place, other) as fresh:
                            seen[work, server.name].append(work.measure(fresh))
                    else:
                        seen[work, server.name].append(work.measure(server))
    print(f"{'':30}" + "".join(f"{name:>24}" for name in SERVERS))
    for work in works:
        line = f"{work.title:30}"
        for name in SERVERS:
            values = seen[work, name]
            ratio = statistics.median(a / b for a, b in zip(values, seen[work, "nginx"], strict=True))
            line += f"{statistics.median(values):>16.4g}{ratio:>8.2f}"
        print(line)


if __name__ == "__main__":
    main()
