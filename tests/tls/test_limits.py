"""What clients may take."""

from __future__ import annotations

import math
from typing import Any

import pytest

from staplesrv.errors import OperatorError
from staplesrv.rates import Rate
from staplesrv.tls.limits import Limits


def test_one_address_can_t_shut_all_others_out() -> None:
    """By default it gets a quarter of what there is."""
    assert Limits().connections_per_address * 4 == Limits().connections


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"connections": 0}, "[limits]: connections: is not above zero; use a number of connections"),
        ({"connections": -1}, "[limits]: connections: is not above zero; use a number of connections"),
        ({"connections_per_address": 0}, "[limits]: connections_per_address: is not above zero; use a number of "),
        ({"handshakes": 0}, "[limits]: handshakes: is not above zero; use a number of connections"),
        ({"handshake_seconds": 0}, "[limits]: handshake_seconds: is out of range; use above 0 and at most 86400 secon"),
        ({"handshake_seconds": 86401}, "[limits]: handshake_seconds: is out of range; "),
        ({"handshake_seconds": math.nan}, "[limits]: handshake_seconds: is out of range; "),
        ({"handshake_seconds": math.inf}, "[limits]: handshake_seconds: is out of range; "),
        (
            {"handshake_rate": -1},
            "[limits]: handshake_rate: is out of range; use from 0.001 to 1000000 a second, or 0 for",
        ),
        ({"handshake_burst": 5}, "[limits]: handshake_burst: says nothing without handshake_rate; give both"),
        ({"read_buffer": 4095}, "[limits]: read_buffer: is out of range; use from 4096 to 16777216 bytes"),
        ({"read_buffer": 16777217}, "[limits]: read_buffer: is out of range; use from 4096 to 16777216 bytes"),
    ],
)
def test_what_can_t_be_is_one_line(limits: dict[str, Any], said: str) -> None:
    """With the key, what is wrong and what to do."""
    with pytest.raises(OperatorError) as caught:
        Limits(**limits)
    assert str(caught.value).startswith(said)


def test_a_rate_is_off_unless_it_is_said() -> None:
    """Nobody is held to one by default."""
    assert Limits().rate() is None
    assert Limits(handshake_rate=5).rate() == Rate(5, 5)
    assert Limits(handshake_rate=5, handshake_burst=20).rate() == Rate(5, 20)


def test_each_process_has_its_part() -> None:
    """Of what is counted, at least one; a rate is one for all."""
    whole = Limits(10, 4, 1, handshake_rate=5)
    assert whole.part(4) == Limits(3, 1, 1, handshake_rate=5)
    assert whole.part(1) == whole


def test_the_smallest_and_the_largest() -> None:
    """What is allowed is allowed, one by one or more than any machine has."""
    Limits(connections=1, connections_per_address=1, handshakes=1, handshake_seconds=0.001, read_buffer=4096)
    Limits(2**40, 2**40, 2**40, 86_400, 16_777_216)
