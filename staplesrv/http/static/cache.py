"""Files that are kept in memory."""

from __future__ import annotations

from staplesrv.http.response import Response
from staplesrv.http.static.file_path import FilePath
from staplesrv.http.static.representation import Representation
from staplesrv.http.static.tree import Stamp

Stamps = dict[bytes, Stamp]
"""Of a file, under `b""`, and of its neighbours, by content coding."""

_OVERHEAD = 6144
"""Bytes that an entry takes beside contents, for Python's objects and the heads of its responses in both HTTP versions:
measured with ten thousand empty files."""

_MOST_ACCEPTED = 8
_LONGEST_ACCEPTED = 128  # bytes


class Entry:
    """A file and its neighbours, as they were when the disk was looked at.

    Args:
        path: Where it is.
        stamps: What it was then.
        settled: What changes from now on changes the stamps, too.

    Attributes:
        fresh_until: When it is to be looked at again, in the clock's seconds.
        url: What most requests for it have as their target.
        codings: Of its neighbours.
        representations: Those that were asked for, by content coding; large ones without their content.
        whole: The answers to those who ask for nothing in particular, by Accept-Encoding.
    """

    __slots__ = ("codings", "fresh_until", "path", "representations", "settled", "stamps", "url", "whole")

    def __init__(self, path: FilePath, stamps: Stamps, *, settled: bool) -> None:
        self.path = path
        self.url = path.url
        self.stamps = stamps
        self.fresh_until = 0.0
        self.settled = settled
        self.codings = frozenset(stamps) - {b""}
        self.representations: dict[bytes, Representation] = {}
        self.whole: dict[bytes, Response] = {}

    def remember(self, accepted: bytes, response: Response) -> None:
        """Keep the answer to those who say the same in Accept-Encoding; there are few browsers."""
        if len(accepted) <= _LONGEST_ACCEPTED:
            if len(self.whole) >= _MOST_ACCEPTED:
                self.whole.clear()
            self.whole[accepted] = response


class Cache:
    """Entries by the URLs of their files, as many as there is room for. The one not asked for longest goes first.

    Args:
        room: For how many bytes.

    Attributes:
        entries: The one checked last comes last.
        size: What they take, in bytes.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self.entries: dict[bytes, Entry] = {}
        self.size = 0

    def renew(self, entry: Entry) -> None:
        """Take note that an entry is asked for, if it is still kept."""
        if self.entries.pop(entry.url, None) is not None:
            self.entries[entry.url] = entry

    def put(self, entry: Entry) -> None:
        """Keep an entry, instead of the one with its URL."""
        self.drop(entry.url)
        self.entries[entry.url] = entry
        self.size += _cost(entry)
        self._make_room()

    def keep(self, entry: Entry, coding: bytes, representation: Representation) -> None:
        """Keep a representation, if its entry is still kept."""
        if self.entries.get(entry.url) is entry:
            self.size -= _cost(entry)
            entry.representations[coding] = representation
            self.size += _cost(entry)
            self._make_room()

    def drop(self, url: bytes) -> None:
        """Forget an entry, if there is one."""
        entry = self.entries.pop(url, None)
        if entry is not None:
            self.size -= _cost(entry)

    def _make_room(self) -> None:
        while self.size > self._room and self.entries:
            self.drop(next(iter(self.entries)))


def _cost(entry: Entry) -> int:
    return _OVERHEAD + sum(len(representation.body or b"") for representation in entry.representations.values())
