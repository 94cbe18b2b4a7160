"""The `[access_log]` table: where requests are noted down, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from staplesrv.http.access_log import Form
from staplesrv.server.configuration.paths import PathProblem, file_problem
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.schema import ELSEWHERE, AccessLogTable
from staplesrv.server.configuration.table import read_table


@dataclass(frozen=True, slots=True)
class AccessLogSettings:
    """What an operator says about the access log.

    Args:
        file: Where it is, absolute.
        form: How its lines look.
    """

    file: Path
    form: Form


def read_access_log(value: object, place: Place, base: Path) -> AccessLogSettings:
    """Make the settings out of the table.

    Args:
        value: The table as it stands in the file.
        place: The file as a whole, for errors.
        base: The folder that relative paths count from.

    Raises:
        OperatorError: a key is unknown or missing, or its value can't be used.
    """
    here = place.within("[access_log]")
    table = read_table(value, AccessLogTable, here, elsewhere=ELSEWHERE)
    if not table.file:
        raise here.error("file", "is empty", "give the path of a file")
    file = base / table.file
    wrong = file_problem(file, may_be_missing=True, read=False)
    if wrong is None and not file.parent.is_dir():
        wrong = PathProblem("is in a directory that does not exist", "make the directory")
    if wrong is not None:
        raise here.path_error("file", file, wrong)
    return AccessLogSettings(file, table.format)
