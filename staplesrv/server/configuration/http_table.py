"""The `[http]` table: what clients may ask of the HTTP server, with the file's name on what can't be."""

from __future__ import annotations

import msgspec

from staplesrv.errors import OperatorError
from staplesrv.http.limits import Limits
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.schema import ELSEWHERE, HTTPTable
from staplesrv.server.configuration.table import read_table


def read_http(value: object, place: Place) -> Limits:
    """Make the limits out of the table.

    Args:
        value: The table as it stands in the file.
        place: The file as a whole, for errors.

    Raises:
        OperatorError: a key is unknown, or its value can't be used.
    """
    here = place.within("[http]")
    table = read_table(value, HTTPTable, here, elsewhere=ELSEWHERE)
    given = {key: item for key, item in msgspec.structs.asdict(table).items() if item is not None}
    try:
        return Limits(**given)
    except OperatorError as error:
        raise here.error(error.key, error.problem, error.advice) from error
