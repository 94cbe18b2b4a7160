"""What clients may ask."""

from __future__ import annotations

from typing import Any

import pytest

from staplesrv.errors import OperatorError
from staplesrv.http.limits import Limits


def test_usual() -> None:
    """Nobody has to name a limit."""
    assert Limits().shortest == 10.0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("request_line", 255),
        ("headers", 1_048_577),
        ("fields", 0),
        ("header_seconds", 0),
        ("idle_seconds", float("nan")),
        ("body_seconds", -1),
        ("write_seconds", 86_401),
    ],
)
def test_out_of_range(key: str, value: Any) -> None:
    """A limit that makes no sense is named to the operator."""
    with pytest.raises(OperatorError) as raised:
        Limits(**{key: value})
    assert raised.value.key == key
    assert raised.value.where == "[http]"
