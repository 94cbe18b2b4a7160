"""A folder of files and the application that serves it, for tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fake_exchange import FakeExchange, Told, request
from twisted.internet.task import Clock

from staplesrv.http.fields import Field
from staplesrv.http.static.files import Static
from staplesrv.http.static.settings import StaticSettings
from staplesrv.http.static.tree import Tree

NOW = 4_000_000_000.0
"""What the wall clock says: long after the tests are run, as inodes have the real time in them."""

THEN = 1_700_000_000
"""When the files were written: Tue, 14 Nov 2023 22:13:20 GMT."""


@dataclass
class SiteFolder:
    """A folder, and requests for what is in it."""

    root: Path
    settings: StaticSettings = field(default_factory=StaticSettings)
    clock: Clock = field(default_factory=Clock)
    wall_clock: Callable[[], float] = lambda: NOW
    random_bytes: Callable[[int], bytes] = bytes

    def __post_init__(self) -> None:
        self.root.mkdir(exist_ok=True)
        self.application = Static(
            self.root,
            settings=self.settings,
            clock=self.clock,
            wall_clock=self.wall_clock,
            random_bytes=self.random_bytes,
        )

    def write(self, name: str, content: bytes | str = b"", *, modified: float = THEN) -> Path:
        """Write a file of long ago."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, (modified, modified))
        return path

    def look_through(self, tree: Tree) -> None:
        """Have the disk looked at by another tree."""
        shelf = self.application._shelf
        shelf._tree = shelf._open_files._tree = tree

    def exchange(self, target: bytes, *fields: Field, method: bytes = b"GET") -> FakeExchange:
        """Have a request answered as far as it goes by itself."""
        exchange = FakeExchange(request(target, method, fields))
        exchange.give(self.application)
        if exchange.handler is not None:
            exchange.handler.body_end(())
        return exchange

    def get(self, target: bytes, *fields: Field, method: bytes = b"GET") -> Told:
        """Return what is answered."""
        told = self.exchange(target, *fields, method=method).told
        assert told.finished
        return told


def open_descriptors() -> set[str]:
    """Which descriptors this process has."""
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - of bare names
