"""Code of the operator's own, by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.web.resource import IResource

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.place import Place
from staplesrv.server.named_code import find_resource, find_wsgi, make_resource

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
def leaves(): raise SystemExit(3)
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
            "operators:number is of type int; give a twisted.web.resource.IResource, or a callable that makes one",
        ),
        (
            "operators:wrong",
            (
                "operators:wrong made something of type int; "
                "give a twisted.web.resource.IResource, or a callable that makes one"
            ),
        ),
        (
            "operators:leaves",
            "operators:leaves raised SystemExit: 3 (operators.py line 13); mend it there",
        ),
        (
            "operators:broken",
            "operators:broken raised ZeroDivisionError: division by zero (operators.py line 14); mend it there",
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


@pytest.mark.parametrize(
    "code", ["1 / 0", "import nope_nope", "def", "raise ValueError('a\\nb')", "raise SystemExit(3)"]
)
def test_a_module_that_fails_is_one_line(write: Write, code: str) -> None:
    """Whatever is in it."""
    write(code)
    said = refusal("operators:x")
    assert said.startswith("operators can't be imported: ")
    assert "\n" not in said


def test_a_wsgi_application_is_what_can_be_called(write: Write) -> None:
    """It is not called to find out more."""
    write(CODE)
    assert find_wsgi("operators:broken", HERE) is sys.modules["operators"].broken
    with pytest.raises(OperatorError) as caught:
        find_wsgi("operators:number", HERE)
    assert str(caught.value) == (
        "a.toml: site 1: wsgi: operators:number is of type int; "
        "name what is called with an environment and start_response"
    )
    with pytest.raises(OperatorError, match="site 1: wsgi: operators has no nope; check the name after the colon"):
        find_wsgi("operators:nope", HERE)
