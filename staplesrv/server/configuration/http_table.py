"""The `[http]` table: what clients may ask of the HTTP server, with the file's name on what can't be."""

from __future__ import annotations

from staplesrv.http.limits import Limits
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.schema import ELSEWHERE, HTTPTable
from staplesrv.server.configuration.table import read_given


def read_http(value: object, place: Place) -> Limits:
    """Make the limits out of the table.

    Args:
        value: The table as it stands in the file.
        place: The file as a whole, for errors.

    Raises:
        OperatorError: a key is unknown, or its value can't be used.
    """
    here = place.within("[http]")
    given = read_given(value, HTTPTable, here, elsewhere=ELSEWHERE)
    with here.explaining():
        return Limits(**given)
