"""What the benchmarks against nginx have in common: the options they take, and the versions they name."""

from __future__ import annotations

import argparse
import platform
import shlex
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from OpenSSL import SSL

from bench.measured import nginx
from bench.measured.rounds import Work


def parser_of(
    description: str | None, works: Sequence[Work[Any]], servers: Sequence[str], *, rounds: int
) -> argparse.ArgumentParser:
    """Make a parser with the options of them all.

    Args:
        description: What `--help` says first, as it stands.
        works: All there are, for `--only`.
        servers: All there are, for the help of `--servers`, which has no default.
        rounds: How many, where nobody says.
    """
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--only", type=_listed, default=list(dict.fromkeys(work.kind for work in works)))
    made.add_argument("--servers", type=_listed, help=",".join(servers))
    made.add_argument("--nginx", default="nginx", help="the command that runs it")
    made.add_argument("--folder", type=Path, help="for certificates and files; a temporary one when left out")
    made.add_argument("--profile", type=Path, help="where the profile of a server goes, for pstats")
    return made


def versions(command: str) -> str:
    """Say what is measured with what.

    Args:
        command: What runs nginx.
    """
    return (
        f"{nginx.version(command)};\n"
        f"Python {platform.python_version()}, Twisted {version('twisted')}, pyOpenSSL {version('pyopenssl')}, "
        f"{SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode()}\n"
    )


def is_there(command: str) -> bool:
    """Tell whether the program of a command is installed."""
    return shutil.which(shlex.split(command)[0]) is not None


def _listed(text: str) -> list[str]:
    return text.split(",")
