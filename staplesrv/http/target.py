"""The request target, and what it may be made of: RFC 9112 §3.2."""

from __future__ import annotations

import re
from typing import NamedTuple

# More than RFC 3986 allows, since browsers send `|` and `{` as they are; but nothing that ends a line or a word, and
# no fragment, which is never sent and would hide a part of the path from somebody.
_ORIGIN = re.compile(rb"/[!\"$-~]*")
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]*)((?:[/?][!\"$-~]*)?)")


class Target(NamedTuple):
    """Where a request goes.

    Args:
        path: With the query, or `*`.
        authority: As the absolute form names it, not checked; None in the other forms.
    """

    path: bytes
    authority: bytes | None


def is_origin_form(target: bytes) -> bool:
    """Tell whether a target is a path, with or without a query, that is fit to be handled."""
    return _ORIGIN.fullmatch(target) is not None


def read_target(method: bytes, target: bytes) -> Target | None:
    """Read the target of a request that is no CONNECT.

    Returns:
        The target; None where it has none of the forms.
    """
    if is_origin_form(target):
        return Target(target, None)
    if target == b"*":
        return Target(target, None) if method == b"OPTIONS" else None
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        return None
    authority, rest = found.groups()
    if not rest:
        # RFC 9112 §3.2.4: the absolute form of `*`.
        return Target(b"*" if method == b"OPTIONS" else b"/", authority)
    return Target(rest if rest.startswith(b"/") else b"/" + rest, authority)
