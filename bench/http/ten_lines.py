"""The Twisted Web resource that is measured."""

from __future__ import annotations

from typing import Any

from twisted.web.resource import Resource


class Small(Resource):
    """Answers with 1 KiB, whatever the path."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        """Return the body."""
        request.setHeader(b"Content-Type", b"application/octet-stream")
        return bytes(1024)
