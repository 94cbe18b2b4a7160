"""Opening files below a folder, and nowhere else."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from site_folder import SiteFolder
from twisted.logger import capturedLogs

from staplesrv.http.static.settings import StaticSettings
from staplesrv.http.static.tree import Tree

pytestmark = pytest.mark.usefixtures("no_descriptor_left")

SECRET = b"never to be seen"


@pytest.fixture
def folder(tmp_path: Path) -> SiteFolder:
    """A folder beside a secret."""
    (tmp_path / "secret.txt").write_bytes(SECRET)
    (tmp_path / "www-secret").mkdir()
    (tmp_path / "www-secret/index.html").write_bytes(SECRET)
    made = SiteFolder(tmp_path / "www")
    made.write("a.txt", "a")
    made.write("docs/b.txt", "b")
    return made


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("link.txt", "../secret.txt"),
        ("link.txt", "docs/../../secret.txt"),
        ("link.txt", "{outside}/secret.txt"),
        ("link.txt", "../www-secret/index.html"),
        ("link.txt", "hop"),
        ("up/secret.txt", ".."),
        ("up/index.html", "../www-secret"),
        ("up/self/environ", "/proc"),
        ("docs/link.txt", "../../secret.txt"),
    ],
)
def test_a_link_that_leads_out_is_not_found(folder: SiteFolder, tmp_path: Path, link: str, target: str) -> None:
    """By name or as a folder on the way, relative or absolute, at once or by another link; as if nothing were there."""
    (folder.root / "hop").symlink_to(tmp_path / "secret.txt")
    place = folder.root / ("up" if link.startswith("up/") else link)
    place.symlink_to(target.format(outside=tmp_path))
    told = folder.get(b"/" + link.encode())
    assert told.status == 404
    assert SECRET not in told.body


def test_a_link_that_stays_inside_is_followed(folder: SiteFolder) -> None:
    """Also to hidden folders, where other programs put what links lead to, and through several links."""
    folder.write(".versions/2/index.html", "two")
    (folder.root / "current").symlink_to(".versions/2")
    (folder.root / "page.html").symlink_to("current/index.html")
    (folder.root / "absolute.txt").symlink_to(folder.root / "a.txt")
    assert folder.get(b"/current/").body == b"two"
    assert folder.get(b"/current").field(b"location") == b"/current/"
    assert folder.get(b"/page.html").body == b"two"
    assert folder.get(b"/absolute.txt").body == b"a"


def test_a_folder_outside_is_no_folder(folder: SiteFolder, tmp_path: Path) -> None:
    """No redirect says that there is an index."""
    (folder.root / "up").symlink_to(tmp_path / "www-secret")
    assert folder.get(b"/up").status == folder.get(b"/up/").status == folder.get(b"/up/nothing").status == 404


def test_links_that_lead_nowhere_are_not_found(folder: SiteFolder) -> None:
    """A dangling one, one to itself, and one to the folder."""
    (folder.root / "dangling").symlink_to("nothing")
    (folder.root / "round").symlink_to("round")
    (folder.root / "root").symlink_to(".")
    for target in (b"/dangling", b"/round", b"/round/a", b"/root", b"/root/"):
        assert folder.get(target).status == 404


def test_a_link_turned_outwards_is_not_followed(folder: SiteFolder, tmp_path: Path) -> None:
    """What was looked at is not what is opened: opening looks once more."""
    tree = Tree(os.fsencode(folder.root))
    assert tree.stamp(b"a.txt") is not None
    (folder.root / "a.txt").unlink()
    (folder.root / "a.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(FileNotFoundError):
        tree.open(b"a.txt")


def test_a_root_behind_links_is_the_root(folder: SiteFolder, tmp_path: Path) -> None:
    """Links on the way to the root and in it are resolved alike."""
    (tmp_path / "alias").symlink_to(tmp_path)
    folder.write("real.txt", "real")
    (folder.root / "link.txt").symlink_to("real.txt")
    assert SiteFolder(tmp_path / "alias/www").get(b"/link.txt").body == b"real"


def test_the_system_itself_as_root(tmp_path: Path) -> None:
    """Where the root is `/`, everything is inside."""
    link = tmp_path / "link"
    (tmp_path / "real").write_bytes(b"real")
    link.symlink_to(tmp_path / "real")
    with Tree(b"/").open(os.fsencode(link)[1:]) as file:
        assert file.read() == b"real"


def test_only_regular_files_are_opened(folder: SiteFolder) -> None:
    """Pipes, sockets and devices are not found, and nobody waits for them."""
    os.mkfifo(folder.root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(folder.root)  # the path of a socket must be short
        listening.bind("socket")
    os.chdir("/")
    (folder.root / "pipe-link").symlink_to("pipe")
    (folder.root / "tty").symlink_to("/dev/tty")
    for target in (b"/pipe", b"/socket", b"/pipe-link"):
        assert folder.get(target).status == 404
    assert folder.get(b"/tty").status == 404
    tree = Tree(os.fsencode(folder.root))
    for name in (b"pipe", b"socket", b"pipe-link", b"docs"):
        with pytest.raises(FileNotFoundError):
            tree.open(name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_forbidden(folder: SiteFolder) -> None:
    """A file, and a folder on the way."""
    folder.write("private.txt", "x").chmod(0)
    (folder.root / "docs").chmod(0)
    assert folder.get(b"/private.txt").status == 403
    assert folder.get(b"/docs/b.txt").status == 403
    (folder.root / "docs").chmod(0o700)


@pytest.mark.parametrize("target", [b"/" + b"x" * 256, b"/" + b"x" * 255, b"/" + b"x/" * 4000, b"/" + b"%78" * 300])
def test_a_name_too_long_is_not_found(folder: SiteFolder, target: bytes) -> None:
    """ENAMETOOLONG of a segment or of the whole is the same as no such file."""
    assert folder.get(target).status == 404


def test_a_name_of_the_greatest_length_is_served(folder: SiteFolder) -> None:
    """Though its neighbours' names would be too long."""
    folder.write("x" * 255, "long")
    assert folder.get(b"/" + b"x" * 255, (b"accept-encoding", b"br")).body == b"long"


