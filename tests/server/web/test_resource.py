"""Resources of the operator's own, by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.web.resource import IResource, Resource

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.site import Site
from staplesrv.server.web.contents import Contents
from staplesrv.server.web.resource import find_resource, make_resource
from staplesrv.server.web.static_files import StaticFiles
from staplesrv.tls.site import SiteCertificate

HERE = Place("a.toml", "site 1")
CODE = """
from twisted.web.resource import Resource
made = 0
class Tree(Resource): pass
resource = Tree()
def make():
    global made
    made += 1
    return Tree()
class holder: inner = resource
number = 5
def wrong(): return 5
def broken(): return 1 / 0
"""

Write = Callable[[str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module `operators` that can be imported for the time of a test."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def writing(code: str) -> None:
        (tmp_path / "operators.py").write_text(code)

    yield writing
    sys.modules.pop("operators", None)


def refusal(name: str) -> str:
    """What is said about a name that leads to nothing."""
    with pytest.raises(OperatorError) as caught:
        make_resource(name, HERE)
    said = str(caught.value)
    assert said.startswith("a.toml: site 1: resource: ")
    return said.removeprefix("a.toml: site 1: resource: ")


@pytest.mark.parametrize("name", ["resource", "make", "Tree", "holder.inner"])
def test_a_resource_or_what_makes_one(write: Write, name: str) -> None:
    """An object, a function, a class, an attribute of an attribute."""
    write(CODE)
    assert IResource.providedBy(make_resource(f"operators:{name}", HERE))


def test_to_find_is_not_to_make(write: Write) -> None:
    """A check calls nothing."""
    write(CODE)
    assert callable(find_resource("operators:broken", HERE))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("operators:nope", "operators has no nope; check the name after the colon"),
        ("operators:holder.nope", "operators has no holder.nope; check the name after the colon"),
        (
            "operators:number",
            "operators:number is a int; give a twisted.web.resource.IResource, or a callable that makes one",
        ),
        (
            "operators:wrong",
            "operators:wrong made a int; give a twisted.web.resource.IResource, or a callable that makes one",
        ),
        (
            "operators:broken",
            "operators:broken raised ZeroDivisionError: division by zero (operators.py line 13); mend it there",
        ),
    ],
)
def test_what_is_no_resource_is_one_line(write: Write, name: str, said: str) -> None:
    """That says what was found instead, and where an exception came from."""
    write(CODE)
    assert refusal(name) == said


def test_a_module_that_is_not_there(write: Write) -> None:
    """Where to put it."""
    assert refusal("operators:x") == (
        "operators can't be imported: ModuleNotFoundError: No module named 'operators'; "
        "install it where twistd runs, or put its directory into PYTHONPATH"
    )


@pytest.mark.parametrize("code", ["1 / 0", "import nope_nope", "def", "raise ValueError('a\\nb')"])
def test_a_module_that_fails_is_one_line(write: Write, code: str) -> None:
    """Whatever is in it."""
    write(code)
    said = refusal("operators:x")
    assert said.startswith("operators can't be imported: ")
    assert "\n" not in said


def site(name: str, tmp_path: Path) -> Site:
    """A site with such a resource, or with the folder if there is no name."""
    certificate = SiteCertificate(tmp_path / f"{name}.pem")
    return Site(certificate, None if name else tmp_path, f"operators:{name}" if name else None, HERE)


def test_contents_are_one_resource_per_site(write: Write, tmp_path: Path) -> None:
    """Files for a folder, the operator's own for a name."""
    write(CODE)
    folder, tree = site("", tmp_path), site("resource", tmp_path)
    found = Contents().of([folder, tree])
    assert isinstance(found[folder.certificate], StaticFiles)
    assert isinstance(found[tree.certificate], Resource)


def test_what_the_operator_s_code_made_is_kept_over_a_reload(write: Write, tmp_path: Path) -> None:
    """It may hold sessions; the code is the old one anyway."""
    write(CODE)
    contents, made = Contents(), site("make", tmp_path)
    first = contents.of([made])
    assert contents.of([made, site("", tmp_path)])[made.certificate] is first[made.certificate]
    assert sys.modules["operators"].made == 1


def test_of_two_sites_with_the_same_certificates_the_first_counts(write: Write, tmp_path: Path) -> None:
    """Its names are the ones that clients come by."""
    write(CODE)
    folder = site("", tmp_path)
    shadow = Site(folder.certificate, None, "operators:resource", HERE)
    assert isinstance(Contents().of([folder, shadow])[folder.certificate], StaticFiles)
