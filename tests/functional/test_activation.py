"""Sockets as systemd hands them over, through reloads and upgrades."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from functional.family import ended_at_last, is_alive, pid_in
from functional.harness import Pki, Program, free_port, judge, look, twistd, wait_until, write_config
from functional.http_server import site_table
from functional.steady_load import steady_load

HTTPS = "systemd:name=https"
MORE = "systemd:domain=INET:name=more"


class Activated:
    """The program on sockets that it was handed.

    Args:
        folder: Its files.
        count: How many workers.
    """

    def __init__(self, folder: Path, pki: Pki, count: int) -> None:
        self.port, self.more = free_port(), free_port()
        self._folder = folder
        self._count = count
        files = pki.issue(folder, "localhost")
        (folder / "www").mkdir()
        (folder / "www" / "index.html").write_text("a page")
        self._site = site_table(files, static=folder / "www")

    def listen(self, *endpoints: str) -> Path:
        """Write the configuration."""
        return write_config(self._folder, 0, self._site, workers=self._count, listen=endpoints)

    @contextmanager
    def run(self) -> Iterator[Program]:
        """Start it with three sockets, two of one name; stop whatever process it is in the end."""
        given = [f"https=127.0.0.1:{self.port}", f"https=::1:{self.port}", f"more=127.0.0.1:{self.more}"]
        inner = twistd(self._folder, "--config", str(self._folder / "staplesrv.toml"))
        command = [sys.executable, str(Path(__file__).with_name("activate.py")), *given, "--", *inner.arguments]
        with Program(command, self._folder) as program:
            program.wait_for("serving on")
            with ended_at_last(self._folder / "twistd.pid"):
                yield program

    @property
    def pid(self) -> int:
        """The process."""
        return pid_in(self._folder / "twistd.pid")

    def upgrade(self) -> None:
        """Have it replaced."""
        old = self.pid
        os.kill(old, signal.SIGUSR2)
        wait_until(lambda: self.pid not in (0, old), "the new process")
        wait_until(lambda: not is_alive(old), "the end of the old one")

    def reload(self, program: Program) -> None:
        """Have it read its configuration."""
        before = program.output().count("] reload")
        os.kill(self.pid, signal.SIGHUP)
        wait_until(lambda: program.output().count("] reload") >= before + 2, "the end of the reload")

    def is_good(self, host: str = "127.0.0.1", port: int | None = None) -> bool:
        """Whether it serves, with a staple."""
        return judge(look(port or self.port, "localhost", host=host)) == "good"


@pytest.mark.parametrize("count", [1, 2])
def test_they_last(tmp_path: Path, pki: Pki, count: int) -> None:
    """Two upgrades in a row lose nothing; listeners on them come, go and come again."""
    activated = Activated(tmp_path, pki, count)
    activated.listen(HTTPS)
    with activated.run() as program:
        assert activated.is_good()
        assert activated.is_good("::1")
        with steady_load(activated.port) as load:
            for _ in range(2):
                activated.upgrade()
                so_far = load.answered
                wait_until(lambda: load.answered > so_far + 50, "more answers")  # noqa: B023
        assert (load.lost, load.failed, load.unstapled) == ([], [], 0)
        assert activated.is_good("::1")
        activated.listen(HTTPS, MORE)
        activated.reload(program)
        assert activated.is_good(port=activated.more)
        activated.listen(MORE)
        activated.reload(program)
        activated.listen(MORE, HTTPS)
        activated.upgrade()
        assert activated.is_good()
        assert activated.is_good("::1")
        assert activated.is_good(port=activated.more)
        assert "Traceback" not in program.output()


def test_one_that_is_missing_is_told(tmp_path: Path, pki: Pki) -> None:
    """In one line, which says what there is; a reload goes on without."""
    activated = Activated(tmp_path, pki, 1)
    activated.listen(HTTPS)
    with activated.run() as program:
        activated.listen(HTTPS, "systemd:name=http")
        activated.reload(program)
        there = "there is https (INET), https (INET6), more (INET)"
        assert f"systemd:name=http: systemd has handed over no such socket; {there}" in program.output()
        assert activated.is_good()
