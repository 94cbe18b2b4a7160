"""What a connection to a backend tells of an answer, and to whom."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from staplesrv.http.fields import Fields
from staplesrv.http.proxy.response_head import ResponseHead


class Broken(Enum):
    """Why there is no answer, or not all of it."""

    CLOSED = "the connection was closed"
    BAD = "what came is no answer"


class Taker(Protocol):
    """The side of an exchange that is turned to the backend. What is called last is `ended` or `broken`."""

    def informed(self, head: ResponseHead) -> None:
        """Take an interim answer."""

    def whole(self, head: ResponseHead, data: bytes) -> None:
        """Take an answer that came at once; nothing else is called then."""

    def begun(self, head: ResponseHead) -> None:
        """Take the head of an answer; its content follows."""

    def switched(self, head: ResponseHead) -> None:
        """The backend made a tunnel of the connection; its bytes follow."""

    def data(self, data: bytes) -> None:
        """Take content, or a tunnel's bytes. Never empty."""

    def ended(self, trailers: Fields) -> None:
        """That was all; of a tunnel, the backend sends no more."""

    def broken(self, why: Broken) -> None:
        """There will be no answer, or not all of it."""

    def blocked(self) -> None:
        """The backend does not keep up: no more content until `drained`."""

    def drained(self) -> None:
        """Content may come on."""
