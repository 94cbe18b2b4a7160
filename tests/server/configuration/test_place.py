"""Where a setting stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.paths import PathProblem
from staplesrv.server.configuration.place import CommandLine, Place

FILE = Place("staplesrv.toml")


def test_an_error_names_file_table_and_key() -> None:
    """From the outside in, then what is wrong and what to do."""
    error = FILE.within("site 2 (example.org)").error("static", "is empty", "name a directory")
    assert str(error) == "staplesrv.toml: site 2 (example.org): static: is empty; name a directory"


def test_an_error_about_the_whole_file_has_no_key() -> None:
    """Nothing stands where the key would."""
    assert str(FILE.error("", "is odd", "mend it")) == "staplesrv.toml: is odd; mend it"


def test_a_table_of_a_table_is_named_after_both() -> None:
    """One at the top of the file has its own name alone."""
    assert FILE.within("site 1").inside("files") == Place("staplesrv.toml", "site 1: files")
    assert FILE.inside("files") == Place("staplesrv.toml", "files")


def test_what_a_value_says_of_itself_gets_the_place() -> None:
    """With the value's own word for what it is about, or else the key that is given."""
    for own, said in (
        ("", "staplesrv.toml: proxy: is odd; mend it"),
        ("port", "staplesrv.toml: port: is odd; mend it"),
    ):
        with pytest.raises(OperatorError) as caught, FILE.explaining("proxy"):
            raise OperatorError("backend", "is odd", "mend it", key=own)
        assert str(caught.value) == said
        assert caught.value.__cause__ is not None


def test_an_odd_key_is_quoted_and_cut_short() -> None:
    """A key may be any text in TOML, and must not steer the terminal."""
    error = str(FILE.error("a\x1b[2J\n" + "b" * 1000, "unknown key", "remove it"))
    assert "\x1b" not in error
    assert "\n" not in error
    assert len(error) < 200


def test_a_path_stands_before_what_is_wrong_with_it() -> None:
    """The key says which path was meant, the path where it led."""
    error = FILE.path_error("static", Path("/srv/www"), PathProblem("does not exist", "check the path"))
    assert str(error) == "staplesrv.toml: static: /srv/www: does not exist; check the path"


def test_an_endless_path_is_cut_short() -> None:
    """One line stays one that can be read."""
    error = FILE.path_error("static", Path("/" + "x" * 10_000), PathProblem("does not exist", "check the path"))
    assert len(str(error)) < 700


def test_on_the_command_line_a_key_is_an_option() -> None:
    """There is one site, so that nothing else needs to be said."""
    error = CommandLine().within("site 1").error("private_key", "is empty", "give the path of a file")
    assert str(error) == "--private-key: is empty; give the path of a file"


def test_an_endpoint_on_the_command_line_came_by_listen() -> None:
    """What is `endpoint` in the long form of a listener is `--listen` there."""
    assert CommandLine().error("endpoint", "is odd", "mend it").where == "--listen"
