"""A request that was refused before it was one, for the access log: nothing of it is checked."""

from __future__ import annotations

from dataclasses import dataclass

from staplesrv.http.exchange import Connection


@dataclass(frozen=True, slots=True)
class UnreadRequest:
    """What there is of a request, where `Request` has what was read.

    Args:
        line: The request line as it came, without its end, or what came of it; HTTP/2's as HTTP/1.1 would have it.
    """

    line: bytes = b""

    authority = b""

    @property
    def method(self) -> bytes:
        """The first word."""
        return self._words[0]

    @property
    def target(self) -> bytes:
        """The second word."""
        return self._words[1]

    @property
    def version(self) -> str:
        """What the rest says."""
        return self._words[2].removeprefix(b"HTTP/").decode(errors="backslashreplace")

    def field(self, name: bytes) -> None:
        """Return no field."""

    @property
    def _words(self) -> list[bytes]:
        return [*self.line.split(b" ", 2), b"", b""]


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """What became of it; the same as of an `Exchange`.

    Args:
        connection: The facts.
        request: What there is of it.
        status: Of the response.
        sent: Bytes of the response's body.
        seconds: Since its first byte; 0 where it came in one piece.
    """

    connection: Connection
    request: UnreadRequest
    status: int
    sent: int = 0
    seconds: float = 0.0
