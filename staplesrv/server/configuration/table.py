"""A table of TOML as a typed value: each key known, each value of its type, and one line where it is not.

What a table may hold is a `msgspec.Struct`; each field carries in its `Meta.description` what to write there.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import date, time
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.place import Place, shown

_T = TypeVar("_T", bound=msgspec.Struct)

_KINDS: Mapping[type, str] = {
    int: "a number",
    str: "a string",
    list: "a list",
    dict: "a table",
    date: "a date",
    time: "a time",
}
# Where msgspec's messages say that something lies inside of the value.
_ITEM = re.compile(r"`\$\[(\d+)\]")
_VALUE = "`$[...]`"
# Python refuses to write out integers of thousands of digits.
_LARGE = 10**18


class Misplaced(NamedTuple):
    """What to say of a key that is known, but not where it stands."""

    problem: str
    advice: str


def read_table(value: object, kind: type[_T], place: Place, *, elsewhere: Mapping[str, Misplaced] | None = None) -> _T:
    """Check a table and make a value of it.

    Args:
        value: What stands there; anything that TOML can say.
        kind: What may stand there.
        place: For errors.
        elsewhere: Keys that are known but don't belong here.

    Raises:
        OperatorError: a key is unknown or missing, or a value is of another type; or this is no table.
    """
    if not isinstance(value, dict):
        raise place.error("", f"{_is(value)}, not a table", "give it keys of its own")
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key in value:
        if key not in fields:
            raise _unknown(key, list(fields), place, elsewhere or {})
    for key, field in fields.items():
        if field.required and key not in value:
            raise place.error(key, "is missing", f"give {_wanted(field.type)}")
    return kind(**{key: _convert(item, fields[key].type, key, place) for key, item in value.items()})


def read_given(
    value: object, kind: type[msgspec.Struct], place: Place, *, elsewhere: Mapping[str, Misplaced] | None = None
) -> dict[str, Any]:
    """Check a table of which everything may be left out, and return what is there; else as `read_table`."""
    table = read_table(value, kind, place, elsewhere=elsewhere)
    return {key: item for key, item in msgspec.structs.asdict(table).items() if item is not None}


def _unknown(key: str, known: list[str], place: Place, elsewhere: Mapping[str, Misplaced]) -> OperatorError:
    if key in elsewhere:
        return place.error(key, *elsewhere[key])
    near = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    advice = f"did you mean {near[0]}?" if near else f"known here are {', '.join(known)}"
    return place.error(key, "unknown key", advice)


def _convert(value: object, annotation: Any, key: str, place: Place) -> Any:
    try:
        return msgspec.convert(value, annotation)
    # UnicodeEncodeError: half of a surrogate pair, which is how Python reads bytes that are no text off a command line.
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise place.error(key, _problem(value, str(error)), f"give {_wanted(annotation)}") from error


def _problem(value: object, message: str) -> str:
    inside = _ITEM.search(message)
    if isinstance(value, list) and inside:
        number = int(inside[1])
        return f"item {number + 1} {_is(value[number])}"
    if isinstance(value, dict) and _VALUE in message:
        return next(f"{shown(key)} {_is(item)}" for key, item in value.items() if not isinstance(item, str))
    return _is(value)


def _is(value: object) -> str:
    """What a value is: itself where it is short, else its kind."""
    if isinstance(value, str):
        return f"is {value[:60]!a}"
    if isinstance(value, bool):
        return f"is {str(value).lower()}"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < _LARGE):
        return f"is {value}"
    return f"is {_kind(value)}"


def _kind(value: object) -> str:
    return next((text for kind, text in _KINDS.items() if isinstance(value, kind)), "something else")


def _wanted(annotation: Any) -> str:
    for part in (annotation, *get_args(annotation)):
        if get_origin(part) is Annotated:
            return str(part.__metadata__[0].description)
    raise TypeError(f"{annotation} does not say what it wants")
