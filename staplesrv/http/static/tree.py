"""The folder that is served: opening files in it, and in nothing else."""

from __future__ import annotations

import errno
import os
import stat
from io import FileIO
from typing import NamedTuple


class Stamp(NamedTuple):
    """What changes when a file does: times in nanoseconds since the epoch, the size in bytes."""

    device: int
    inode: int
    modified: int
    changed: int
    size: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """Return a file's."""
        return cls(found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)

# A pipe is never waited for, and a terminal never becomes ours.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Tree:
    """A folder. Symbolic links in it are followed to where they lead inside of it, and nowhere else.

    The root itself may be a link, which is looked up anew each time: so are new versions of sites put in place.

    Args:
        root: Where it is.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root

    def stamp(self, name: bytes) -> Stamp | None:
        """Look at a file, wherever links lead: only `open` tells whether it is inside.

        Args:
            name: Relative to the root.

        Returns:
            None where there is no regular file.

        Raises:
            IsADirectoryError: it is a folder.
            OSError: it can't be looked at.
        """
        try:
            found = os.stat(b"%s/%s" % (self._root, name))  # noqa: PTH116 - names are bytes, as the disk has them
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        return Stamp.of(found) if stat.S_ISREG(found.st_mode) else None

    def open(self, name: bytes) -> FileIO:
        """Open a regular file for reading.

        Args:
            name: Relative to the root, without empty segments, `.` and `..`.

        Raises:
            PermissionError: it may not be read.
            FileNotFoundError: it is not there, no regular file, or outside.
            OSError: it can't be opened.
        """
        try:
            return self._open_without_links(name)
        except OSError as error:
            # ENOTDIR is what Linux says of a link where a folder is wanted, EMLINK FreeBSD of one where a file is.
            if error.errno not in {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}:
                raise
        return self._open_without_links(self._resolved(name))

    def _resolved(self, name: bytes) -> bytes:
        root = os.path.realpath(self._root)
        real = os.path.realpath(os.path.join(root, name))  # noqa: PTH118 - the same
        inside = root.rstrip(b"/") + b"/"
        if not real.startswith(inside):
            raise FileNotFoundError(errno.ENOENT, "leads out of the folder", name)
        return real[len(inside) :]

    def _open_without_links(self, name: bytes) -> FileIO:
        """Walk from folder to folder, so that no link can be put in the way meanwhile."""
        folder = os.open(self._root, _FOLDER)
        try:
            *parents, last = name.split(b"/")
            for parent in parents:
                inner = os.open(parent, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = inner
            return _open_regular(last, folder)
        finally:
            os.close(folder)


def _open_regular(name: bytes, folder: int) -> FileIO:
    # Looked at first, as there are devices that do something when they are opened; and again once it is open.
    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    if stat.S_ISREG(mode):
        descriptor = os.open(name, _FILE, dir_fd=folder)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return FileIO(descriptor)
        os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, "is no regular file", name)
