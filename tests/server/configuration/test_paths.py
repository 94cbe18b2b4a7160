"""What is wrong with a file or a folder."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from staplesrv.server.configuration.paths import file_problem, folder_problem, written_problem
from staplesrv.server.privileges import Identity

NOBODY = Identity(65534, 65534, ())


def said(found: object) -> str:
    """The first part of a problem."""
    assert isinstance(found, tuple)
    return str(found[0])


def test_a_file_that_can_be_read_has_no_problem(tmp_path: Path) -> None:
    """Nor does a link to it, as certificate renewers make them."""
    file = tmp_path / "a"
    file.write_bytes(b"x")
    (tmp_path / "link").symlink_to(file)
    assert file_problem(file) is None
    assert file_problem(tmp_path / "link") is None


def test_a_folder_that_can_be_read_has_no_problem(tmp_path: Path) -> None:
    """A folder is not a file, and the other way round."""
    (tmp_path / "a").write_bytes(b"")
    assert folder_problem(tmp_path) is None
    assert said(file_problem(tmp_path)) == "is a directory"
    assert said(folder_problem(tmp_path / "a")) == "is a file, not a directory"


def test_what_is_missing_is_a_problem_unless_it_may_be(tmp_path: Path) -> None:
    """A staple file may come later."""
    missing = tmp_path / "a"
    assert said(file_problem(missing)) == "does not exist"
    assert said(folder_problem(missing)) == "does not exist"
    assert file_problem(missing, may_be_missing=True) is None
    assert folder_problem(missing, may_be_missing=True) is None


def test_a_link_to_nothing_is_missing(tmp_path: Path) -> None:
    """What counts is where it leads."""
    (tmp_path / "link").symlink_to("nowhere")
    assert said(file_problem(tmp_path / "link")) == "does not exist"


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    """To open one would wait for a writer, perhaps for ever."""
    os.mkfifo(tmp_path / "pipe")
    assert said(file_problem(tmp_path / "pipe")) == "is no regular file"


def test_a_socket_is_no_file(tmp_path: Path) -> None:
    """Nor can it be read."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        assert said(file_problem(tmp_path / "s")) == "is no regular file"


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "\ud800", "a/" * 3000])
def test_an_impossible_name_is_a_problem(tmp_path: Path, name: str) -> None:
    """A NUL, too long a name, half of a surrogate pair, too deep a path."""
    assert file_problem(tmp_path / name) is not None
    assert folder_problem(tmp_path / name) is not None


def test_a_file_below_a_file_is_a_problem(tmp_path: Path) -> None:
    """The path goes on where nothing can."""
    (tmp_path / "a").write_bytes(b"x")
    assert said(file_problem(tmp_path / "a" / "b")).startswith("can't be used: Not a directory")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not")
def test_a_file_that_may_not_be_read_is_a_problem(tmp_path: Path) -> None:
    """Permission denied, whether for the file or for the folder."""
    file = tmp_path / "a"
    file.write_bytes(b"x")
    file.chmod(0o600)
    with NOBODY.assumed():
        assert said(file_problem(file)) == "permission denied"
        assert said(folder_problem(Path("/root"))) == "permission denied"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not")
def test_a_file_that_is_added_to_need_not_be_read() -> None:
    """But be written; where it is missing, its folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        file, missing = folder / "a", folder / "b"
        file.write_bytes(b"x")
        assert written_problem(file) is None
        assert written_problem(missing) is None
        for mode, fine in ((0o222, True), (0o444, False)):
            file.chmod(mode)
            with NOBODY.assumed():
                assert (written_problem(file) is None) == fine
        with NOBODY.assumed():
            assert said(written_problem(missing)) == "permission denied"
