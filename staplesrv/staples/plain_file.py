"""Reading and writing small files that other people can reach, too. All calls block: make them in a thread."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# ELOOP: a link. ENXIO: a socket.
_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})


def read_plain_file(path: Path, most: int, *, follow: bool = False) -> bytes | None:
    """Read a file that anybody may have put there; blocks only as long as its disk does.

    Args:
        path: Where.
        most: Bytes. A longer file is not read.
        follow: Whether a symbolic link counts as what it leads to, or as nothing.

    Returns:
        The content; None where there is none, where it is empty or too long, and for a directory, pipe or device.

    Raises:
        OSError: it can't be read.
    """
    # O_NONBLOCK: a pipe without a writer would hold the thread for ever.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    # The descriptor is looked at before Python makes a file of it, which raises for a directory.
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(most + 1)
    return content if 0 < len(content) <= most else None


def write_durably(path: Path, content: bytes, *, modified: float) -> None:
    """Replace a file as a whole: whoever reads gets the old or the new content, also after a power cut.

    Args:
        path: Where; the directory is there. A link in this place is replaced, not followed.
        content: Everything that the file is to hold.
        modified: Its modification time, seconds since the epoch. Its mode is 0600.

    Raises:
        OSError: it could not be written; what was there before stays.
    """
    with _temporary(path) as (descriptor, temporary):
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.utime(descriptor, (modified, modified))
        os.fsync(descriptor)
        temporary.replace(path)
    _sync_directory(path.parent)


@contextmanager
def _temporary(path: Path) -> Iterator[tuple[int, Path]]:
    # mkstemp makes it with mode 0600.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        yield descriptor, temporary
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    finally:
        os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
