"""What the demonstration serves: a page about its own staple, which asks for the state of it each second."""

# Twisted Web has no annotations, and each call would need a waiver of its own.
# mypy: allow-untyped-calls

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.web import pages
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request
from twisted.web.static import Data

from staplesrv import sources
from staplesrv.testing import OCSPResponder
from staplesrv.tls.stapler import Stapler

_HTML = Path(__file__).with_name("demo.html")


class _Leaf(Data):
    """Something with nothing below it."""

    isLeaf = True


class DemoPage(Resource):
    """The page, and its state as `staple.json`.

    Args:
        stapler: Keeps the one certificate stapled.
        responder: Tells how often it was asked.
        wall_clock: Seconds since the epoch.

    Attributes:
        commands: The commands to try.
    """

    def __init__(
        self, stapler: Stapler, responder: OCSPResponder, wall_clock: sources.WallClock = sources.wall_clock
    ) -> None:
        super().__init__()
        self.commands: Sequence[str] = ()
        self._stapler = stapler
        self._responder = responder
        self._wall_clock = wall_clock
        self._html = _Leaf(_HTML.read_bytes(), "text/html; charset=utf-8")

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Return the page, or its state."""
        if path == b"":
            return self._html
        if path == b"staple.json":
            request.setHeader(b"cache-control", b"no-store")
            return _Leaf(json.dumps(self.state(), indent=1).encode() + b"\n", "application/json")
        return pages.notFound()

    def state(self) -> dict[str, Any]:
        """Say how the staple stands; times are seconds since the epoch."""
        now = self._wall_clock()
        (site,) = self._stapler.stage.live
        entry = site.entries[0]
        status = self._stapler.keeper.refresher.status(entry.fingerprint)
        said: dict[str, Any] = {
            "stapled": entry.fresh(now),
            "reason": entry.reason_at(now),
            "now": now,
            "next_attempt": status.next_attempt and status.next_attempt.timestamp(),
            "asked": self._responder.count(),
            "handshakes": dict(site.handshakes),
            "commands": list(self.commands),
        }
        if entry.held is not None:
            staple = entry.held.staple
            said |= {
                "this_update": staple.this_update.timestamp(),
                "next_update": staple.expires.timestamp(),
                "cut_off": entry.held.cut_off,
                "signer": staple.signer,
                "sha256": hashlib.sha256(entry.held.response_der).hexdigest(),
            }
        return said
