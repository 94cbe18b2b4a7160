"""Files while they are read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO

from staplesrv.http.static.tree import Stamp, Tree


@dataclass(slots=True)
class OpenFile:
    """A file that is open as long as somebody reads from it.

    Args:
        file: To be read by position.
        stamp: What it was when it was opened.
        readers: How many there are.
    """

    file: FileIO
    stamp: Stamp
    readers: int = 0


class OpenFiles:
    """Opens each file once for all who read it at a time.

    Descriptors are few, and a client of HTTP/2 may ask for one file a hundred times and take nothing.

    Args:
        tree: Where they are.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._open: dict[bytes, OpenFile] = {}

    @contextmanager
    def opened(self, name: bytes, stamp: Stamp) -> Iterator[OpenFile]:
        """Have a file open in a `with` block.

        Args:
            name: Relative to the root.
            stamp: What the file was a moment ago; what is open and was something else is not it.

        Raises:
            OSError: it can't be opened.
        """
        found = self._open.get(name)
        if found is None or found.stamp != stamp:
            file = self._tree.open(name)
            found = self._open[name] = OpenFile(file, Stamp.of(os.fstat(file.fileno())))
        found.readers += 1
        try:
            yield found
        finally:
            found.readers -= 1
            if not found.readers:
                found.file.close()
                if self._open.get(name) is found:
                    del self._open[name]
