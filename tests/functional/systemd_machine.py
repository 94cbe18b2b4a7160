"""A systemd that is process 1 of namespaces of its own: a machine to try units on, of which nothing is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from functional.family import children
from functional.harness import ROOT, need, not_here, wait_until

_SECONDS = 60
_PYTHON = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
_SPACES = ("--pid", "--fork", "--kill-child", "--mount", "--propagation=private", "--cgroup", "--uts", "--ipc")


class Machine:
    """A booted systemd. The network is the host's, the files are copies.

    Args:
        folder: For what it is made of; it is made.
        root: Whose systemd and files: `/`, or the folder of another installation.
        files: What is put over these, by path; `machine.target` is what is started.
    """

    def __init__(self, folder: Path, root: Path, files: dict[str, str]) -> None:
        self._folder = folder
        self._root = root
        self._cgroup = _cgroups(root) / f"staplesrv-test-{os.getpid()}"
        for path, text in files.items():
            (folder / "files" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "files" / path).write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Boot."""
        self._install()
        # What is in it is known by that, and its processes are ended by it.
        self._cgroup.mkdir()
        enter = ["sh", "-c", f'echo $$ >{self._cgroup}/cgroup.procs; exec "$@"', "sh", "unshare", *_SPACES]
        packages = [str(self._folder / "packages"), sysconfig.get_path("purelib")]
        script = [str(Path(__file__).with_suffix(".sh")), str(self._root), str(self._folder), _PYTHON, *packages]
        with (self._folder / "console.txt").open("wb") as console:
            self._process = subprocess.Popen(
                [*enter, "sh", *script], stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT
            )
        try:
            wait_until(self._is_up, "the start of systemd", _SECONDS)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all of it."""
        # For whoever looks into a test that failed.
        sys.stderr.write(self.run("journalctl", "--no-pager", "--lines=200", "--unit=staplesrv*", check=False))
        self._end()

    @property
    def root(self) -> Path:
        """Its files."""
        return Path(f"/proc/{self._first}/root")

    @property
    def version(self) -> int:
        """The number of its systemd."""
        return int(self.run("systemctl", "--version").split()[1])

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command inside, which should succeed, and return what it says."""
        enter = ["nsenter", f"--target={self._first}", "--pid", "--mount", "--cgroup", "--uts", "--ipc", "--"]
        enter += ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        done = subprocess.run([*enter, *command], capture_output=True, text=True, timeout=_SECONDS, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0 or not check, said
        return said

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def journal(self, unit: str) -> str:
        """What a unit has logged."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    @property
    def _first(self) -> int:
        assert self._process is not None
        return children(self._process.pid)[0]

    def _install(self) -> None:
        for name in ("staplesrv", "twisted"):
            shutil.copytree(ROOT / name, self._folder / "packages" / name, ignore=shutil.ignore_patterns("__pycache__"))
        (self._folder / "memory").mkdir()
        programs = self._folder / "files/opt/staplesrv/bin"
        programs.mkdir(parents=True)
        (programs.parent / "pyvenv.cfg").write_text("home = /opt/python/bin\n")
        (programs / "python").symlink_to(f"/opt/python/bin/{Path(_PYTHON).name}")
        (programs / "twistd").write_text("#!/opt/staplesrv/bin/python\nfrom twisted.scripts.twistd import run\nrun()\n")
        (programs / "twistd").chmod(0o755)

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            not_here(f"systemd can't be started: {(self._folder / 'console.txt').read_text()}")
        try:
            return self.run("systemctl", "is-active", "machine.target", check=False).startswith("active")
        except IndexError:
            return False

    def _end(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        wait_until(self._swept, "the end of the machine")

    def _swept(self) -> bool:
        for folder in (*sorted(self._cgroup.rglob("*/"), reverse=True), self._cgroup):
            with suppress(OSError):
                folder.rmdir()
        return not self._cgroup.exists()


def _cgroups(root: Path) -> Path:
    """Where processes are grouped; a skip where they aren't, or where there is nothing to boot or nobody to do so."""
    for program in ("unshare", "nsenter"):
        need(program)
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    places = [Path(where) for _, where, kind, *_ in mounts if kind == "cgroup2"]
    if not (root / "usr/lib/systemd/systemd").exists():
        not_here(f"systemd is not installed in {root}")
    if os.geteuid() != 0 or not places or not os.access(places[0], os.W_OK):
        not_here("this takes root, and cgroups of version 2")
    return places[0]
