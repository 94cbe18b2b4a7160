"""The configuration as one checked value: out of a TOML file, or out of the options for one site.

A value that exists was valid when it was read: its files are there, its endpoints can be understood. That a key fits
its certificate shows when the stapler loads them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from staplesrv.errors import OperatorError
from staplesrv.http.limits import Limits as HTTPLimits
from staplesrv.ops.admin_address import AdminAddress, BadAdminAddress
from staplesrv.server.configuration.access_log_table import AccessLogSettings, read_access_log
from staplesrv.server.configuration.http_table import read_http
from staplesrv.server.configuration.limits_table import read_limits
from staplesrv.server.configuration.listener import DEFAULT_LISTEN, Listener, long_listeners, short_listeners
from staplesrv.server.configuration.paths import folder_problem
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.schema import ELSEWHERE, FileTable
from staplesrv.server.configuration.site import Site, read_site, same_names
from staplesrv.server.configuration.staples_table import read_settings
from staplesrv.server.configuration.table import read_table
from staplesrv.server.configuration.toml_file import read_toml
from staplesrv.staples.settings import Settings
from staplesrv.tls.limits import Limits

DRAIN = 30.0
"""Seconds that connections have where nothing is said."""

MOST_WORKERS = 256

LONGEST_DRAIN = 86_400.0
"""What is beyond is a slip."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that an operator says about one server.

    Args:
        listeners: Where to listen; at least one.
        sites: The first one is for unknown names; at least one.
        settings: How staples are kept.
        state_dir: Where staples survive restarts; None leaves it to `state_dir.default`.
        file: Where it was read from, absolute; None for options.
        place: For errors.
        limits: What clients may take.
        http: The same for HTTP.
        access_log: Where requests are noted down; None for nowhere.
        drain: Seconds that connections have to finish when the server stops.
        workers: How many processes serve.
        user: Who workers are, a name or a number; None for who started the server.
        group: The same of their group; None for the user's.
        admin: Where the server can be looked at and steered; None for nowhere.
    """

    listeners: tuple[Listener, ...]
    sites: tuple[Site, ...]
    settings: Settings
    state_dir: Path | None
    file: Path | None
    place: Place = field(compare=False)
    limits: Limits = field(default_factory=Limits)
    http: HTTPLimits = field(default_factory=HTTPLimits)
    access_log: AccessLogSettings | None = None
    drain: float = DRAIN
    workers: int = 1
    user: str | None = None
    group: str | None = None
    admin: AdminAddress | None = None

    def again(self) -> Configuration:
        """Read the file once more; options stay what they were.

        Raises:
            OperatorError: as `load`.
        """
        return self if self.file is None else load(self.file, self.place.where)

    @property
    def has_supervisor(self) -> bool:
        """Whether it takes several processes: also for a single worker that is somebody else."""
        return self.workers > 1 or self.user is not None or self.group is not None

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file and folder that a reload or a request reads."""
        own = [] if self.file is None else [self.file]
        challenges = [one.acme_challenges for one in self.listeners if one.acme_challenges is not None]
        behind = [file for site in self.sites for file in site.files]
        return tuple(dict.fromkeys([*own, *behind, *challenges]))

    def needs_restart_for(self, other: Configuration) -> tuple[str, ...]:
        """Return the keys that differ in another configuration and that a reload leaves as they were."""
        pairs = {
            "admin": (self.admin, other.admin),
            "[access_log]": (self.access_log, other.access_log),
            "[http]": (self.http, other.http),
            "[limits]": (self.limits, other.limits),
            "[staples]": (self.settings, other.settings),
            "state_dir": (self.state_dir, other.state_dir),
            "workers": (self.has_supervisor, other.has_supervisor),
            "user": (self.user, other.user),
            "group": (self.group, other.group),
        }
        return tuple(key for key, (here, there) in pairs.items() if here != there)

    def as_far_as_reloaded(self, before: Configuration) -> Configuration:
        """Return this configuration with what a reload leaves as it was; see `needs_restart_for`."""
        return replace(
            self,
            access_log=before.access_log,
            admin=before.admin,
            http=before.http,
            limits=before.limits,
            settings=before.settings,
            state_dir=before.state_dir,
            workers=self.workers if self.has_supervisor and before.has_supervisor else before.workers,
            user=before.user,
            group=before.group,
        )

    def explain(self, error: OperatorError) -> OperatorError:
        """Say which key of the configuration an error about a file is about; other errors stay as they are."""
        return next(filter(None, (site.explain(error) for site in self.sites)), error)


