"""What TLS costs a server, as ratios to nginx in the same run.

    python bench/tls [--rounds 15] [--only full,resumed,memory,bulk] [--nginx nginx] [--folder FOLDER]
    python bench/tls --load h2load --only full,resumed
    python bench/tls --profile FILE [--servers staplesrv] [--only full]
    python bench/tls --in-memory

Three servers have the same certificate, the same staple and the same work: nginx; `program.py` over staplesrv's
endpoint; `program.py` over Twisted's own TLS, `stock`. They run on one core, the load on another, and take turns within
each round. Counted is the CPU time of the server's process tree, or its private memory. The table has the median
of the rounds, the median of their ratios to nginx, and in brackets the ratio of the best rounds, which others on the
machine disturb least. It ends with 1 if a median misses its limit.

`--load h2load` is a second view, of clients in C that keep the server busy but ask for no staple. `--profile` runs the
server under cProfile and says where its time goes; `--in-memory` says what OpenSSL takes by itself.

Needs Linux, two cores, and an nginx with an OpenSSL about as new as pyOpenSSL's. Where that one lives in a chroot, say
`--nginx "chroot ROOT nginx"`, and name a folder that is the same one inside.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import in_memory
import profiled
from load import H2Load, Load
from OpenSSL import SSL
from processes import Core, private_kib
from servers import LARGE, Place, Server

SERVERS = ("nginx", "staplesrv", "stock")
FULL = 400
RESUMED = 600
IDLE = 2000
DOWNLOADS = 2


def full(server: Server) -> float:
    """Return the microseconds of a full handshake with an answer."""
    return server.core.spent(server.pid, lambda: server.load.full(FULL)) / FULL * 1e6


def resumed(server: Server) -> float:
    """Return the microseconds of a resumed handshake with an answer."""
    return server.core.spent(server.pid, lambda: server.load.resumed(RESUMED)) / RESUMED * 1e6


def memory(server: Server) -> float:
    """Return the KiB of an idle connection."""
    server.load.full(200)
    before = private_kib(server.pid)
    connections = server.load.idle(IDLE)
    each = (private_kib(server.pid) - before) / IDLE
    for connection in connections:
        connection.close()
    return each


def bulk(server: Server, path: bytes = b"/large") -> float:
    """Return the GiB per CPU second of a large body that is written at once."""
    seconds = server.core.spent(server.pid, lambda: server.load.download(path, LARGE, DOWNLOADS))
    return LARGE * DOWNLOADS / seconds / (1 << 30)


def pieces(server: Server) -> float:
    """Return the GiB per CPU second out of a pull producer; nginx has but one way."""
    return bulk(server, b"/large" if server.name == "nginx" else b"/pieces")


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work.

    Args:
        kind: How `--only` calls it.
        title: How the table calls it.
        measure: Has a server do it; returns what it cost.
        limit: The ratio to nginx that is to be reached.
        more: Whether more is better.
        fresh: Whether it needs a server that has done nothing yet, three rounds of which will do.
    """

    kind: str
    title: str
    measure: Callable[[Server], float]
    limit: float
    more: bool = False
    fresh: bool = False


WORKS = (
    Work("full", "full handshake, us", full, 1.10),
    Work("resumed", "resumed handshake, us", resumed, 1.05),
    Work("memory", "idle connection, KiB", memory, 1.05, fresh=True),
    Work("bulk", "large body at once, GiB/s", bulk, 0.9, more=True),
    Work("bulk", "large body in pieces, GiB/s", pieces, 0.9, more=True),
)
FRESH_ROUNDS = 3

Seen = dict[tuple[Work, str], list[float]]


