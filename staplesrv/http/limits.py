"""How much clients may ask of the HTTP server, and how long they may take."""

from __future__ import annotations

from dataclasses import dataclass

from staplesrv.errors import OperatorError

WHERE = "[http]"
"""What an `OperatorError` about a limit names as its place; whoever knows the file may name that instead."""

LONGEST = 86_400.0
"""Seconds. What is beyond is a slip."""

REQUEST_LINES = range(256, 65_536 + 1)
HEADERS = range(1024, 1_048_576 + 1)
FIELDS = range(10, 10_000 + 1)
STREAMS = range(1, 1000 + 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may take. Whatever is over a limit gets the status that says so, and is closed.

    A value that exists is valid. Times are held to within a quarter of the shortest.

    Args:
        request_line: Bytes of the request line, without its end: 414 beyond.
        headers: Bytes of all header fields together, with the ends of their lines: 431 beyond.
        fields: How many header fields: 431 beyond.
        streams: Open at once on a connection of HTTP/2: refused beyond.
        header_seconds: From the first byte of a head to its last: 408 beyond.
        idle_seconds: Between requests, and before the first one: closed beyond.
        body_seconds: Without a byte of a request's body that is awaited: 408 beyond.
        write_seconds: For 64 KiB of a response to be taken by the client: reset beyond.

    Raises:
        OperatorError: a limit can't be used.
    """

    request_line: int = 8192
    headers: int = 32_768
    fields: int = 100
    streams: int = 128
    header_seconds: float = 10.0
    idle_seconds: float = 60.0
    body_seconds: float = 60.0
    write_seconds: float = 60.0

    def __post_init__(self) -> None:
        ranges = {"request_line": REQUEST_LINES, "headers": HEADERS, "fields": FIELDS, "streams": STREAMS}
        for key, usable in ranges.items():
            if not usable.start <= getattr(self, key) < usable.stop:
                raise _bad(key, f"use from {usable.start} to {usable.stop - 1}")
        for key in ("header_seconds", "idle_seconds", "body_seconds", "write_seconds"):
            if not 0 < getattr(self, key) <= LONGEST:
                raise _bad(key, f"use above 0 and at most {LONGEST:.0f} seconds")

    @property
    def shortest(self) -> float:
        """The shortest of the times, in seconds."""
        return min(self.header_seconds, self.idle_seconds, self.body_seconds, self.write_seconds)


def _bad(key: str, advice: str) -> OperatorError:
    return OperatorError(WHERE, "is out of range", advice, key=key)
