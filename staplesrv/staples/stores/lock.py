"""A lock on a file, among processes: the kernel takes it back when its holder dies. All calls may block."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path


def lock(path: Path) -> int | None:
    """Take the lock that a file stands for; the file is made if missing, mode 0600.

    Returns:
        The descriptor that holds it, for `unlock`; None where somebody else holds it.

    Raises:
        OSError: nobody can tell, as the file can't be made or locked.
    """
    while True:
        # O_NONBLOCK: the name may belong to a pipe.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        # The holder before removed the file when it was done: a lock on a file without a name keeps nobody out.
        os.close(descriptor)


def unlock(path: Path, descriptor: int) -> None:
    """Remove the file and give the lock back, in this order: while it is held nobody can mistake the name."""
    try:
        with suppress(OSError):
            path.unlink()
    finally:
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
