"""What HTTP costs a server, as ratios to nginx in the same run.

    python bench/http [--rounds 9] [--only small,anew,h2,proxy,tunnel,large,resource,latency] [--servers nginx,stock]
    python bench/http --profile FILE [--only small]

nginx, staplesrv by its own command line, Twisted Web as it comes (`stock`), and Caddy and Node where they are installed
have the same certificate and the same files; proxies and tunnels have the same backend, an nginx. Each server has one
core; the load, h2load, shares the other one with the backend. Servers take turns within each round. Counted is the CPU
time of the server's process tree. The table has the median of the rounds, the median of their ratios to nginx, and in
brackets the ratio of the best rounds, which others on the machine disturb least. It ends with 1 if a median misses its
limit.

- `small`: kept-alive GET of a file of 1 KiB over HTTP/1.1. nginx may keep it open for a second, as staplesrv keeps
  it in memory.
- `anew`: the same with another query each time. What is known of a request by its bytes is of no use there.
- `h2`: as `small` over HTTP/2, one request at a time on each connection, and then ten.
- `proxy`, `tunnel`: the same from the backend; the tunnel knows of no HTTP.
- `large`: a file of 128 MiB.
- `resource`: a Twisted Web resource of ten lines with a body of 1 KiB, beside nginx's file.
- `latency`: the 99th percentile for `small` at the pace that keeps the server's core half busy.

Needs Linux, two cores, h2load, and an nginx with an OpenSSL about as new as pyOpenSSL's. Where that one lives in a
chroot, say `--nginx "chroot ROOT nginx"`, for Caddy alike, and name a folder that is the same one inside.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from servers import LARGE, PEERS, SITES, SMALL, Place, Server, backend

from bench.measured import profiled
from bench.measured.command_line import is_there, parser_of, versions
from bench.measured.processes import Core
from bench.measured.rounds import Seen, Work

SECONDS = 0.8
"""About what one measurement of small requests takes of the server's core."""

FIRST = 300
MOST = 40_000
DOWNLOADS = 8
PROFILED = 10_000


@dataclass(slots=True, eq=False)
class Requests:
    """Small requests of one kind; a server is given as many as keep it busy for a while.

    Args:
        site: Which one.
        http2: Which version.
        streams: How many at once on each connection.
        anew: Whether no two of them are alike.
    """

    site: str
    http2: bool = False
    streams: int = 1
    anew: bool = False
    _cost: dict[str, float] = field(default_factory=dict)

    def __call__(self, server: Server) -> float:
        """Return the microseconds of a request."""
        if server.name not in self._cost:
            self._spent(server, FIRST)
            self._cost[server.name] = self._spent(server, FIRST)
        count = min(MOST, max(FIRST, int(SECONDS / self._cost[server.name])))
        return self._spent(server, count) * 1e6

    def ask(self, server: Server, count: int) -> None:
        """Ask so often."""
        if self.anew:
            server.load.ask_anew(self.site, "/small.bin", SMALL, count)
        else:
            server.load.ask(self.site, "/small.bin", SMALL, count, http2=self.http2, streams=self.streams)

    def _spent(self, server: Server, count: int) -> float:
        return server.spent(lambda: self.ask(server, count)) / count


def large(server: Server) -> float:
    """Return the milliseconds of a GiB."""
    seconds = server.spent(lambda: server.load.ask("files", "/large.bin", LARGE, DOWNLOADS, clients=4))
    return seconds * (1 << 30) / (LARGE * DOWNLOADS) * 1e3


@dataclass(slots=True, eq=False)
class Latency:
    """Requests at half load.

    Args:
        requests: Which ones.
    """

    requests: Requests
    _cost: dict[str, float] = field(default_factory=dict)

    def __call__(self, server: Server) -> float:
        """Return the 99th percentile in milliseconds."""
        if server.name not in self._cost:
            self._cost[server.name] = statistics.median(self.requests(server) for _ in range(3))
        return server.load.latency(self.requests.site, "/small.bin", 0.5e6 / self._cost[server.name], 3)