def main() -> None:
    """Do what the command line asks for."""
    chosen = arguments()
    with ExitStack() as stack:
        folder = chosen.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="staplesrv-bench-")))
        folder.mkdir(exist_ok=True)
        place = Place(folder, chosen.suite, chosen.nginx)
        place.fill()
        load_core, server_core = map(Core, sorted(os.sched_getaffinity(0))[:2])
        stack.enter_context(load_core.held())
        if chosen.in_memory:
            in_memory.measure(place)
            return
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        if chosen.profile:
            profiled.measure(place, server_core, chosen.servers[-1], chosen.only[0], chosen.profile)
            return
        works = [work for work in WORKS if work.kind in chosen.only]
        kind = {"python": Load, "h2load": H2Load}[chosen.load]
        seen = measure(place, server_core, kind, chosen.servers, works, rounds=chosen.rounds)
    missed = show(seen, chosen.servers)
    print(f"\nOthers had {server_core.others:.0%} of the servers' core meanwhile; a fair run has a quiet one.")
    sys.exit(missed)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", type=_listed, default=list(dict.fromkeys(work.kind for work in WORKS)))
    parser.add_argument("--servers", type=_listed, help=",".join(SERVERS))
    parser.add_argument("--load", choices=["python", "h2load"], default="python")
    parser.add_argument("--nginx", default="nginx", help="the command that runs it")
    parser.add_argument("--folder", type=Path, help="for certificates and bodies; a temporary one when left out")
    parser.add_argument("--suite", default="TLS_AES_128_GCM_SHA256", help="all that clients offer")
    parser.add_argument("--profile", type=Path, help="where the profile goes, for pstats")
    parser.add_argument("--in-memory", action="store_true")
    chosen = parser.parse_args()
    if chosen.servers is None:
        chosen.servers = ["staplesrv"] if chosen.profile else list(SERVERS)
    if not (chosen.profile or chosen.in_memory) and shutil.which(shlex.split(chosen.nginx)[0]) is None:
        parser.error(f"{chosen.nginx}: not found; say where nginx is with --nginx")
    return chosen


def _listed(text: str) -> list[str]:
    return text.split(",")


def measure(place: Place, core: Core, kind: type[Load], names: list[str], works: list[Work], *, rounds: int) -> Seen:
    """Warm the servers up, then have them take turns."""
    seen: Seen = {(work, name): [] for work in works for name in names}
    body = hashlib.sha256(place.files["large"].read_bytes()).digest()
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(name, place, core, kind)) for name in names]
        print(facts(place, servers[0]))
        for server in servers:
            warm_up(server, body)
        for number in range(rounds):
            for work in works:
                if work.fresh and number >= FRESH_ROUNDS:
                    continue
                for server in servers[number % len(servers) :] + servers[: number % len(servers)]:
                    with ExitStack() as turn:
                        at_work = turn.enter_context(Server(server.name, place, core, kind)) if work.fresh else server
                        seen[work, server.name].append(work.measure(at_work))
    return seen


def facts(place: Place, server: Server) -> str:
    """Say what is measured with what."""
    connection = server.load.connect()
    group = connection.get_group_name()
    said = subprocess.run([*shlex.split(place.nginx), "-V"], check=True, capture_output=True, text=True).stderr
    nginx = ", ".join(line for line in said.splitlines() if "nginx version" in line or "OpenSSL" in line)
    return (
        f"ECDSA P-256, chain of two, {group}, {connection.get_cipher_name()}, "
        f"a staple of {len(place.files['staple'].read_bytes())} bytes; {nginx};\n"
        f"Python {platform.python_version()}, Twisted {version('twisted')}, pyOpenSSL {version('pyopenssl')}, "
        f"{SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode()}\n"
    )


def warm_up(server: Server, body: bytes) -> None:
    """Have a server do some of everything, and look at each byte of the large body."""
    server.load.full(200)
    server.load.resumed(200)
    for path in (b"/large",) if server.name == "nginx" else (b"/large", b"/pieces"):
        if server.load.digest(path, LARGE) != body:
            raise SystemExit(f"{server.name} sent another body")


def show(seen: Seen, names: list[str]) -> bool:
    """Print the table; return whether a ratio of ours misses its limit."""
    missed = False
    print(f"{'':28}{names[0]:>10}" + "".join(f"{name:>25}" for name in names[1:]) + f"{'to reach':>10}")
    for work in dict.fromkeys(work for work, _name in seen):
        best = max if work.more else min
        reference = seen[work, names[0]]
        line = f"{work.title:28}{statistics.median(reference):>10.4g}"
        for name in names[1:]:
            values = seen[work, name]
            ratio = statistics.median(ours / theirs for ours, theirs in zip(values, reference, strict=True))
            line += f"{statistics.median(values):>12.4g}{ratio:>6.2f} ({best(values) / best(reference):.2f})"
            if name == "staplesrv":
                missed |= ratio < work.limit if work.more else ratio > work.limit
        print(line + f"{work.limit:>10.2f}")
    return missed


if __name__ == "__main__":
    main()
