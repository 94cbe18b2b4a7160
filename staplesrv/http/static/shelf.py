"""Files as they are on the disk, or were a moment ago in memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import ExitStack
from io import FileIO

from twisted.internet.interfaces import IReactorTime

from staplesrv.http.static.cache import Cache, Entry, Stamps
from staplesrv.http.static.encodings import SUFFIXES, choose
from staplesrv.http.static.file_path import FilePath
from staplesrv.http.static.media_types import media_type
from staplesrv.http.static.open_files import OpenFiles
from staplesrv.http.static.representation import Description, Representation, read_whole
from staplesrv.http.static.settings import StaticSettings
from staplesrv.http.static.tree import Tree
from staplesrv.sources import WallClock

_UNSETTLED_NS = 2_000_000_000
"""A file may change twice within a tick of its file system's clock, and look the same. FAT has the coarsest, 2 s."""


class Shelf:
    """Finds files, and keeps small ones at hand.

    Args:
        tree: Where they are.
        settings: How they are served.
        clock: The reactor.
        wall_clock: What modification times are compared with.

    Attributes:
        entries: Those at hand, by their URLs; they may have been looked at too long ago.
    """

    def __init__(self, tree: Tree, settings: StaticSettings, clock: IReactorTime, wall_clock: WallClock) -> None:
        self._tree = tree
        self._open_files = OpenFiles(tree)
        self._settings = settings
        self._clock = clock
        self._wall_clock = wall_clock
        self._cache = Cache(settings.memory)
        self.entries: Mapping[bytes, Entry] = self._cache.entries

    def find(self, path: FilePath) -> Entry:
        """Return what is known of a file, not older than `check_seconds`.

        Raises:
            IsADirectoryError: it is a folder.
            OSError: it is not there, or can't be looked at.
        """
        now = self._clock.seconds()
        url = path.url
        entry = self.entries.get(url)
        if entry is not None and entry.fresh_until > now:
            return entry
        try:
            stamps = self._stamps(path.name)
        except OSError:
            self._cache.drop(url)
            raise
        if entry is None or not entry.settled or entry.stamps != stamps:
            entry = Entry(path, stamps, settled=self._are_settled(stamps))
            self._cache.put(entry)
        entry.fresh_until = now + self._settings.check_seconds
        self._cache.renew(entry)
        return entry

    def is_there(self, path: FilePath) -> bool:
        """Tell whether there is a file that can be had."""
        try:
            self._tree.open(path.name).close()
        except OSError:
            return False
        return True

    def take(self, entry: Entry, accepted: bytes, opened: ExitStack) -> tuple[Representation, FileIO | None]:
        """Return the representation of a file that a client likes best.

        Args:
            entry: The file.
            accepted: Accept-Encoding.
            opened: Closes what is opened.

        Returns:
            And its file, where the content is not in memory.

        Raises:
            OSError: it can't be opened or read.
        """
        *codings, plain = choose(accepted, entry.codings)
        for coding in codings:
            try:
                return self._load(entry, coding, opened)
            except OSError:
                continue  # a neighbour that may not be read is none
        return self._load(entry, plain, opened)

    def _stamps(self, name: bytes) -> Stamps:
        own = self._tree.stamp(name)
        if own is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        stamps = {b"": own}
        for coding, suffix in SUFFIXES.items():
            try:
                stamp = self._tree.stamp(name + suffix) if coding else None
            except OSError:
                continue  # a folder of that name, or something else that is no use
            if stamp is not None:
                stamps[coding] = stamp
        return stamps

    def _are_settled(self, stamps: Stamps) -> bool:
        settled_before = self._wall_clock() * 1e9 - _UNSETTLED_NS
        return all(stamp.changed < settled_before for stamp in stamps.values())

    def _load(self, entry: Entry, coding: bytes, opened: ExitStack) -> tuple[Representation, FileIO | None]:
        kept = entry.representations.get(coding)
        if kept is not None and kept.body is not None:
            return kept, None
        name = entry.path.name + SUFFIXES[coding]
        found = opened.enter_context(self._open_files.opened(name, entry.stamps[coding]))
        file, stamp = found.file, found.stamp
        if kept is not None and kept.stamp == stamp:
            return kept, file
        body = read_whole(file, stamp.size) if stamp.size <= self._settings.file_in_memory else None
        representation = Representation(self._describe(entry, coding), stamp, self._wall_clock(), body)
        self._cache.keep(entry, coding, representation)
        return representation, None if body is not None else file

    def _describe(self, entry: Entry, coding: bytes) -> Description:
        name = entry.path.name
        kind = media_type(name, self._settings.media_types)
        return Description(kind, coding, self._settings.cache_control_of(name), varies=bool(entry.codings))
