"""Where the time of a server goes: its own time per connection, by the file and by the function."""

from __future__ import annotations

import pstats
from collections import Counter
from pathlib import Path

from processes import Core
from servers import Place, Server

WARM_UP = 200
CONNECTIONS = 3000
LINES = 30


def measure(place: Place, core: Core, name: str, kind: str, profile: Path) -> None:
    """Run a server under cProfile while it does one kind of work, and print what it took.

    The profiler makes calls of Python functions dearer than they are; the sum says by how much.
    """
    with Server(name, place, core, profile=profile) as server:
        work = server.load.resumed if kind == "resumed" else server.load.full
        work(WARM_UP)
        work(CONNECTIONS)
    stats = pstats.Stats(str(profile)).stats  # type: ignore[attr-defined]
    places: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for (file, _line, function), (_primitive, count, own, _all, _callers) in stats.items():
        where = _where(file, function)
        if where == "waiting":
            continue
        places[where] += own
        functions[f"{where}: {function}"] += own
        calls[f"{where}: {function}"] += count
    each = 1e6 / (WARM_UP + CONNECTIONS)
    print(f"{name}, {kind} handshakes, own time in us per connection; {sum(places.values()) * each:.0f} in all\n")
    for where, own in places.most_common(LINES):
        print(f"{own * each:8.1f}  {where}")
    print("\n      us   calls")
    for function, own in functions.most_common(LINES):
        print(f"{own * each:8.1f}{calls[function] * each / 1e6:8.1f}  {function}")


def _where(file: str, function: str) -> str:
    """Name a file by its package, and what is written in C by its library."""
    if file != "~":
        parts = Path(file).parts
        for package in ("site-packages", "staplesrv"):
            if package in parts:
                return "/".join(parts[len(parts) - parts[::-1].index(package) - (package == "staplesrv") :])
        return Path(file).name
    if "poll" in function:
        return "waiting"
    if "_openssl." in function:
        return "OpenSSL"
    if "socket" in function or "posix" in function:
        return "system calls"
    return "built in"
