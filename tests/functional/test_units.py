"""The files for systemd: as the docs quote them, and as systemd reads them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from functional.harness import BIN, ROOT, need

EXAMPLES = ROOT / "examples" / "systemd"
TOO_OLD = "Failed to parse service type, ignoring: notify-reload"


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units, with a program that is there."""
    for name in ("staplesrv.service", "staplesrv.socket"):
        (tmp_path / name).write_text((EXAMPLES / name).read_text().replace("/opt/staplesrv/bin", str(BIN)))
    return [str(path) for path in sorted(tmp_path.iterdir())]


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `systemd-analyze`."""
    command = [need("systemd-analyze"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_docs_quote_them() -> None:
    """Word for word."""
    quoted = re.findall(r"^```ini\n(.*?)^```$", (ROOT / "docs" / "processes.md").read_text(), re.DOTALL | re.MULTILINE)
    files = ("staplesrv.service", "before-253.conf", "staplesrv.socket")
    assert quoted == [(EXAMPLES / name).read_text() for name in files]


def test_systemd_understands_every_line(units: list[str]) -> None:
    """But for the type of the service, where it is older than 253."""
    done = analyze("verify", "--man=no", *units)
    odd = [line for line in done.stderr.splitlines() if "staplesrv" in line and TOO_OLD not in line]
    assert (done.returncode, odd) == (0, []), done.stderr


def test_the_service_is_exposed_to_little(units: list[str]) -> None:
    """As systemd counts it, from 0 to 10: 3 at most."""
    done = analyze("security", "--offline=true", "--no-pager", "--threshold=30", units[0])
    assert done.returncode == 0, done.stdout
