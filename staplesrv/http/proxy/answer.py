"""An answer of a backend as a response to the client, and what reads its content."""

from __future__ import annotations

from staplesrv.http.fields import Fields
from staplesrv.http.http1.bodies import Body, Endless, Sized
from staplesrv.http.http1.chunks import Chunks
from staplesrv.http.limits import Limits
from staplesrv.http.proxy.response_head import CHUNKED, HEAD_BYTES, UNTIL_CLOSE, ResponseHead
from staplesrv.http.response import Response

_LIMITS = Limits(headers=HEAD_BYTES)


class Answer(Response):
    """A whole answer. Its fields are not checked once more: `parse_head` lets nothing pass that can't be sent.

    What the HTTP versions make of it is the head's, and made once for all answers that have the same.

    Args:
        head: Of the answer.
        data: Its content.
    """

    def __init__(self, head: ResponseHead, data: bytes) -> None:
        # With an answer to HEAD, the length is that of the content that there would be.
        super().__init__(head.status, (), data, length=max(head.length, 0))
        self._head = head
        self.fields = head.fields

    @property
    def lines(self) -> bytes:
        """As HTTP/1.1 sends them."""
        return self._head.lines

    @property
    def lower_fields(self) -> Fields:
        """As HTTP/2 sends them."""
        return self._head.lower_fields

    @property
    def whole_fields(self) -> Fields:
        """Content-Length included."""
        return self._head.whole_fields

    @property
    def names(self) -> frozenset[bytes]:
        """In lower case."""
        return self._head.names


def content(length: int) -> Body:
    """Return what reads an answer's content, which is framed as requests are.

    Args:
        length: As `ResponseHead` has it, but not 0.
    """
    if length == CHUNKED:
        return Chunks(_LIMITS)
    return Endless() if length == UNTIL_CLOSE else Sized(length)
