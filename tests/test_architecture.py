"""The imports between rooms go down only, and each outside thing has one door (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "staplesrv"
MODULES = sorted(PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "ocsp": {"ocsp"},
    "staples": {"staples", "ocsp"},
    "tls": {"tls", "staples", "ocsp"},
    "http": {"http"},
    "ops": {"ops", "tls", "staples", "ocsp"},
    "testing": {"testing", "tls", "staples", "ocsp"},
    "server": {"server", "testing", "http", "ops", "tls", "staples", "ocsp"},
}
EVERYBODYS = {"errors", "sources", "deadlines", "rates", "no_connection", "__version__"}

DOORS = {
    "treq": {"staples/responder.py"},
    "OpenSSL": {"tls/"},
    "OpenSSL._util": {"tls/private_calls.py"},
    "msgspec": {"server/"},
    "click": {"server/"},
    "time": {"sources.py"},
    "random": {"sources.py"},
    "secrets": {"sources.py"},
    # In the stapler for embedding programs that name no reactor, and imported late.
    "twisted.internet.reactor": {"server/tap.py", "server/processes/worker.py", "tls/stapler.py"},
}


def imports(module: Path) -> Iterator[str]:
    """The dotted names that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(module: Path) -> str:
    """A module's path inside the package."""
    return module.relative_to(PACKAGE).as_posix()


def within(name: str, door: str) -> bool:
    """Whether a dotted name is a module or something inside of it."""
    return name == door or name.startswith(door + ".")


@pytest.mark.parametrize("module", MODULES, ids=place)
def test_imports_go_down_only(module: Path) -> None:
    """A room imports the rooms below it and no other."""
    room = place(module).split("/")[0].removesuffix(".py")
    allowed = MAY_IMPORT.get(room)
    if allowed is None:
        return
    own = {name.split(".")[1] for name in imports(module) if within(name, "staplesrv") and "." in name}
    assert own <= allowed | EVERYBODYS, f"{place(module)} imports {sorted(own - allowed - EVERYBODYS)}"


@pytest.mark.parametrize("module", MODULES, ids=place)
def test_each_outside_thing_has_one_door(module: Path) -> None:
    """treq, OpenSSL, the reactor, the clock and chance are imported in their one place alone."""
    here = place(module)
    for name in imports(module):
        for door, homes in DOORS.items():
            if within(name, door) and not any(here.startswith(home) for home in homes):
                pytest.fail(f"{here} imports {name}, whose place is {sorted(homes)}")


@pytest.mark.parametrize("module", MODULES, ids=place)
def test_no_module_reads_the_clock_by_itself(module: Path) -> None:
    """`datetime.now()` and its kin are called nowhere: time arrives as an argument."""
    calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    assert not [call for call in calls if call.endswith(("datetime.now", "datetime.utcnow", "date.today"))]


def test_the_plugins_folder_is_no_package() -> None:
    """An `__init__.py` under `twisted/` would hide Twisted itself."""
    assert not list((PACKAGE.parent / "twisted").rglob("__init__.py"))
