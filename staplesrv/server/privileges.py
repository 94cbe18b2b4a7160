"""Who the server will be once twistd has shed privileges, and what that user can then do."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.paths import file_problem, folder_problem
from staplesrv.server.configuration.place import Place


@dataclass(frozen=True, slots=True)
class Identity:
    """A user, with groups, as the kernel looks at it.

    Args:
        uid: The user.
        gid: The first group.
        groups: All groups.
    """

    uid: int
    gid: int
    groups: tuple[int, ...]

    @contextmanager
    def assumed(self) -> Iterator[None]:
        """Be this user for a moment, so that the kernel itself says what that user may do.

        The whole process is, so nothing else may go on beside it: this is for the start, before the reactor runs.
        """
        before = os.geteuid(), os.getegid(), os.getgroups()
        if self.uid == before[0]:
            yield
            return
        try:
            os.setgroups(self.groups)
            os.setegid(self.gid)
            os.seteuid(self.uid)
            yield
        finally:
            os.seteuid(before[0])
            os.setegid(before[1])
            os.setgroups(before[2])

    def become(self) -> None:
        """Be this user from now on, for good."""
        if os.geteuid() == self.uid and os.getegid() == self.gid:
            return
        os.setgroups(self.groups)
        os.setgid(self.gid)
        os.setuid(self.uid)

    def unreadable(self, paths: Iterable[Path]) -> tuple[Path, ...]:
        """Return the files and directories among some that this user could not read; what is missing is no matter."""
        with self.assumed():
            return tuple(path for path in dict.fromkeys(paths) if _is_unreadable(path))


def after_twistd(options: Mapping[str, Any]) -> Identity | None:
    """Say who the process will be after twistd has started the service.

    Args:
        options: twistd's own options.

    Returns:
        The user to be, or None if it stays who it is.

    Raises:
        OperatorError: twistd could not become that user; found now, it is one line and nothing has started.
    """
    uid, gid = options.get("uid"), options.get("gid")
    if uid is None and gid is None:
        return None
    if os.geteuid() != 0 and uid != os.geteuid():
        option = "--gid" if uid is None else "--uid"
        raise OperatorError(option, "only root can become somebody else", "start twistd as root, or leave it out")
    if uid is None:
        return Identity(os.geteuid(), int(options["gid"]), tuple(os.getgroups()))
    try:
        user = pwd.getpwuid(uid)
    except KeyError as error:
        raise OperatorError("--uid", f"{uid} is no user of this system", "name one that is in /etc/passwd") from error
    gid = user.pw_gid if gid is None else gid
    return Identity(uid, gid, tuple(os.getgrouplist(user.pw_name, gid)))


def of_workers(user: str | None, group: str | None, place: Place) -> Identity | None:
    """Say who workers will be.

    Args:
        user: A name or a number; None if they stay who started the server.
        group: The same; None for the user's own.
        place: For errors.

    Raises:
        OperatorError: there is no such user or group, or the process may not become that one.
    """
    if user is None and group is None:
        return None
    entry, gid = known_user_and_group(user, group, place)
    if os.geteuid() != 0 and (entry.pw_uid, gid) != (os.geteuid(), os.getegid()):
        key = "group" if user is None else "user"
        raise place.error(key, "only root can become somebody else", "start twistd as root, or leave it out")
    return Identity(entry.pw_uid, gid, tuple(os.getgrouplist(entry.pw_name, gid)))


def known_user_and_group(user: str | None, group: str | None, place: Place) -> tuple[pwd.struct_passwd, int]:
    """Look up a user and the first group, as `of_workers` is told of them.

    Raises:
        OperatorError: there is no such user or group.
    """
    try:
        entry = _user(user)
    except KeyError as error:
        raise place.error("user", f"{user} is no user of this system", "name one that is in /etc/passwd") from error
    try:
        return entry, entry.pw_gid if group is None else _gid(group)
    except KeyError as error:
        raise place.error("group", f"{group} is no group of this system", "name one that is in /etc/group") from error


def _user(user: str | None) -> pwd.struct_passwd:
    if user is None:
        return pwd.getpwuid(os.geteuid())
    return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)


def _gid(group: str) -> int:
    return grp.getgrgid(int(group)).gr_gid if group.isdecimal() else grp.getgrnam(group).gr_gid


def _is_unreadable(path: Path) -> bool:
    # As a file and as a folder: which of them it is may be hidden, too.
    return None not in (file_problem(path, may_be_missing=True), folder_problem(path, may_be_missing=True))
