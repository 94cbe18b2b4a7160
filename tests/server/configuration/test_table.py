"""Tables of TOML as typed values."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.schema import ELSEWHERE, FileTable, ListenerTable, SiteTable, StaplesTable
from staplesrv.server.configuration.table import read_table

HERE = Place("a.toml")
KINDS = (FileTable, ListenerTable, SiteTable, StaplesTable)

scalars = (
    st.text() | st.integers() | st.floats() | st.booleans() | st.datetimes() | st.dates() | st.times() | st.binary()
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
keys = st.sampled_from(sorted({*ELSEWHERE, "lisen", "Static", ""})) | st.text()


def refusal(kind: type[msgspec.Struct], text: str) -> str:
    """What is said about a table that can't be used."""
    with pytest.raises(OperatorError) as caught:
        read_table(tomllib.loads(text), kind, HERE, elsewhere=ELSEWHERE)
    return str(caught.value)


def test_a_sound_table_becomes_a_value() -> None:
    """What is left out has its default."""
    table = read_table({"endpoint": "tcp:443", "tls": "modern"}, ListenerTable, HERE)
    assert (table.endpoint, table.tls, table.protocols) == ("tcp:443", "modern", None)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (FileTable, "lisen = 1", "lisen: unknown key; did you mean listen?"),
        (SiteTable, "Private-Key = 1", "Private-Key: unknown key; did you mean private_key?"),
        (StaplesTable, "start-wait = 1", "start-wait: unknown key; did you mean start_wait?"),
        (
            ListenerTable,
            "zzz = 1",
            (
                "zzz: unknown key; known here are "
                "endpoint, tls, protocols, proxy_protocol_from, reuse_port, https_port, acme_challenges"
            ),
        ),
    ],
)
def test_an_unknown_key_has_the_near_one_suggested(kind: type[msgspec.Struct], text: str, said: str) -> None:
    """Slips of the pen, dashes and capitals are seen through; where nothing is near, all keys are listed."""
    assert refusal(kind, text) == f"a.toml: {said}"


@pytest.mark.parametrize(
    ("kind", "key", "advice"),
    [
        (FileTable, "nonce", "move it into [staples]"),
        (FileTable, "certificate", "move it into one of [[sites]]"),
        (FileTable, "protocols", "move it into one of [[listeners]]"),
        (SiteTable, "state_dir", "move it to the top of the file, above the first [table]"),
    ],
)
def test_a_key_in_the_wrong_table_is_sent_to_the_right_one(kind: type[msgspec.Struct], key: str, advice: str) -> None:
    """In TOML a key belongs to the last header above it, which is easily overlooked."""
    assert refusal(kind, f"{key} = 1") == f"a.toml: {key}: does not belong here; {advice}"


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (FileTable, "listen = 443", 'listen: is 443; give an endpoint like "tcp:443", or a list of them'),
        (FileTable, "listen = ['tcp:1', 2]", 'listen: item 2 is 2; give an endpoint like "tcp:443", or a list of them'),
        (FileTable, "state_dir = true", "state_dir: is true; give the path of a directory, as a string"),
        (FileTable, "workers = 'many'", "workers: is 'many'; give a number, or \"auto\""),
        (FileTable, "sites = {}", "sites: is a table; give tables, each under a [[header]] in double brackets"),
        (SiteTable, "certificate = 2026-01-01", "certificate: is a date; give the path of a file, or a list of paths"),
        (SiteTable, "names = 'a'", "names: is 'a'; give a list of strings"),
        (StaplesTable, "nonce = 1", "nonce: is 1; give true or false"),
        (StaplesTable, "timeout = true", "timeout: is true; give a number of seconds"),
        (StaplesTable, "timeout = 07:32:00", "timeout: is a time; give a number of seconds"),
        (StaplesTable, "max_response = 1.5", "max_response: is 1.5; give a number of bytes"),
        (StaplesTable, "responders = {a = 1}", 'responders: a is 1; give a table of host = "URL"'),
        (StaplesTable, "responders = []", 'responders: is a list; give a table of host = "URL"'),
        (StaplesTable, "on_revoked = 'stop'", 'on_revoked: is \'stop\'; give "drop" or "refuse"'),
        (
            StaplesTable,
            "missing_next_update = 'x'",
            "missing_next_update: is 'x'; give a number of seconds, or \"reject\"",
        ),
        (ListenerTable, "protocols = ['h3']", 'protocols: item 1 is \'h3\'; give a list of "h2" and "http/1.1"'),
    ],
)
def test_a_wrong_type_is_told_with_what_is_wanted(kind: type[msgspec.Struct], text: str, said: str) -> None:
    """What stands there, and what should."""
    required = "endpoint = 'tcp:1'\n" if kind is ListenerTable else "certificate = 'a'\n" if kind is SiteTable else ""
    assert refusal(kind, (required if not text.startswith("cert") else "") + text) == f"a.toml: {said}"


def test_a_missing_key_is_told_with_what_is_wanted() -> None:
    """A site without a certificate."""
    assert refusal(SiteTable, "") == "a.toml: certificate: is missing; give the path of a file, or a list of paths"


def test_bytes_that_are_no_text_are_refused_where_they_can_t_be() -> None:
    """A command line may have them; a path may be of them, a choice may not."""
    assert read_table({"certificate": "\udcff"}, SiteTable, HERE).certificate == "\udcff"
    with pytest.raises(OperatorError, match=r"must_staple: is '\\udcff'; give"):
        read_table({"certificate": "a", "must_staple": "\udcff"}, SiteTable, HERE)


def test_what_is_no_table_is_refused() -> None:
    """Only a caller could do that; TOML's own tables are checked by their type before."""
    with pytest.raises(OperatorError, match="is 'x', not a table"):
        read_table("x", FileTable, HERE)


def test_an_integer_too_large_to_print_is_called_a_number() -> None:
    """Hexadecimal integers in TOML have no bound, and Python refuses to write them in decimal."""
    with pytest.raises(OperatorError, match="listen: is a number"):
        read_table({"listen": 1 << 100_000}, FileTable, HERE)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_says_what_it_wants(kind: type[msgspec.Struct]) -> None:
    """A field without a description would end in a traceback instead of a line."""
    for field in msgspec.structs.fields(kind):
        with pytest.raises(OperatorError, match="give "):
            read_table({field.encode_name: object()}, kind, HERE)


@given(st.sampled_from(KINDS), st.dictionaries(keys, values))
def test_any_table_ends_in_a_value_or_in_one_line(kind: type[msgspec.Struct], table: dict[str, Any]) -> None:
    """Nothing that TOML can say ends otherwise."""
    try:
        assert isinstance(read_table(table, kind, HERE, elsewhere=ELSEWHERE), kind)
    except OperatorError as error:
        assert "\n" not in str(error)  # noqa: PT017 - a value is just as good
