"""Where staples survive restarts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from staplesrv.errors import OperatorError
from staplesrv.server.privileges import Identity
from staplesrv.server.state_dir import default_state_dir, usable_state_dir

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
NOBODY = Identity(65534, 65534, ())


def test_systemd_comes_first() -> None:
    """Of several directories in a row the first."""
    assert default_state_dir({"STATE_DIRECTORY": "/var/lib/a"}, is_root=True) == Path("/var/lib/a")
    assert default_state_dir({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, is_root=False) == Path("/var/lib/a")


def test_root_has_a_directory_of_the_system() -> None:
    """As packages expect it."""
    assert default_state_dir({"STATE_DIRECTORY": ""}, is_root=True) == Path("/var/lib/staplesrv")


def test_others_have_one_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where their system keeps such things."""
    monkeypatch.setenv("XDG_STATE_HOME", "/home/somebody/state")
    assert default_state_dir({}, is_root=False) == Path("/home/somebody/state/staplesrv")


def test_a_missing_directory_is_made(tmp_path: Path) -> None:
    """For this user alone, with all above it; nothing is left in it by the trial."""
    wanted = tmp_path / "a" / "b"
    assert usable_state_dir(wanted, {}, None) == wanted
    assert wanted.stat().st_mode & 0o777 == 0o700
    assert list(wanted.iterdir()) == []


def test_a_directory_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """Its mode is the operator's business."""
    tmp_path.chmod(0o750)
    assert usable_state_dir(tmp_path, {}, None) == tmp_path
    assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_one_that_was_asked_for_and_can_t_be_is_refused(tmp_path: Path) -> None:
    """Silence would cost the staples at the next restart."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError) as caught:
        usable_state_dir(tmp_path / "file" / "state", {}, None)
    assert str(caught.value) == (
        f"{tmp_path}/file/state: state_dir: can't be written: Not a directory; give it to the server's user"
    )


def test_the_default_that_can_t_be_is_a_warning(tmp_path: Path) -> None:
    """And staples are kept in memory alone."""
    (tmp_path / "file").write_text("")
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        found = usable_state_dir(None, {"STATE_DIRECTORY": str(tmp_path / "file" / "state")}, None)
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert found is None
    assert [event["log_level"].name for event in events] == ["warn"]


def test_a_user_without_a_home_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that starts with a tilde is nobody's."""
    monkeypatch.setenv("STATE_DIRECTORY", "")
    assert usable_state_dir(None, {"STATE_DIRECTORY": "~/state"}, None) is None
    assert not Path("~").exists()


@ROOT_ONLY
def test_what_is_made_belongs_to_who_will_serve(tmp_path: Path) -> None:
    """Who could not write to it otherwise."""
    reachable(tmp_path)
    wanted = tmp_path / "state"
    assert usable_state_dir(wanted, {}, NOBODY) == wanted
    assert (wanted.stat().st_uid, wanted.stat().st_gid) == (NOBODY.uid, NOBODY.gid)
    assert usable_state_dir(wanted, {}, NOBODY) == wanted


@ROOT_ONLY
def test_what_was_there_changes_no_hands(tmp_path: Path) -> None:
    """Somebody else's directory is not given away; that it can't be written is said at start."""
    reachable(tmp_path)
    wanted = tmp_path / "state"
    wanted.mkdir(mode=0o755)
    with pytest.raises(OperatorError, match="can't be written by user 65534: Permission denied"):
        usable_state_dir(wanted, {}, NOBODY)
    assert wanted.stat().st_uid == 0


def reachable(folder: Path) -> None:
    """Let everybody through to a folder of pytest's."""
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
