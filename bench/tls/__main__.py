"""What TLS costs a server, as ratios to nginx in the same run.

    python bench/tls [--rounds 15] [--only full,resumed,memory,bulk] [--nginx nginx] [--folder FOLDER]
    python bench/tls --load h2load --only full,resumed
    python bench/tls --profile FILE [--servers staplesrv] [--only full]
    python bench/tls --in-memory

Three servers have the same certificate, the same staple and the same work: nginx; `program.py` over staplesrv's
endpoint; `program.py` over Twisted's own TLS, `stock`. They run on one core, the load on another, and take turns within
each round, four each for a handshake. Counted is the CPU time of the server's process tree, or its private memory. The
table has the median of the turns, the median of their ratios to nginx, and in brackets the ratio of the best turns,
which others on the machine disturb least. It ends with 1 if a median misses its limit.

`--load h2load` is a second view, of clients in C that keep the server busy but ask for no staple. `--profile` runs the
server under cProfile and says where its time goes; `--in-memory` says what OpenSSL takes by itself.

Needs Linux, two cores, and an nginx with an OpenSSL about as new as pyOpenSSL's. Where that one lives in a chroot, say
`--nginx "chroot ROOT nginx"`, and name a folder that is the same one inside.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import in_memory
from load import H2Load, Load
from servers import LARGE, Place, Server

from bench.measured import profiled
from bench.measured.command_line import is_there, parser_of, versions
from bench.measured.processes import Core, private_kib
from bench.measured.rounds import Seen, Work

SERVERS = ("nginx", "staplesrv", "stock")
FULL = 100
RESUMED = 150
IDLE = 2000
DOWNLOADS = 2


def full(server: Server) -> float:
    """Return the microseconds of a full handshake with an answer."""
    count = FULL * server.load.many
    return server.spent(lambda: server.load.full(count)) / count * 1e6


def resumed(server: Server) -> float:
    """Return the microseconds of a resumed handshake with an answer."""
    count = RESUMED * server.load.many
    return server.spent(lambda: server.load.resumed(count)) / count * 1e6


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
    seconds = server.spent(lambda: server.load.download(path, LARGE, DOWNLOADS))
    return LARGE * DOWNLOADS / seconds / (1 << 30)


def pieces(server: Server) -> float:
    """Return the GiB per CPU second out of a pull producer; nginx has but one way."""
    return bulk(server, b"/large" if server.name == "nginx" else b"/pieces")


WORKS: tuple[Work[Server], ...] = (
    Work("full", "full handshake, us", full, 1.10, turns=4),
    Work("resumed", "resumed handshake, us", resumed, 1.05, turns=4),
    Work("memory", "idle connection, KiB", memory, 1.05, fresh=True),
    Work("bulk", "large body at once, GiB/s", bulk, 0.9, more=True),
    Work("bulk", "large body in pieces, GiB/s", pieces, 0.9, more=True),
)
PROFILED = 3000


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
            profile(place, server_core, chosen.servers[-1], chosen.only[0], chosen.profile)
            return
        works = [work for work in WORKS if work.kind in chosen.only]
        kind = {"python": Load, "h2load": H2Load}[chosen.load]
        seen = measure(place, server_core, kind, chosen.servers, works, rounds=chosen.rounds)
    sys.exit(seen.show(server_core))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__, WORKS, SERVERS, rounds=15)
    parser.add_argument("--load", choices=["python", "h2load"], default="python")
    parser.add_argument("--suite", default="TLS_AES_128_GCM_SHA256", help="all that clients offer")
    parser.add_argument("--in-memory", action="store_true")
    chosen = parser.parse_args()
    if chosen.servers is None:
        chosen.servers = ["staplesrv"] if chosen.profile else list(SERVERS)
    if not (chosen.profile or chosen.in_memory) and not is_there(chosen.nginx):
        parser.error(f"{chosen.nginx}: not found; say where nginx is with --nginx")
    return chosen


def measure(
    place: Place, core: Core, kind: type[Load], names: list[str], works: list[Work[Server]], *, rounds: int
) -> Seen[Server]:
    """Warm the servers up, then have them take turns."""
    seen: Seen[Server] = Seen(names)
    body = hashlib.sha256(place.files["large"].read_bytes()).digest()
    with ExitStack() as stack:
        servers = {name: stack.enter_context(Server(name, place, core, kind)) for name in names}
        print(facts(place, servers[names[0]]))
        for server in servers.values():
            warm_up(server, body)

        def once(work: Work[Server], name: str) -> float:
            if not work.fresh:
                return work.measure(servers[name])
            with Server(name, place, core, kind) as server:
                return work.measure(server)

        seen.take_turns(works, rounds, once)
    return seen


def profile(place: Place, core: Core, name: str, kind: str, path: Path) -> None:
    """Run a server under cProfile while it does one kind of work, and print what it took."""
    with Server(name, place, core, profile=path) as server:
        (server.load.resumed if kind == "resumed" else server.load.full)(PROFILED)
    profiled.show(path, f"{name}, {kind} handshakes", PROFILED)


def facts(place: Place, server: Server) -> str:
    """Say what is measured with what."""
    connection = server.load.connect()
    group = connection.get_group_name()
    return (
        f"ECDSA P-256, chain of two, {group}, {connection.get_cipher_name()}, "
        f"a staple of {len(place.files['staple'].read_bytes())} bytes; {versions(place.nginx)}"
    )


def warm_up(server: Server, body: bytes) -> None:
    """Have a server do some of everything, and look at each byte of the large body."""
    server.load.full(200)
    server.load.resumed(200)
    for path in (b"/large",) if server.name == "nginx" else (b"/large", b"/pieces"):
        if server.load.digest(path, LARGE) != body:
            raise SystemExit(f"{server.name} sent another body")


if __name__ == "__main__":
    main()
