"""Twisted's Site, of which its sessions and its way to find resources are wanted, and neither socket nor log."""

# Twisted Web has no annotations, and each call would need a waiver of its own.
# mypy: allow-untyped-calls

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.web import http, server
from twisted.web.resource import IResource


class QuietSite(server.Site):
    """A Site without a line per request.

    Args:
        resource: The root.
        reactor: For sessions.
    """

    noisy = False

    def __init__(self, resource: IResource, reactor: IReactorTime) -> None:
        super().__init__(resource, reactor=reactor)

    def log(self, request: http.Request) -> None:
        """Write nothing."""
