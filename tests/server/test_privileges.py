"""Who the server will be, and what that user may do."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.place import Place
from staplesrv.server.privileges import Identity, after_twistd, of_workers

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
NOBODY = 65534
PLACE = Place("a.toml")
SELF = Identity(os.geteuid(), os.getegid(), tuple(os.getgroups()))


def test_without_uid_and_gid_it_stays_who_it_is() -> None:
    """Whether twistd has the options or somebody else starts this."""
    assert after_twistd({"uid": None, "gid": None}) is None
    assert after_twistd({}) is None


@ROOT_ONLY
def test_a_uid_brings_its_groups() -> None:
    """As twistd takes them from the system's tables; --gid comes before the user's own."""
    user = pwd.getpwuid(NOBODY)
    assert after_twistd({"uid": NOBODY, "gid": None}) == Identity(
        NOBODY, user.pw_gid, tuple(os.getgrouplist(user.pw_name, user.pw_gid))
    )
    found = after_twistd({"uid": NOBODY, "gid": 7})
    assert found is not None
    assert found.gid == 7
    assert 7 in found.groups


@ROOT_ONLY
def test_a_gid_alone_leaves_the_user() -> None:
    """Root stays root."""
    assert after_twistd({"uid": None, "gid": 7}) == Identity(0, 7, tuple(os.getgroups()))


@ROOT_ONLY
def test_a_uid_that_nobody_has_is_refused() -> None:
    """That would end in a traceback of twistd's, later."""
    with pytest.raises(OperatorError, match=r"^--uid: 54321 is no user of this system; "):
        after_twistd({"uid": 54321, "gid": None})


def test_only_root_becomes_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line before anything starts, instead of one in the log after it."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(OperatorError, match=r"^--uid: only root can become somebody else; "):
        after_twistd({"uid": 1001, "gid": None})
    with pytest.raises(OperatorError, match=r"^--gid: only root"):
        after_twistd({"uid": None, "gid": 7})


def test_who_becomes_itself_changes_nothing() -> None:
    """That takes no privilege."""
    with SELF.assumed():
        assert os.geteuid() == SELF.uid


@ROOT_ONLY
def test_an_identity_is_assumed_for_a_moment() -> None:
    """User, group and groups, and all of them come back, whatever happens inside."""
    before = os.geteuid(), os.getegid(), os.getgroups()
    with pytest.raises(ZeroDivisionError), Identity(NOBODY, 7, (7, 8)).assumed():  # noqa: PT012 - both lines matter
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (NOBODY, 7, [7, 8])
        raise ZeroDivisionError
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before


@ROOT_ONLY
def test_what_that_user_could_not_read_is_found(tmp_path: Path) -> None:
    """Files by their own mode or a folder's above them, folders too; what is missing is no matter."""
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
    key, shared, folder = tmp_path / "key", tmp_path / "shared", tmp_path / "folder"
    key.write_text("k")
    key.chmod(0o600)
    shared.write_text("s")
    shared.chmod(0o640)
    os.chown(shared, 0, 7)
    folder.mkdir(mode=0o700)
    (folder / "below").write_text("b")
    paths = [key, shared, folder, folder / "below", tmp_path / "missing", key]
    assert Identity(NOBODY, NOBODY, ()).unreadable(paths) == (key, shared, folder, folder / "below")
    assert Identity(NOBODY, 7, (7,)).unreadable(paths) == (key, folder, folder / "below")
    assert SELF.unreadable(paths) == ()


def test_workers_stay_who_starts_them_where_nothing_is_said() -> None:
    """Most servers."""
    assert of_workers(None, None, PLACE) is None


@ROOT_ONLY
@pytest.mark.parametrize("user", ["nobody", str(NOBODY)])
def test_workers_have_the_groups_of_their_user(user: str) -> None:
    """Whether named or numbered; a group comes before the user's own."""
    entry = pwd.getpwuid(NOBODY)
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    assert of_workers(user, None, PLACE) == Identity(NOBODY, entry.pw_gid, groups)
    found = of_workers(user, "7", PLACE)
    assert found is not None
    assert found.gid == 7


@pytest.mark.parametrize(
    ("user", "group", "said"),
    [
        ("nobody-of-this-name", None, "a.toml: user: nobody-of-this-name is no user of this system; "),
        ("4000000", None, "a.toml: user: 4000000 is no user of this system; "),
        (None, "no-such-group", "a.toml: group: no-such-group is no group of this system; "),
    ],
)
def test_workers_can_t_be_who_there_is_not(user: str | None, group: str | None, said: str) -> None:
    """One line, with the key."""
    with pytest.raises(OperatorError) as caught:
        of_workers(user, group, PLACE)
    assert str(caught.value).startswith(said)


def test_workers_of_others_than_root_are_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody else is refused before anything runs."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(OperatorError, match="user: only root can become somebody else"):
        of_workers("0", None, PLACE)
