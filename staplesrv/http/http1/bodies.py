"""Bodies whose end needs no looking for: of a known length, and a tunnel's bytes. Read like `Chunks`."""

from __future__ import annotations

from typing import Protocol

from staplesrv.http.fields import Fields
from staplesrv.http.http1.refusal import Refusal

SMALL = 65_536
"""Bytes. So much of a body that nobody wants is read and dropped to keep the connection."""


class Body(Protocol):
    """Reads one body.

    Attributes:
        over: It is complete.
        trailers: They, once it is over.
        rest: What followed it.
        refusal: What comes next has not the form of such a body.
    """

    over: bool
    refusal: Refusal | None
    trailers: Fields
    rest: bytes

    def feed(self, data: bytes) -> bytes:
        """Take what comes next; return the content in it."""

    @property
    def small(self) -> bool:
        """Whether what is left of it is known to be little."""


class Sized:
    """A body with a Content-Length.

    Args:
        length: In bytes, above 0.
    """

    def __init__(self, length: int) -> None:
        self._left = length
        self.over = False
        self.refusal: Refusal | None = None
        self.trailers: Fields = ()
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take what comes next; return the content in it."""
        left = self._left = self._left - len(data)
        if left > 0:
            return data
        self.over = True
        if left == 0:
            return data
        self.rest = data[left:]
        return data[:left]

    @property
    def small(self) -> bool:
        """Whether what is left of it is little."""
        return self._left <= SMALL


class Endless:
    """All that the client sends from now on."""

    def __init__(self) -> None:
        self.over = False
        self.refusal: Refusal | None = None
        self.trailers: Fields = ()
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return what came."""
        return data

    @property
    def small(self) -> bool:
        """It may be of any size."""
        return False
