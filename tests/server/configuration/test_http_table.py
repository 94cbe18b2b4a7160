"""The table `[http]`."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from staplesrv.errors import OperatorError
from staplesrv.http.limits import Limits
from staplesrv.server.configuration.http_table import read_http
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.schema import HTTPTable

HERE = Place("a.toml")


def test_what_is_left_out_has_its_default() -> None:
    """As the limits themselves have it."""
    assert read_http({}, HERE) == Limits()
    assert read_http({"idle_seconds": 5, "fields": 50}, HERE) == Limits(idle_seconds=5, fields=50)


def test_every_limit_is_a_key() -> None:
    """And no other."""
    assert {field.name for field in msgspec.structs.fields(HTTPTable)} == set(Limits.__dataclass_fields__)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"idle_seconds": 0}, "idle_seconds: is out of range; use above 0 and at most 86400 seconds"),
        ({"request_line": 1}, "request_line: is out of range; use from 256 to 65536"),
        ({"fields": "x"}, "fields: is 'x'; give a number of header fields"),
        ({"header": 1}, "header: unknown key; did you mean headers?"),
    ],
)
def test_a_mistake_is_one_line(table: dict[str, Any], said: str) -> None:
    """File, table, key, what is wrong, what to do."""
    with pytest.raises(OperatorError) as caught:
        read_http(table, HERE)
    assert str(caught.value) == f"a.toml: [http]: {said}"
