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

    Args:
        head: Of the answer.
        data: Its content.
    """

    def __init__(self, head: ResponseHead, data: bytes) -> None:
        # With an answer to HEAD: what the content would have.
        super().__init__(head.status, (), data, length=max(head.length, len(data)))
        self.fields = head.fields


def streamed_fields(head: ResponseHead) -> Fields:
    """Return the fields of an answer whose content follows, Content-Length where it is known."""
    return head.fields if head.length < 0 else (*head.fields, (b"Content-Length", b"%d" % head.length))


def content(length: int) -> Body:
    """Return what reads an answer's content, which is framed as requests are.

    Args:
        length: As `ResponseHead` has it, but not 0.
    """
    if length == CHUNKED:
        return Chunks(_LIMITS)
    return Endless() if length == UNTIL_CLOSE else Sized(length)
