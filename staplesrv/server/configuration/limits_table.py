"""The `[limits]` table: what clients may take, with the file's name on what can't be."""

from __future__ import annotations

from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.schema import ELSEWHERE, LimitsTable
from staplesrv.server.configuration.table import read_given
from staplesrv.tls.limits import Limits


def read_limits(value: object, place: Place) -> Limits:
    """Make the limits out of the table.

    Args:
        value: The table as it stands in the file.
        place: The file as a whole, for errors.

    Raises:
        OperatorError: a key is unknown, or its value can't be used.
    """
    here = place.within("[limits]")
    given = read_given(value, LimitsTable, here, elsewhere=ELSEWHERE)
    with here.explaining():
        return Limits(**given)
