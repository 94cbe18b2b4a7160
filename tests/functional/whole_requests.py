"""A resource that answers once it has the whole of a request, for programs under test."""

from __future__ import annotations

from twisted.web.resource import Resource
from twisted.web.server import Request


class WholeRequests(Resource):
    """Says how long the body was, to any method and under any path."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Answer."""
        assert request.content is not None
        return b"there were %d bytes\n" % len(request.content.read())


resource = WholeRequests()
