"""The `[limits]` table."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.limits_table import read_limits
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.schema import LimitsTable
from staplesrv.tls.limits import Limits

HERE = Place("a.toml")
ALL = """
connections = 1000
connections_per_address = 2000
handshakes = 300
handshake_seconds = 2.5
read_buffer = 16384
handshake_rate = 2
handshake_burst = 9
"""


def read(text: str) -> Limits:
    """The limits that a table says."""
    return read_limits(tomllib.loads(text), HERE)


def test_an_empty_table_is_the_defaults() -> None:
    """Which stand in one place, the limits themselves."""
    assert read("") == Limits()


def test_every_limit_can_be_set() -> None:
    """Whether one makes another one pointless is the operator's business."""
    assert read(ALL) == Limits(1000, 2000, 300, 2.5, 16384, 2, 9)


def test_every_limit_has_a_key() -> None:
    """The table and the limits have the same names."""
    assert set(LimitsTable.__struct_fields__) == set(Limits.__dataclass_fields__)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("connections = 0", "connections: is not above zero; use a number of connections"),
        ("connections_per_address = -1", "connections_per_address: is not above zero; use a number of connections"),
        ("handshakes = 1.5", "handshakes: is 1.5; give a number of connections"),
        ("handshakes = true", "handshakes: is true; give a number of connections"),
        ("handshake_seconds = 0", "handshake_seconds: is out of range; use above 0 and at most 86400 seconds"),
        ("handshake_seconds = nan", "handshake_seconds: is out of range; use above 0 and at most 86400 seconds"),
        ("handshake_seconds = '10s'", "handshake_seconds: is '10s'; give a number of seconds"),
        ("read_buffer = 100", "read_buffer: is out of range; use from 4096 to 16777216 bytes"),
        ("handshake_rate = '1/s'", "handshake_rate: is '1/s'; give a number a second"),
        (
            "handshake_rate = inf",
            "handshake_rate: is out of range; use from 0.001 to 1000000 a second, or 0 for no limit",
        ),
        ("handshake_burst = 2.5", "handshake_burst: is 2.5; give a number of them at once"),
        ("handshake_burst = 2", "handshake_burst: says nothing without handshake_rate; give both"),
        ("read_bufer = 65536", "read_bufer: unknown key; did you mean read_buffer?"),
        ("timeout = 5", "timeout: does not belong here; move it into [staples]"),
    ],
)
def test_a_limit_that_can_t_be_is_told_with_its_key(text: str, said: str) -> None:
    """Whether this table or the limits themselves found it."""
    with pytest.raises(OperatorError) as caught:
        read(text)
    assert str(caught.value) == f"a.toml: [limits]: {said}"


@given(st.sampled_from(sorted(LimitsTable.__struct_fields__)), st.floats() | st.integers())
def test_any_number_ends_in_limits_or_in_one_line(key: str, number: float) -> None:
    """However large, small or odd."""
    try:
        assert isinstance(read_limits({key: number}, HERE), Limits)
    except OperatorError as error:
        assert key in str(error)  # noqa: PT017 - a value is just as good
