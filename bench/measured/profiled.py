"""Where the time of a server goes: its own time for one thing done, by the file and by the function."""

from __future__ import annotations

import pstats
from collections import Counter
from pathlib import Path

LINES = 30


def show(profile: Path, title: str, done: int) -> None:
    """Print what a profile says.

    The profiler makes calls of Python functions dearer than they are; the sum says by how much.

    Args:
        profile: cProfile's file.
        title: What was measured.
        done: How many things the server did meanwhile.
    """
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
    each = 1e6 / done
    print(f"{title}, own time in us for each; {sum(places.values()) * each:.0f} in all\n")
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
