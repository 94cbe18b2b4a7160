"""Read a TOML file, or say in one line why that can't be."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.paths import file_problem

MAX_FILE = 16 << 20
"""Bytes of the largest file that is read; 10,000 sites take a quarter of that."""


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file of at most `MAX_FILE` bytes.

    Args:
        path: Where it is; an error shows it as it is given here.

    Raises:
        OperatorError: it is missing, no file, too large, can't be read, or is not TOML in UTF-8.
    """
    where = str(path)
    if wrong := file_problem(path):
        raise OperatorError(where, *wrong)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise OperatorError(where, f"can't be read: {error.strerror}", "check the disk") from error
    if len(data) > MAX_FILE:
        raise OperatorError(where, f"is larger than {MAX_FILE >> 20} MiB", "check that it is the right file")
    return _parse(where, data)


def _parse(where: str, data: bytes) -> dict[str, Any]:
    try:
        # Some editors put a byte order mark at the head.
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise OperatorError(where, f"line {line} is not UTF-8", "save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        # The message ends with line and column.
        raise OperatorError(where, f"is not TOML: {_plain(error)}", "mend it there") from error
    except ValueError as error:
        # Python refuses to read integers of thousands of digits.
        raise OperatorError(where, "holds a number that is too long", "mend it") from error
    except RecursionError as error:
        raise OperatorError(where, "is nested too deep", "check that it is the right file") from error


def _plain(error: Exception) -> str:
    return str(error)[:200].encode("ascii", "backslashreplace").decode()
