"""What a representation answers to a request: the whole of it, parts, or that it is not wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from staplesrv.http.fields import Field, Fields
from staplesrv.http.pages import page, page_with
from staplesrv.http.request import Request
from staplesrv.http.response import Response
from staplesrv.http.static.conditions import Outcome, evaluate, same_state
from staplesrv.http.static.multipart import Part, length_of, multipart
from staplesrv.http.static.ranges import Span, parse_ranges
from staplesrv.http.static.representation import Representation


@dataclass(frozen=True, slots=True)
class Answer:
    """A response whose body is yet to be read.

    Args:
        status: Its status.
        fields: Without the length.
        parts: What the body is made of.
    """

    status: int
    fields: Fields
    parts: tuple[Part, ...]

    @property
    def length(self) -> Field:
        """What says how long the body is."""
        return (b"Content-Length", b"%d" % length_of(self.parts))


def answer(
    request: Request, representation: Representation, now: float, boundary: Callable[[], bytes]
) -> Response | Answer:
    """Return what a GET or HEAD gets.

    Args:
        request: The request.
        representation: Of what its target names.
        now: Seconds since the epoch.
        boundary: Makes one for several ranges that is not in the content.
    """
    outcome = evaluate(request, representation.validators, now)
    if outcome is Outcome.NOT_MODIFIED:
        return representation.not_modified
    if outcome is Outcome.FAILED:
        return page(412)
    ranges = request.field(b"range")
    # RFC 9110 §14.2: ranges are for GET alone, and looked at last.
    if ranges is not None and request.method == b"GET" and same_state(request, representation.validators, now):
        spans = parse_ranges(ranges, representation.size)
        if spans is not None:
            return _partial(representation, spans, boundary)
    return _whole(request, representation, representation.ok)


def page_of_missing(request: Request, representation: Representation) -> Response | Answer:
    """Return what a GET or HEAD of a file that is not there gets, where a page says so."""
    return _whole(request, representation, representation.missing)


def _whole(request: Request, representation: Representation, response: Response) -> Response | Answer:
    if representation.body is not None or request.method == b"HEAD":
        return response
    return Answer(response.status, response.fields, (Span(0, representation.size - 1),))


def _partial(
    representation: Representation, spans: tuple[Span, ...], boundary: Callable[[], bytes]
) -> Response | Answer:
    size, fields = representation.size, representation.fields
    if not spans:
        return page_with(416, ((b"Content-Range", b"bytes */%d" % size),))  # RFC 9110 §15.5.17
    if len(spans) == 1:
        # RFC 9110 §15.3.7.2: one range is never sent as multipart.
        return Answer(206, (*fields, (b"Content-Range", spans[0].of(size))), spans)
    mark = boundary()
    parts = multipart(spans, size, representation.description.media_type, mark)
    kind = (b"Content-Type", b"multipart/byteranges; boundary=" + mark)
    others = tuple(field for field in fields if field[0] != kind[0])
    return Answer(206, (kind, *others), tuple(parts))
