"""Where staples survive restarts: which directory that is, and whether the server can write to it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import platformdirs
from twisted.logger import Logger

from staplesrv.errors import OperatorError
from staplesrv.server.privileges import Identity

_NAME = "staplesrv"
_log = Logger()


def default_state_dir(environment: Mapping[str, str], *, is_root: bool) -> Path:
    """Say where staples are kept if the operator says nothing.

    Args:
        environment: Of the process; systemd's StateDirectory= arrives in it, perhaps as several in a row.
        is_root: Whether root starts the server, whoever it becomes then.
    """
    from_systemd = environment.get("STATE_DIRECTORY", "").split(":")[0]
    if from_systemd:
        return Path(from_systemd)
    if is_root:
        return Path("/var/lib", _NAME)
    return platformdirs.user_state_path(_NAME, appauthor=False)


def usable_state_dir(given: Path | None, environment: Mapping[str, str], identity: Identity | None) -> Path | None:
    """Return a directory that is there and can be written by the server, made where it was missing.

    Args:
        given: What the operator says.
        environment: Of the process.
        identity: Who the server will be; None if it stays who it is.

    Returns:
        The directory; None, after a warning, if the default one can't be used: staples are in memory alone then.

    Raises:
        OperatorError: what the operator says can't be used.
    """
    folder = given or default_state_dir(environment, is_root=os.geteuid() == 0)
    try:
        _prepare(folder, identity)
    except OSError as error:
        who = f" by user {identity.uid}" if identity else ""
        problem = f"can't be written{who}: {error.strerror or error}"
        if given is not None:
            raise OperatorError(str(folder), problem, "give it to the server's user", key="state_dir") from error
        _log.warn(
            "{folder} {problem}; staples are kept in memory alone: set state_dir to keep them over restarts",
            folder=str(folder),
            problem=problem,
        )
        return None
    return folder


def _prepare(folder: Path, identity: Identity | None) -> None:
    if not folder.is_absolute():  # a user without a home
        raise NotADirectoryError(0, "it is no absolute path")
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True)
        # Only what was made just now changes hands: to give away a directory with other people's files in it, or one
        # that an earlier server of that user could fill with links, would give away those.
        if identity is not None:
            os.chown(folder, identity.uid, identity.gid)
    assumed: AbstractContextManager[None] = nullcontext() if identity is None else identity.assumed()
    with assumed, tempfile.TemporaryFile(dir=folder):
        pass
