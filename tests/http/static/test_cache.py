"""Small files in memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fake_exchange import FakeExchange, request
from site_folder import NOW, SiteFolder

from staplesrv.http.response import Response
from staplesrv.http.static.settings import StaticSettings
from staplesrv.http.static.tree import Stamp, Tree


class CountingTree(Tree):
    """Counts how often the disk is looked at."""

    def __init__(self, root: Path) -> None:
        super().__init__(os.fsencode(root))
        self.looked = 0
        self.opened = 0

    def stamp(self, name: bytes) -> Stamp | None:
        """Count."""
        self.looked += 1
        return super().stamp(name)

    def open(self, name: bytes) -> object:  # type: ignore[override]
        """Count."""
        self.opened += 1
        return super().open(name)


@pytest.fixture
def folder(tmp_path: Path) -> SiteFolder:
    """A folder with a file of long ago."""
    made = SiteFolder(tmp_path / "www")
    made.write("a.txt", "first")
    return made


def counted(folder: SiteFolder) -> CountingTree:
    """Have a folder's looks at the disk counted."""
    tree = CountingTree(folder.root)
    folder.look_through(tree)
    return tree


def test_the_disk_is_looked_at_once_a_second(folder: SiteFolder) -> None:
    """And a file that is the same is not read again, nor its response made again."""
    tree = counted(folder)
    for _ in range(8):
        for _ in range(10):
            assert folder.get(b"/a.txt").body == b"first"
            folder.get(b"/a.txt", (b"if-none-match", b"*"))
        folder.clock.advance(0.125)
    assert (tree.looked, tree.opened) == (4, 1)  # the file and three neighbours
    folder.get(b"/a.txt")
    assert (tree.looked, tree.opened) == (8, 1)


class Kept(FakeExchange):
    """Keeps the response itself."""

    __slots__ = ("response",)

    def send(self, response: Response) -> None:
        """Keep it."""
        self.response = response
        super().send(response)


def test_the_same_response_goes_out_every_time(folder: SiteFolder) -> None:
    """What each HTTP version makes of it is made once, also over a look at the disk."""
    made = []
    for target in (b"/a.txt", b"/a.txt", b"/a.txt?b=c", b"/%61.txt"):
        exchange = Kept(request(target))
        exchange.give(folder.application)
        made.append(exchange.response)
        folder.clock.advance(1)
    assert len({id(response) for response in made}) == 1


def test_a_change_is_seen_within_a_second(folder: SiteFolder) -> None:
    """In place, by another file in its place, by a change of its date alone, and by its removal."""
    tag = folder.get(b"/a.txt").field(b"etag")
    folder.write("a.txt", "SECOND")
    folder.clock.advance(1)
    told = folder.get(b"/a.txt")
    assert told.body == b"SECOND"
    assert told.field(b"etag") != tag
    folder.write("new.txt", "third!", modified=1_700_000_001).replace(folder.root / "a.txt")
    folder.clock.advance(1)
    assert folder.get(b"/a.txt").body == b"third!"
    os.utime(folder.root / "a.txt", (1e9, 1e9))
    folder.clock.advance(1)
    assert folder.get(b"/a.txt").field(b"last-modified") == b"Sun, 09 Sep 2001 01:46:40 GMT"
    (folder.root / "a.txt").unlink()
    folder.clock.advance(1)
    assert folder.get(b"/a.txt").status == 404
    assert folder.application._shelf._cache.size == 0


def test_a_file_that_grows_too_large_is_no_longer_in_memory(folder: SiteFolder) -> None:
    """And one that shrinks is."""
    folder.get(b"/a.txt")
    folder.write("a.txt", bytes(100_000))
    folder.clock.advance(1)
    assert len(folder.get(b"/a.txt").body) == 100_000
    assert folder.application._shelf._cache.size < 10_000
    folder.write("a.txt", "small")
    folder.clock.advance(1)
    assert folder.get(b"/a.txt").body == b"small"


def test_a_file_just_written_is_read_anew(tmp_path: Path) -> None:
    """Its date can't tell one state within a tick of the clock from another, until the tick is over."""
    now = tmp_path.stat().st_mtime
    folder = SiteFolder(tmp_path / "www", wall_clock=lambda: now)
    folder.write("a.txt", "first")
    tree = counted(folder)
    folder.get(b"/a.txt")
    folder.clock.advance(1)
    folder.get(b"/a.txt")
    assert tree.opened == 2
    now += 5
    for _ in range(5):
        folder.clock.advance(1)
        folder.get(b"/a.txt")
    assert tree.opened == 3


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Whatever is asked for, in whatever spelling; what was asked for last stays."""
    folder = SiteFolder(tmp_path / "www", StaticSettings(memory=200_000))
    for number in range(100):
        folder.write(f"{number}.bin", bytes(10_000))
    cache = folder.application._shelf._cache
    for number in range(100):
        folder.get(b"/%d.bin" % number)
        folder.get(b"/%d.bin?%d" % (number, number))
        folder.get(b"/%%3%d.bin" % (number % 10))
        assert cache.size <= 200_000
        assert (
            sum(
                representation.size
                for entry in cache.entries.values()
                for representation in entry.representations.values()
            )
            <= cache.size
        )
    assert b"/99.bin" in cache.entries
    assert b"/50.bin" not in cache.entries


def test_what_is_asked_for_stays(tmp_path: Path) -> None:
    """A file in use outlives a crawl over all others."""
    folder = SiteFolder(tmp_path / "www", StaticSettings(memory=100_000))
    for number in range(50):
        folder.write(f"{number}.bin", bytes(10_000))
    for number in range(1, 50):
        folder.get(b"/%d.bin" % number)
        folder.get(b"/0.bin")
        folder.clock.advance(1)
    assert b"/0.bin" in folder.application._shelf.entries


def test_many_spellings_of_accept_encoding_take_no_room(folder: SiteFolder) -> None:
    """A client can't fill the memory with them."""
    for number in range(1000):
        folder.get(b"/a.txt", (b"accept-encoding", b"x%d" % number))
    folder.get(b"/a.txt", (b"accept-encoding", b"x" * 1000))
    entry = folder.application._shelf.entries[b"/a.txt"]
    assert len(entry.whole) <= 8
    assert max(map(len, entry.whole)) <= 128


def test_without_memory_files_are_served(tmp_path: Path) -> None:
    """`memory = 0` keeps nothing, `file_in_memory = 0` nothing but empty files, `check_seconds = 0` looks each time."""
    for settings in (StaticSettings(memory=0), StaticSettings(file_in_memory=0), StaticSettings(check_seconds=0)):
        folder = SiteFolder(tmp_path / "www", settings)
        for content in ("first", "second", ""):
            folder.write("a.txt", content)
            folder.clock.advance(1)
            for _ in range(2):
                assert folder.get(b"/a.txt").body == content.encode()
                assert folder.get(b"/a.txt", method=b"HEAD").field(b"content-length") == b"%d" % len(content)


def test_a_date_in_the_future_is_not_told(folder: SiteFolder) -> None:
    """RFC 9110 §8.8.2.1: no Last-Modified later than now; nor one of before the epoch."""
    for modified in (NOW + 10, -10.0):
        folder.write("a.txt", "a", modified=modified)
        folder.clock.advance(1)
        told = folder.get(b"/a.txt")
        assert told.field(b"last-modified") is None
        assert (told.field(b"etag") or b"").startswith(b'"')