class FailingTree(Tree):
    """A disk that fails."""

    def __init__(self, error: int) -> None:
        super().__init__(b"/nowhere")
        self.error = error

    def stamp(self, name: bytes) -> None:
        """As the error says."""
        raise OSError(self.error, os.strerror(self.error), name)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errno.EMFILE, 503),
        (errno.ENFILE, 503),
        (errno.ENOMEM, 503),
        (errno.EIO, 500),
        (errno.EACCES, 403),
        (errno.ELOOP, 404),
    ],
)
def test_errors_of_the_file_system_have_their_status(folder: SiteFolder, error: int, status: int) -> None:
    """A server out of descriptors says that it is busy; a failing disk is our own trouble."""
    folder.look_through(FailingTree(error))
    assert folder.get(b"/a.txt").status == status


def test_a_disk_that_fails_is_logged_once_a_minute(folder: SiteFolder) -> None:
    """However often it is asked, and without a traceback."""
    folder.look_through(FailingTree(errno.EIO))
    with capturedLogs() as said:
        for _ in range(100):
            folder.get(b"/a.txt")
        folder.clock.advance(60)
        folder.get(b"/a.txt")
    assert [event["reason"] for event in said] == [f"[Errno {errno.EIO}] Input/output error: b'a.txt'"] * 2
    assert not any("log_failure" in event for event in said)


PIECES = [
    b"/",
    b"..",
    b".",
    b"%2e",
    b"%2f",
    b"%5c",
    b"%00",
    b"up",
    b"out",
    b"docs",
    b"secret.txt",
    b"a.txt",
    b"www",
    b"~",
]


@given(st.lists(st.sampled_from(PIECES), max_size=10).map(lambda pieces: b"/" + b"".join(pieces)))
def test_nothing_outside_is_ever_answered(target: bytes) -> None:
    """Whatever is made of names, links, dots and escapes: the secret stays where it is."""
    with tempfile.TemporaryDirectory() as place:
        outside = Path(place)
        (outside / "secret.txt").write_bytes(SECRET)
        (outside / "index.html").write_bytes(SECRET)
        folder = SiteFolder(outside / "www", StaticSettings(fallback="docs/up/secret.txt", not_found="out"))
        folder.write("docs/a.txt", "a")
        (folder.root / "up").symlink_to("..")
        (folder.root / "docs/up").symlink_to("../..")
        (folder.root / "out").symlink_to(outside / "secret.txt")
        told = folder.get(target)
        assert SECRET not in told.body
        assert told.status in {200, 404}
