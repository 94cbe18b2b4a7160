"""Read the files that a command names, with a cap, and errors of one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from staplesrv.errors import OperatorError
from staplesrv.staples.armour import BrokenArmour

MAX_FILE = 4 << 20
"""Bytes of a file that are read. A system's bundle of all roots has a quarter of a MiB."""

STDIN = "-"

_T = TypeVar("_T")


def read(name: str, decode: Callable[[bytes], _T], *, stdin: bool = False) -> _T:
    """Read a file and decode it.

    Args:
        name: The file.
        decode: From `staples.armour`.
        stdin: Whether `-` means the standard input.

    Raises:
        OperatorError: the file can't be read, is too large, or is not what `decode` looks for.
    """
    shown = "standard input" if stdin and name == STDIN else click.format_filename(name)
    data = _data(name, shown, stdin=stdin)
    if len(data) > MAX_FILE:
        raise OperatorError(shown, f"is over {MAX_FILE >> 20} MiB", "name a certificate or a response")
    try:
        return decode(data)
    except BrokenArmour as error:
        raise OperatorError(shown, str(error), "give it as DER or PEM") from error


def _data(name: str, shown: str, *, stdin: bool) -> bytes:
    """The first bytes of a file, one more than are allowed."""
    try:
        if stdin and name == STDIN:
            return sys.stdin.buffer.read(MAX_FILE + 1)
        with Path(name).open("rb") as file:
            return file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise OperatorError(shown, f"can't be read: {problem}", "name a file that this user may read") from error
