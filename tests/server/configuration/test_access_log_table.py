"""The table `[access_log]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.access_log_table import AccessLogSettings, read_access_log
from staplesrv.server.configuration.place import Place


def test_a_file_and_a_format(tmp_path: Path) -> None:
    """Combined unless another is named; the file may come later."""
    assert read_access_log({"file": "a.log"}, Place("a.toml"), tmp_path) == AccessLogSettings(
        tmp_path / "a.log", "combined"
    )
    got = read_access_log({"file": "/var/log/a.log", "format": "json"}, Place("a.toml"), Path("/var"))
    assert got == AccessLogSettings(Path("/var/log/a.log"), "json")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "file: is missing; give the path of a file, as a string"),
        ({"file": ""}, "file: is empty; give the path of a file"),
        ({"file": "."}, "file: .: is a directory; name a file in it"),
        ({"file": "x/a.log"}, "file: x/a.log: is in a directory that does not exist; make the directory"),
        ({"file": "a.log", "format": "xml"}, 'format: is \'xml\'; give "combined" or "json"'),
        ({"file": "a.log", "formt": "json"}, "formt: unknown key; did you mean format?"),
    ],
)
def test_a_mistake_is_one_line(table: dict[str, Any], said: str, tmp_path: Path) -> None:
    """File, table, key, what is wrong, what to do."""
    with pytest.raises(OperatorError) as caught:
        read_access_log(table, Place("a.toml"), tmp_path)
    assert (
        str(caught.value).replace(f"{tmp_path}/", "").replace(f"{tmp_path}:", ".:") == f"a.toml: [access_log]: {said}"
    )
