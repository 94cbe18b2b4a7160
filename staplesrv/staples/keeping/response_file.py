"""A response that somebody else puts into a file, for hosts without a way to the responder. All calls may block."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from staplesrv.staples.armour import BrokenArmour, find_response
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.plain_file import read_plain_file

Look: TypeAlias = tuple[int, ...]
"""What the file system says of a file, as far as it changes together with the content."""

MAX_FILE = 256 * 1024
"""Bytes, in whichever form; what is inside of it is held to `max_response`."""


def examine(path: Path, seen: Look | None) -> tuple[Look, bytes | None]:
    """Look at a response file, and read it if it has changed.

    Args:
        path: The operator's choice, so links are followed.
        seen: What it looked like when it was read before.

    Returns:
        What it looks like, and what is in it; None if it looks as before.

    Raises:
        FetchFailed: there is no such file, or it is no plain file of reasonable size.
    """
    try:
        found = path.stat()
        look = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)
        if look == seen:
            return look, None
        content = read_plain_file(path, MAX_FILE, follow=True)
    except OSError as error:
        raise FetchFailed(FailureKind.BAD_RESPONSE, f"{path}: {error.strerror or error}") from error
    if content is None:
        raise FetchFailed(FailureKind.BAD_RESPONSE, f"{path}: not a plain file of 1 to {MAX_FILE} bytes")
    return look, content


def decode(content: bytes, path: Path) -> bytes:
    """Take DER as it is, and a PEM block or bare base64 out of its wrapping.

    Returns:
        DER as far as its wrapping tells; nobody has verified it.

    Raises:
        FetchFailed: it is none of these.
    """
    try:
        found = find_response(content)
    except BrokenArmour as error:
        raise FetchFailed(FailureKind.BAD_RESPONSE, f"{path}: {error}") from error
    if found is None:
        raise FetchFailed(FailureKind.BAD_RESPONSE, f"{path}: neither DER nor PEM nor base64")
    return found
