"""Which bytes of a file are asked for: RFC 9110 §14."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

MOST = 64
"""Ranges in one request; who asks for more gets the whole file."""

_UNIT = re.compile(rb"bytes=(.*)", re.IGNORECASE | re.DOTALL)
_SPEC = re.compile(rb"([0-9]*)-([0-9]*)")
_LONGEST_NUMBER = 18
"""Digits. What has more is beyond any file; Python refuses to read thousands of them."""


@dataclass(frozen=True, slots=True)
class Span:
    """Some bytes of a file, at least one.

    Args:
        first: Position of the first.
        last: Position of the last.
    """

    first: int
    last: int

    @property
    def length(self) -> int:
        """In bytes."""
        return self.last - self.first + 1

    def of(self, size: int) -> bytes:
        """What Content-Range says: RFC 9110 §14.4."""
        return b"bytes %d-%d/%d" % (self.first, self.last, size)


def parse_ranges(header: bytes, size: int) -> tuple[Span, ...] | None:
    """Read a Range field.

    Args:
        header: Its value.
        size: Of the representation, in bytes.

    Returns:
        What can be had of it, in the order asked for; empty where none of it can be (416). None where the whole is
        the answer: the field is no valid one, asks for more than it should, or for a part of nothing,
        which RFC 9110 §14.2 lets us ignore.
    """
    match = _UNIT.fullmatch(header)
    if match is None or not size:
        return None
    # RFC 9110 §5.6.1.2: empty members of a list don't count.
    specs = [spec for member in match[1].split(b",", MOST + 1) if (spec := member.strip(b" \t"))]
    if not specs or len(specs) > MOST:
        return None
    spans = []
    for spec in specs:
        numbers = _SPEC.fullmatch(spec)
        if numbers is None or not _is_valid(numbers[1], numbers[2]):
            return None
        if (span := _span(numbers[1], numbers[2], size)) is not None:
            spans.append(span)
    return None if _overlap(spans) else tuple(spans)


def _is_valid(first: bytes, last: bytes) -> bool:
    # RFC 9110 §14.1.1: a last position before the first makes the field invalid.
    return bool(first or last) and not (first and last and _number(first) > _number(last))


def _span(first: bytes, last: bytes, size: int) -> Span | None:
    """Return what a valid range is of a representation; None where it can't be had (RFC 9110 §14.1.2)."""
    if not first:
        wanted = min(_number(last), size)
        return Span(size - wanted, size - 1) if wanted else None
    if _number(first) >= size:
        return None
    return Span(_number(first), min(_number(last), size - 1) if last else size - 1)


def _number(digits: bytes) -> int:
    digits = digits.lstrip(b"0")
    return int(digits or b"0") if len(digits) <= _LONGEST_NUMBER else 10**_LONGEST_NUMBER


def _overlap(spans: list[Span]) -> bool:
    """Tell whether bytes are asked for twice: RFC 9110 §17.15 warns of what that costs."""
    ordered = sorted(spans, key=lambda span: span.first)
    return any(second.first <= first.last for first, second in pairwise(ordered))
