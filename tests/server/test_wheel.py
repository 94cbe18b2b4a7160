"""What is in the wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Everything in a wheel that is built of this tree as it stands, dropin.cache and all."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=180)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        return opened.namelist()


def test_the_dropins_are_in_it(names: list[str]) -> None:
    """Both: without them Twisted knows nothing of this."""
    assert "twisted/plugins/staplesrv_plugin.py" in names
    assert "twisted/plugins/staplesrv_endpoint.py" in names


def test_twisted_itself_is_not_hidden(names: list[str]) -> None:
    """A package file under `twisted/` would stand in front of Twisted's own."""
    assert [name for name in names if name.startswith("twisted/")] == sorted(
        ["twisted/plugins/staplesrv_endpoint.py", "twisted/plugins/staplesrv_plugin.py"]
    )


def test_no_cache_is_in_it(names: list[str]) -> None:
    """Twisted writes one beside the dropins, and would believe it on another machine."""
    assert not [name for name in names if "dropin.cache" in name or "__pycache__" in name]


@pytest.mark.parametrize("name", ["staplesrv/py.typed", "staplesrv/server/demo.html", "staplesrv/__init__.py"])
def test_what_is_no_code_is_in_it(names: list[str], name: str) -> None:
    """Types for others, the demo's page."""
    assert name in names


def test_every_module_is_in_it(names: list[str]) -> None:
    """And nothing but these two packages."""
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "staplesrv").rglob("*.py")}
    assert modules <= set(names)
    assert {name.split("/", maxsplit=1)[0] for name in names if ".dist-info" not in name} == {"staplesrv", "twisted"}


def test_the_command_is_in_it(names: list[str]) -> None:
    """As an entry point."""
    assert [name for name in names if name.endswith(".dist-info/entry_points.txt")]