def load(file: Path, where: str = "") -> Configuration:
    """Read a configuration file.

    Args:
        file: The file; relative paths in it count from its folder.
        where: How errors call it; the path as it was given where empty.

    Raises:
        OperatorError: the file or something in it can't be used.
    """
    absolute_file = Path.cwd() / file
    return build(read_toml(file), Place(where or str(file)), absolute_file.parent, file=absolute_file)


def build(value: Mapping[str, Any], place: Place, base: Path, *, file: Path | None = None) -> Configuration:
    """Check what a file or the options say, and make a value of it.

    Args:
        value: As TOML has it.
        place: For errors.
        base: The folder that relative paths count from, absolute.
        file: Where it was read from.

    Raises:
        OperatorError: something in it can't be used.
    """
    table = read_table(value, FileTable, place, elsewhere=ELSEWHERE)
    # The settings first: sites are many, and an error up there would only show after all of them were looked at.
    settings = Settings() if table.staples is None else read_settings(table.staples, place)
    limits = Limits() if table.limits is None else read_limits(table.limits, place)
    http = HTTPLimits() if table.http is None else read_http(table.http, place)
    access_log = None if table.access_log is None else read_access_log(table.access_log, place, base)
    listeners = _listeners(table, place, base)
    if not table.sites:
        raise place.error("sites", "there is none", "add a [[sites]] with certificate, private_key and static")
    sites = tuple(read_site(site, number, place, base) for number, site in enumerate(table.sites, 1))
    if error := same_names(sites):
        raise error
    state_dir = _state_dir(table.state_dir, place, base)
    drain = _drain(table.drain, place)
    workers = _workers(table.workers, place)
    user, group = _text(table.user), _text(table.group)
    admin = read_admin(table.admin, place, base)
    if admin is not None and admin.endpoint in {listener.endpoint for listener in listeners}:
        raise place.error("admin", "is also listened on for clients", "give it a place of its own")
    return Configuration(
        listeners, sites, settings, state_dir, file, place, limits, http, access_log, drain, workers, user, group, admin
    )


def read_admin(text: str | None, place: Place, base: Path) -> AdminAddress | None:
    """Read the key `admin`.

    Args:
        text: What stands there.
        place: For errors.
        base: The folder that relative paths count from.

    Raises:
        OperatorError: it is no place, or one that strangers could reach.
    """
    try:
        return None if text is None else AdminAddress.parse(text).within(base)
    except BadAdminAddress as error:
        raise place.error("admin", error.problem, error.advice) from error


def _listeners(table: FileTable, place: Place, base: Path) -> tuple[Listener, ...]:
    if table.listen is None and table.listeners is None:
        return (Listener(DEFAULT_LISTEN),)
    listeners = (*short_listeners(table.listen, place), *long_listeners(table.listeners, place, base))
    if not listeners:
        raise place.error("listen", "is empty", 'name an endpoint, as in listen = "tcp:443"')
    endpoints = [listener.endpoint for listener in listeners]
    twice = next((endpoint for endpoint in endpoints if endpoints.count(endpoint) > 1), None)
    if twice is not None:
        raise place.error("listen", f"{twice} is there twice", "keep one of them")
    if all(listener.tls is None for listener in listeners):
        problem = 'every listener has tls = "off", so that no site is served'
        raise place.error("listen", problem, 'add one with TLS, as in listen = "tcp:443"')
    return listeners


def _drain(seconds: float | None, place: Place) -> float:
    if seconds is None:
        return DRAIN
    if not 0 <= seconds <= LONGEST_DRAIN:
        raise place.error("drain", "is out of range", f"use from 0 to {LONGEST_DRAIN:.0f} seconds")
    return seconds


def _workers(number: int | str, place: Place) -> int:
    if isinstance(number, str):
        # The processors that this process may run on: fewer than the machine has, in a container or under taskset.
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= number <= MOST_WORKERS:
        raise place.error("workers", f"is {number}", f'give a number from 1 to {MOST_WORKERS}, or "auto"')
    return number


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _state_dir(text: str | None, place: Place, base: Path) -> Path | None:
    if text is None:
        return None
    if not text:
        raise place.error("state_dir", "is empty", "name a directory, or leave the key out")
    folder = base / text
    if wrong := folder_problem(folder, may_be_missing=True):
        raise place.path_error("state_dir", folder, wrong)
    return folder
