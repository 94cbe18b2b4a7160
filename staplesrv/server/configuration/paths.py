"""What is wrong with a file or a folder that the configuration names, before anybody reads it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

_EFFECTIVE = os.access in os.supports_effective_ids


class PathProblem(NamedTuple):
    """What to say of a path that can't be used."""

    problem: str
    advice: str


def file_problem(path: Path, *, may_be_missing: bool = False, read: bool = True) -> PathProblem | None:
    """Say why a file can't be read; None where it can. Nothing blocks: a pipe is not opened.

    Args:
        path: The file.
        may_be_missing: That it is not there is no problem.
        read: Otherwise it is enough that it is a file.
    """
    mode = _mode(path, may_be_missing=may_be_missing)
    if mode is None or isinstance(mode, PathProblem):
        return mode
    if stat.S_ISDIR(mode):
        return PathProblem("is a directory", "name a file in it")
    if not stat.S_ISREG(mode):
        return PathProblem("is no regular file", "name a file")
    if not read:
        return None
    try:
        path.open("rb").close()
    except OSError as error:
        return _refused(error)
    return None


def written_problem(path: Path) -> PathProblem | None:
    """Say why nothing can be added to a file, or why a missing one can't be made; None where it can."""
    there = os.access(path, os.F_OK, effective_ids=_EFFECTIVE)
    mode, target = (os.W_OK, path) if there else (os.W_OK | os.X_OK, path.parent)
    if os.access(target, mode, effective_ids=_EFFECTIVE):
        return None
    return PathProblem("permission denied", "let the server write it")


def folder_problem(path: Path, *, may_be_missing: bool = False) -> PathProblem | None:
    """Say why a folder's files can't be reached; None where they can."""
    mode = _mode(path, may_be_missing=may_be_missing)
    if mode is None or isinstance(mode, PathProblem):
        return mode
    if not stat.S_ISDIR(mode):
        return PathProblem("is a file, not a directory", "name the directory that it is in")
    if not os.access(path, os.R_OK | os.X_OK, effective_ids=_EFFECTIVE):
        return _refused(PermissionError())
    return None


def _mode(path: Path, *, may_be_missing: bool) -> int | PathProblem | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None if may_be_missing else PathProblem("does not exist", "check the path")
    except (OSError, ValueError) as error:  # ValueError: a NUL in it, or half of a surrogate pair
        return _refused(error)


def _refused(error: OSError | ValueError) -> PathProblem:
    if isinstance(error, PermissionError):
        return PathProblem("permission denied", "let the user that starts the server read it")
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return PathProblem(f"can't be used: {reason}", "check the path")
