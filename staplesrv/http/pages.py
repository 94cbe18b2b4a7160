"""The plain pages that say what went wrong."""

from __future__ import annotations

from functools import cache

from staplesrv.http.fields import Fields
from staplesrv.http.response import REASONS, WITHOUT_CONTENT, Response


@cache
def page(status: int) -> Response:
    """Return the page of a status: one line, its number and phrase."""
    return page_with(status, ())


def page_with(status: int, fields: Fields) -> Response:
    """Return the page of a status with fields of its own, like Allow or Location.

    Raises:
        BadResponse: a field can't be sent.
    """
    said = b"%d %s" % (status, REASONS.get(status, b""))
    body = (
        b'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>%s</title></head>'
        b"<body><h1>%s</h1></body></html>\n" % (said, said)
    )
    if status in WITHOUT_CONTENT:
        body = b""
    return Response(status, ((b"Content-Type", b"text/html; charset=utf-8"), *fields), body)
