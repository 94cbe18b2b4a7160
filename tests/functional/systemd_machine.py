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

import pytest
from functional.family import children
from functional.harness import ROOT, need, wait_until

_CGROUPS = "cgroup2"
_SECONDS = 60


class Machine:
    """A booted systemd. The network is the host's, the files are copies.

    Args:
        folder: For what it is made of.
        root: Whose systemd and files: `/`, or the folder of another installation.
        files: What is put over these, by path.
    """

    def __init__(self, folder: Path, root: Path, files: dict[str, str]) -> None:
        self._folder = folder
        self._root = root
        self._cgroup = Path(_cgroups()) / f"staplesrv-test-{os.getpid()}"
        for path, text in files.items():
            (folder / "files" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "files" / path).write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Boot."""
        self._install()
        self._cgroup.mkdir()
        spaces = ["--pid", "--fork", "--kill-child", "--mount", "--propagation=private", "--cgroup", "--uts", "--ipc"]
        packages = [str(self._folder / "packages"), sysconfig.get_path("purelib")]
        script = [str(Path(__file__).with_suffix(".sh")), str(self._root), str(self._folder), _PYTHON, *packages]
        (self._folder / "memory").mkdir()
        with (self._folder / "console.txt").open("wb") as console:
            self._process = subprocess.Popen(
                # A group of its own is what its processes are known by, and ended by.
                [
                    "sh",
                    "-c",
                    f'echo $$ >{self._cgroup}/cgroup.procs; exec "$@"',
                    "sh",
                    "unshare",
                    *spaces,
                    "sh",
                    *script,
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._is_up, "the start of systemd", _SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all of it."""
        assert self._process is not None
        # For whoever looks into a test that failed.
        sys.stderr.write(self.run("journalctl", "--no-pager", "--lines=200", "--unit=staplesrv*"))
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        wait_until(self._swept, "the end of the machine")

    @property
    def root(self) -> Path:
        """Its files."""
        return Path(f"/proc/{self._first}/root")

    @property
    def version(self) -> int:
        """The number of its systemd."""
        return int(self.run("systemctl", "--version").split()[1])

    def run(self, *command: str, fails: bool = False) -> str:
        """Run a command inside, and return what it says."""
        entered = ["nsenter", f"--target={self._first}", "--pid", "--mount", "--cgroup", "--uts", "--ipc", "--"]
        entered += ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        done = subprocess.run([*entered, *command], capture_output=True, text=True, timeout=_SECONDS, check=False)
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails or command[0] == "journalctl", said
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
        venv = self._folder / "files" / "opt" / "staplesrv"
        (venv / "bin").mkdir(parents=True)
        (venv / "pyvenv.cfg").write_text("home = /opt/python/bin\n")
        (venv / "bin" / "python").symlink_to(f"/opt/python/bin/{Path(_PYTHON).name}")
        program = venv / "bin" / "twistd"
        program.write_text(
            "#!/opt/staplesrv/bin/python\nimport sys\nfrom twisted.scripts.twistd import run\nsys.exit(run())\n"
        )
        program.chmod(0o755)

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"no systemd: {(self._folder / 'console.txt').read_text()}")
        with suppress(IndexError, AssertionError):
            return "running" in self.run("systemctl", "is-system-running")
        return False

    def _swept(self) -> bool:
        for folder in sorted(self._cgroup.rglob("*/"), reverse=True):
            with suppress(OSError):
                folder.rmdir()
        with suppress(OSError):
            self._cgroup.rmdir()
        return not self._cgroup.exists()


_PYTHON = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")


def _cgroups() -> str:
    """Where processes are grouped, version 2; a skip where they aren't, or where this user can't."""
    for program in ("unshare", "nsenter"):
        need(program)
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    places = [where for _, where, kind, *_ in mounts if kind == _CGROUPS]
    if os.geteuid() != 0 or not places:
        pytest.skip("takes root, and cgroups of version 2")
    return places[0]
