"""TOML files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.errors import OperatorError
from staplesrv.server.configuration import toml_file
from staplesrv.server.configuration.toml_file import MAX_FILE, read_toml


def refusal(file: Path, content: bytes) -> str:
    """What is said about a file with such a content."""
    file.write_bytes(content)
    with pytest.raises(OperatorError) as caught:
        read_toml(file)
    return str(caught.value).removeprefix(f"{file}: ")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A place for a file."""
    return tmp_path / "a.toml"


def test_a_file_is_read(file: Path) -> None:
    """Tables and values as TOML has them."""
    file.write_text("[a]\nb = 1")
    assert read_toml(file) == {"a": {"b": 1}}


def test_a_byte_order_mark_is_passed_over(file: Path) -> None:
    """Some editors leave one."""
    file.write_bytes(b"\xef\xbb\xbfa = 1")
    assert read_toml(file) == {"a": 1}


def test_what_is_no_toml_is_told_with_line_and_column(file: Path) -> None:
    """So that the editor can go there."""
    assert refusal(file, b"a = 1\nb = = 2") == "is not TOML: Invalid value (at line 2, column 5); mend it there"


def test_what_is_no_utf8_is_told_with_its_line(file: Path) -> None:
    """A comment in Latin-1 is the usual case."""
    assert refusal(file, b"a = 1\n# gr\xfc\xdfe\n") == "line 2 is not UTF-8; save the file as UTF-8"


def test_a_number_of_thousands_of_digits_is_refused(file: Path) -> None:
    """Python would not read it."""
    assert refusal(file, b"a = 1" + b"0" * 5000) == "holds a number that is too long; mend it"


def test_deep_nesting_is_refused(file: Path) -> None:
    """The parser would run out of stack."""
    assert refusal(file, b"a = " + b"[" * 100_000) == "is nested too deep; check that it is the right file"


def test_a_file_over_the_cap_is_refused(file: Path) -> None:
    """One byte less is read."""
    text = b"# " + b"x" * (MAX_FILE - 2)
    file.write_bytes(text)
    assert read_toml(file) == {}
    assert refusal(file, text + b"x") == "is larger than 16 MiB; check that it is the right file"


def test_a_missing_file_is_told_by_the_name_that_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by an absolute path that nobody wrote."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OperatorError) as caught:
        read_toml(Path("nope.toml"))
    assert str(caught.value) == "nope.toml: does not exist; check the path"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """It is called what it is."""
    with pytest.raises(OperatorError, match="is a directory; name a file in it"):
        read_toml(tmp_path)


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_end_in_tables_or_in_one_line(data: bytes) -> None:
    """The parser's own errors never get out."""
    try:
        assert isinstance(toml_file._parse("a.toml", data), dict)
    except OperatorError as error:
        assert "\n" not in str(error)  # noqa: PT017 - a value is just as good