SMALL_FILE = Requests("files")
WORKS: tuple[Work[Server], ...] = (
    Work("small", "1 KiB file, HTTP/1.1, us", SMALL_FILE, 1.6),
    Work("anew", "the same, always another query", Requests("files", anew=True), None),
    Work("h2", "1 KiB file, HTTP/2, us", Requests("files", http2=True), 8),
    Work("h2", "the same, ten at once, us", Requests("files", http2=True, streams=10), 8),
    Work("proxy", "1 KiB by proxy, HTTP/1.1, us", Requests("proxy"), 3),
    Work("tunnel", "1 KiB by raw tunnel, us", Requests("tunnel"), 2),
    Work("large", "GiB of a large file, ms", large, 1.1),
    Work("resource", "Twisted Web resource, us", Requests("resource"), 11),
    Work("latency", "99 % at half load, ms", Latency(SMALL_FILE), 2),
)
SITE_OF = {"proxy": "proxy", "tunnel": "tunnel", "resource": "resource"}


def main() -> None:
    """Do what the command line asks for."""
    chosen = arguments()
    with ExitStack() as stack:
        folder = chosen.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="staplesrv-bench-")))
        folder.mkdir(exist_ok=True)
        sites = [site for site in SITES if site in {SITE_OF.get(kind, "files") for kind in chosen.only}]
        place = Place(folder, chosen.nginx, chosen.caddy, chosen.node, sites)
        place.fill()
        load_core, server_core = map(Core, sorted(os.sched_getaffinity(0))[:2])
        stack.enter_context(load_core.held())
        behind, port = backend(place, load_core)
        stack.enter_context(behind)
        works = [work for work in WORKS if work.kind in chosen.only]
        if chosen.profile:
            profile(place, server_core, port, works[0], chosen.profile)
            return
        print(facts(place))
        seen = measure(place, server_core, port, chosen.servers, works, rounds=chosen.rounds)
    sys.exit(seen.show(server_core))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__, WORKS, list(PEERS), rounds=9)
    for name in ("caddy", "node"):
        parser.add_argument(f"--{name}", default=name, help="the command that runs it")
    chosen = parser.parse_args()
    for needed in (chosen.nginx, "h2load"):
        if not is_there(needed):
            parser.error(f"{needed}: not found")
    if chosen.servers is None:
        optional = {"caddy": chosen.caddy, "node": chosen.node}
        chosen.servers = [name for name in PEERS if name not in optional or is_there(optional[name])]
    return chosen


def facts(place: Place) -> str:
    """Say what is measured with what."""
    return f"ECDSA P-256, X25519, TLS_AES_128_GCM_SHA256; {versions(place.nginx)}"


def measure(
    place: Place, core: Core, port: int, names: list[str], works: list[Work[Server]], *, rounds: int
) -> Seen[Server]:
    """See that each server has each body right, then have them take turns."""
    seen: Seen[Server] = Seen(names)
    with ExitStack() as stack:
        servers = {name: stack.enter_context(Server(name, place, core, port)) for name in names}
        for server in servers.values():
            check(place, server)

        def once(work: Work[Server], name: str) -> float | None:
            does = SITE_OF.get(work.kind, "files") in servers[name].sites
            does &= work.kind != "h2" or PEERS[name].http2
            does &= work.kind != "large" or name != "node"
            return work.measure(servers[name]) if does else None

        seen.take_turns(works, rounds, once)
    return seen


def check(place: Place, server: Server) -> None:
    """Compare each byte of every body."""
    for site in server.sites:
        for path in place.www.iterdir():
            if path.stat().st_size > SMALL and (site != "files" or server.name == "node"):
                continue
            if server.load.digest(site, f"/{path.name}") != hashlib.sha256(path.read_bytes()).digest():
                raise SystemExit(f"{server.name} sent another body for {path.name} on {site}")


def profile(place: Place, core: Core, port: int, work: Work[Server], path: Path) -> None:
    """Run staplesrv under cProfile while it does one kind of work, and print what it took."""
    if not isinstance(work.measure, Requests):
        raise SystemExit(f"{work.kind} can't be profiled: it is not of small requests")
    with Server("staplesrv", place, core, port, profile=path) as server:
        work.measure.ask(server, PROFILED)
    profiled.show(path, f"staplesrv, {work.title}", PROFILED)


if __name__ == "__main__":
    main()
