"""Header fields that the operator adds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.errors import OperatorError
from staplesrv.http.response import checked
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.response_fields import read_fields

HERE = Place("a.toml", "site 1")


def test_fields_stand_as_they_were_written() -> None:
    """White space around a value is no part of it: RFC 9110 §5.5."""
    table = {"Strict-Transport-Security": "max-age=63072000", "x-a": " b\t"}
    assert read_fields(table, HERE) == ((b"Strict-Transport-Security", b"max-age=63072000"), (b"x-a", b"b"))
    assert read_fields(None, HERE) == ()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("a b", "c", "'a b': is no name of a header; give one like Strict-Transport-Security"),
        ("é", "c", "'\\xe9': is no name of a header; give one like Strict-Transport-Security"),
        ("Content-Length", "0", "Content-Length: is the server's to set; leave it out"),
        ("A", "b\r\nC: d", "A: has a value that can't be sent; use printable ASCII"),
        ("A", "é", "A: has a value that can't be sent; use printable ASCII"),
    ],
)
def test_what_can_t_be_sent_is_one_line(name: str, value: str, said: str) -> None:
    """With the header's name as the key."""
    with pytest.raises(OperatorError) as caught:
        read_fields({name: value}, HERE)
    assert str(caught.value) == f"a.toml: site 1: headers: {said}"


@given(st.dictionaries(st.text(), st.text()))
def test_what_is_taken_can_be_sent(table: dict[str, str]) -> None:
    """Whatever stands in the file."""
    try:
        fields = read_fields(table, HERE)
    except OperatorError as error:
        assert "\n" not in str(error)  # noqa: PT017 - a value is just as good
    else:
        assert checked(fields) == fields
