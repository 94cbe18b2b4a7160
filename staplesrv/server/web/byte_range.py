"""Which Range headers Twisted's static files are shown: one range that can be had, or none."""

from __future__ import annotations

import re

_ONE_RANGE = re.compile(rb"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def usable_range(header: bytes, size: int) -> bytes | None:
    """Make a Range header plain, or have it ignored.

    Twisted's own code logs a traceback for a suffix longer than the file and for bytes that are no ASCII, and reads a
    file as many times over as a client names overlapping ranges.

    Args:
        header: As a client sent it.
        size: Of the file, in bytes.

    Returns:
        The same range for `static.File`; None where the whole file is the answer, which RFC 9110 §14.2 always allows.
    """
    match = _ONE_RANGE.fullmatch(header.strip())
    if match is None or match.groups() == (b"", b""):
        return None
    first, last = match.groups()
    if not first and int(last) >= size:
        # RFC 9110 §14.1.2: a suffix longer than the file is the whole file.
        return b"bytes=0-" if size else None
    if first and last and int(first) > int(last):
        return None
    return b"bytes=%s-%s" % (first, last)
