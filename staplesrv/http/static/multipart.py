"""Several ranges in one response: multipart/byteranges, RFC 9110 §14.6."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from staplesrv.http.static.ranges import Span

Part: TypeAlias = bytes | Span
"""What a body is made of: bytes as they are, or those of the file."""


def multipart(spans: Iterable[Span], size: int, media_type: bytes, boundary: bytes) -> Iterator[Part]:
    """Yield what the body is made of.

    Args:
        spans: The ranges.
        size: Of the representation, in bytes.
        media_type: Of the representation.
        boundary: Not in the content.
    """
    start = b"--"
    for span in spans:
        head = b"%s%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n"
        yield head % (start, boundary, media_type, span.of(size))
        yield span
        start = b"\r\n--"
    yield b"\r\n--%s--\r\n" % boundary


def length_of(parts: Iterable[Part]) -> int:
    """Return how long a body is, in bytes."""
    return sum(part.length if isinstance(part, Span) else len(part) for part in parts)
