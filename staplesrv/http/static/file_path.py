"""Which file a request's target names, below the root."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, unquote_to_bytes

INDEX = b"index.html"
"""What stands for a folder."""

WELL_KNOWN = b".well-known"
"""The one hidden name that is served: RFC 8615."""

_ESCAPES = re.compile(rb"(?:[^%]|%[0-9A-Fa-f]{2})*")

_KEPT = "!$&'()*+,;=:@~"
"""What stands for itself in a segment: RFC 3986 §3.3."""


@dataclass(frozen=True, slots=True)
class FilePath:
    """A path below the root, in one spelling. What exists names nothing outside of the root, and nothing hidden.

    Args:
        segments: Without escapes, none of them empty; none for the root.
        is_folder: It ends with a slash.
    """

    segments: tuple[bytes, ...]
    is_folder: bool

    @classmethod
    def parse(cls, path: bytes) -> FilePath | None:
        """Read the path of a target.

        Args:
            path: As sent, without its query.

        Returns:
            None where it can't name a file that is served.
        """
        if not path.startswith(b"/") or not _ESCAPES.fullmatch(path):
            return None
        *segments, last = [unquote_to_bytes(segment) for segment in path[1:].split(b"/")]
        if last:
            segments.append(last)
        return cls(tuple(segments), not last) if all(map(_is_plain, segments)) else None

    @property
    def name(self) -> bytes:
        """The file's, relative to the root; that of a folder is its index's."""
        return b"/".join((*self.segments, INDEX) if self.is_folder else self.segments)

    @property
    def url(self) -> bytes:
        """The path as a link says it: most requests' own spelling. Never `//`, which would lead to another host."""
        quoted = "/".join(quote_from_bytes(segment, _KEPT) for segment in self.segments)
        return f"/{quoted}/".encode() if self.is_folder and quoted else f"/{quoted}".encode()

    @property
    def as_folder(self) -> FilePath:
        """The same with a slash at its end."""
        return FilePath(self.segments, is_folder=True)


def _is_plain(segment: bytes) -> bool:
    # Empty ones, `.` and `..`, are for clients to resolve: RFC 3986 §6.2.2.3. The slash was an escaped one, and a
    # backslash is one to other systems and to some browsers.
    if not segment or b"\0" in segment or b"/" in segment or b"\\" in segment:
        return False
    if segment.startswith(b".") and segment != WELL_KNOWN:
        return False
    try:
        segment.decode()
    except UnicodeDecodeError:
        return False
    return True
