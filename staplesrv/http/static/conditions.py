"""What conditional requests ask: RFC 9110 §13."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from staplesrv.http.dates import parse_date
from staplesrv.http.request import Request

_TAG = rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(_TAG)
_LIST = re.compile(rb"[ \t,]*" + _TAG + rb"(?:[ \t]*,[ \t,]*" + _TAG + rb")*[ \t,]*")

FIELDS = frozenset({b"if-match", b"if-unmodified-since", b"if-none-match", b"if-modified-since", b"if-range"})
"""The fields that make a request a conditional one, in lower case."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one state of a file from another.

    Args:
        entity_tag: Strong, with its quotes.
        last_modified: Whole seconds since the epoch; None where it is not told.
    """

    entity_tag: bytes
    last_modified: int | None


class Outcome(Enum):
    """What comes of a request's conditions."""

    GO_ON = 200
    NOT_MODIFIED = 304
    FAILED = 412


def evaluate(request: Request, validators: Validators, now: float) -> Outcome:
    """Evaluate the conditions of a GET or HEAD in the order of RFC 9110 §13.2.2; If-Range is left to `same_state`.

    Args:
        request: The request.
        validators: Of the representation that would be sent.
        now: Seconds since the epoch.
    """
    if (tags := request.field(b"if-match")) is not None:
        if not _matches(tags, validators.entity_tag, weakly=False):
            return Outcome.FAILED
    elif _modified_since(request, b"if-unmodified-since", validators, now) is True:
        return Outcome.FAILED
    if (tags := request.field(b"if-none-match")) is not None:
        if _matches(tags, validators.entity_tag, weakly=True):
            return Outcome.NOT_MODIFIED
    elif _modified_since(request, b"if-modified-since", validators, now) is False:
        return Outcome.NOT_MODIFIED
    return Outcome.GO_ON


def same_state(request: Request, validators: Validators, now: float) -> bool:
    """Tell whether If-Range, if any, lets a range be sent: RFC 9110 §13.1.5.

    Args:
        request: The request.
        validators: Of the representation that would be sent.
        now: Seconds since the epoch.
    """
    asked = request.field(b"if-range")
    if asked is None or asked == validators.entity_tag:
        return True
    # RFC 9110 §8.8.2.2: a date is a strong validator only where the file can't have changed twice in its second.
    modified = validators.last_modified
    return modified is not None and modified + 1 < now and parse_date(asked, now) == modified


def _matches(tags: bytes, entity_tag: bytes, *, weakly: bool) -> bool:
    """Compare a list of tags with one that is strong: RFC 9110 §8.8.3.2. A list that can't be read matches nothing."""
    if tags == b"*":
        return True
    if not _LIST.fullmatch(tags):
        return False
    found = _TAGS.findall(tags)
    return entity_tag in found or (weakly and b"W/" + entity_tag in found)


def _modified_since(request: Request, field: bytes, validators: Validators, now: float) -> bool | None:
    """Tell whether the file is newer than a field's date; None where there is no such field or date."""
    text = request.field(field)
    if text is None or validators.last_modified is None:
        return None
    date = parse_date(text, now)
    return None if date is None else validators.last_modified > date
