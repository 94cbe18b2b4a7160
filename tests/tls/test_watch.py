"""Which files have changed."""

from __future__ import annotations

import os
from pathlib import Path

from staplesrv.tls.watch import MIN_SLICE, ROUND, Watch


def write(path: Path, text: str) -> Path:
    """Replace a file, as whoever renews certificates does."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)
    return path


def test_every_kind_of_change(tmp_path: Path) -> None:
    """Files that appear, go, are replaced, grow, or are replaced behind a link are seen, once each."""
    same, appears, goes, replaced, grows, target = (tmp_path / name for name in "abcdef")
    link = tmp_path / "link"
    for path in (same, goes, replaced, grows, target):
        write(path, "1")
    link.symlink_to(target)
    watch = Watch()
    watch.follow([same, appears, goes, replaced, grows, link])
    assert watch.changed() == frozenset()
    write(appears, "1")
    goes.unlink()
    write(replaced, "2")
    with grows.open("a") as file:
        file.write("2")
    write(target, "2")
    assert watch.changed() == {appears, goes, replaced, grows, link}
    assert watch.changed() == frozenset()


def test_link_that_turns(tmp_path: Path) -> None:
    """A link that leads to another file is a change, as with certbot's."""
    for name in ("1", "2"):
        write(tmp_path / name, "x")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "1")
    watch = Watch()
    watch.follow([link])
    link.unlink()
    link.symlink_to(tmp_path / "2")
    assert watch.changed() == {link}


def test_same_size_and_time(tmp_path: Path) -> None:
    """A file of the same size that was given the old time again is seen all the same."""
    path = write(tmp_path / "a", "1")
    watch = Watch()
    watch.follow([path])
    before = path.stat()
    write(path, "2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert watch.changed() == {path}


def test_what_can_not_be_looked_at(tmp_path: Path) -> None:
    """Paths that can't be are as good as missing files."""
    (tmp_path / "file").touch()
    watch = Watch()
    watch.follow([tmp_path / "file" / "below", Path("a\0b")])
    assert watch.changed() == frozenset()


def test_slices(tmp_path: Path) -> None:
    """Of many files each is looked at within one round of calls, and none twice in it."""
    files = [tmp_path / str(number) for number in range(MIN_SLICE * ROUND * 2)]
    watch = Watch()
    watch.follow(files)
    for path in files[::97]:
        path.touch()
    seen = [watch.changed() for _ in range(ROUND)]
    assert frozenset().union(*seen) == set(files[::97])
    assert all(len(one) < len(files[::97]) for one in seen)
    assert watch.changed() == frozenset()


def test_follow_keeps_what_is_known(tmp_path: Path) -> None:
    """A file that is followed on is compared with how it was before; one that is left out is forgotten."""
    first, second = write(tmp_path / "a", "1"), write(tmp_path / "b", "1")
    watch = Watch()
    watch.follow([first, second])
    write(first, "2")
    write(second, "2")
    watch.follow([first])
    assert watch.changed() == {first}
    watch.follow([first, second])
    assert watch.changed() == frozenset()
