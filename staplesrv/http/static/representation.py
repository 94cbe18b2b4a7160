"""One file in one content coding, and what is answered with it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from io import FileIO

from staplesrv.http.dates import format_date
from staplesrv.http.fields import Field, Fields
from staplesrv.http.response import Response
from staplesrv.http.static.conditions import Validators
from staplesrv.http.static.multipart import Part
from staplesrv.http.static.ranges import Span
from staplesrv.http.static.tree import Stamp

_SECOND = 1_000_000_000


class Shrunk(OSError):
    """A file has become shorter than it was when it was opened."""

    def __init__(self) -> None:
        super().__init__(errno.ESTALE, "is shorter than it was")


@dataclass(frozen=True)
class Description:
    """What is said of a file in every answer.

    Args:
        media_type: What Content-Type says.
        coding: What Content-Encoding says; empty where the file goes out as it is.
        cache_control: What Cache-Control says; None for nothing.
        varies: There are neighbours, so that another client may get another one.
    """

    media_type: bytes
    coding: bytes
    cache_control: bytes | None
    varies: bool

    @property
    def of_content(self) -> tuple[Field, ...]:
        """The fields of what is sent."""
        encoding = ((b"Content-Encoding", self.coding),) if self.coding else ()
        return ((b"Content-Type", self.media_type), *encoding, *self.vary)

    @property
    def vary(self) -> tuple[Field, ...]:
        """What caches are to keep apart: RFC 9110 §12.5.5."""
        return ((b"Vary", b"Accept-Encoding"),) if self.varies else ()

    @property
    def caching(self) -> tuple[Field, ...]:
        """What caches are told."""
        return () if self.cache_control is None else ((b"Cache-Control", self.cache_control),)


class Representation:
    """One file in one content coding. Immutable; responses are made once.

    Args:
        description: What is said of it.
        stamp: Of the file.
        now: Seconds since the epoch.
        body: Its content; None where it stays on the disk.
    """

    def __init__(self, description: Description, stamp: Stamp, now: float, body: bytes | None) -> None:
        self.description = description
        self.stamp = stamp
        self.size = stamp.size
        self.body = body
        tag = b'"%x-%x%s"' % (stamp.modified & (1 << 64) - 1, stamp.size, _ending(description.coding))
        # RFC 9110 §8.8.2.1: nothing was modified later than now.
        modified = stamp.modified // _SECOND
        self.validators = Validators(tag, modified if 0 <= modified <= now else None)

    @cached_property
    def ok(self) -> Response:
        """The whole; where the content stays on the disk, for HEAD alone."""
        return Response(200, self.fields, self.body or b"", length=self.size)

    @cached_property
    def missing(self) -> Response:
        """The same as the page that says that there is no such file."""
        return Response(404, self.description.of_content, self.body or b"", length=self.size)

    @cached_property
    def not_modified(self) -> Response:
        """The client has it: RFC 9110 §15.4.5."""
        tag = (b"ETag", self.validators.entity_tag)
        return Response(304, (tag, *self.description.caching, *self.description.vary))

    @cached_property
    def fields(self) -> Fields:
        """The header fields of a 200 and a 206, but for the length."""
        modified = self.validators.last_modified
        return (
            *self.description.of_content,
            *self.description.caching,
            (b"ETag", self.validators.entity_tag),
            *(() if modified is None else ((b"Last-Modified", format_date(modified)),)),
            (b"Accept-Ranges", b"bytes"),
        )

    def pieces(self, parts: Iterable[Part], file: FileIO | None, most: int) -> Iterator[bytes]:
        """Yield a body made of parts.

        Args:
            parts: What it is made of.
            file: Where the content is on the disk.
            most: Bytes to read from there at a time.

        Raises:
            Shrunk: the file is not what it was.
            OSError: it can't be read.
        """
        for part in parts:
            if not isinstance(part, Span):
                yield part
            elif self.body is not None:
                yield self.body[part.first : part.last + 1]
            elif file is not None:
                yield from _read(file, part, most)


def read_whole(file: FileIO, size: int) -> bytes:
    """Read a small file.

    Raises:
        Shrunk: it is not what it was.
        OSError: it can't be read.
    """
    return b"".join(_read(file, Span(0, size - 1), size))


def _read(file: FileIO, span: Span, most: int) -> Iterator[bytes]:
    position = span.first
    while position <= span.last:
        data = os.pread(file.fileno(), min(most, span.last + 1 - position), position)
        if not data:
            raise Shrunk
        yield data
        position += len(data)


def _ending(coding: bytes) -> bytes:
    # RFC 9110 §8.8.3.3: a tag tells codings apart.
    return b"-" + coding if coding else b""
