"""A CA, a leaf and a responder for a terminal: `python -m staplesrv.testing --directory DIR`.

It writes `ca.pem`, `fullchain.pem` and `privkey.pem`, prints the responder's URL, and answers until it is stopped. How
it answers is switched on the same port:

    curl -d revoked http://127.0.0.1:PORT/behaviour
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from twisted.internet import defer, task

from staplesrv.testing.asked import Request
from staplesrv.testing.authority import CertificateAuthority
from staplesrv.testing.behaviour import Behaviour, Script
from staplesrv.testing.listening import listen
from staplesrv.testing.responder import OCSPResponder


class SwitchedResponder(OCSPResponder):
    """A responder whose behaviour is read and set at `/behaviour`."""

    def render(self, request: Request) -> int | bytes:
        """Switch, or answer a question."""
        if request.postpath != [b"behaviour"]:
            return super().render(request)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        if request.method == b"POST":
            try:
                self.behaviour = request.content.read().decode("ascii", "replace").replace(",", " ").split()
            except ValueError as error:
                request.setResponseCode(400)
                return f"{error}\n".encode()
        return f"{self.behaviour}\n".encode()


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m staplesrv.testing", description="A CA and its OCSP responder.")
    parser.add_argument("--directory", type=Path, required=True, help="where the files go; it must exist")
    parser.add_argument("--port", type=int, default=0, help="the responder's port; a free one by default")
    parser.add_argument("--name", nargs="+", default=["localhost", "127.0.0.1"], help="the names of the leaf")
    parser.add_argument("--must-staple", action="store_true", help="make the leaf a must-staple one")
    parser.add_argument("--lifetime", type=float, default=7 * 86400.0, help="how long answers live, in seconds")
    parser.add_argument("--behaviour", nargs="+", default=["good"], metavar="NAME", help=", ".join(Behaviour))
    chosen = parser.parse_args(argv)
    try:
        Script(chosen.behaviour)
    except ValueError as error:
        parser.error(str(error))
    return chosen


def serve(reactor: Any, *argv: str) -> defer.Deferred[None]:
    """Write the files and answer until the reactor stops."""
    chosen = arguments(argv)
    authority = CertificateAuthority()
    responder = SwitchedResponder(authority, clock=reactor)
    responder.lifetime = timedelta(seconds=chosen.lifetime)
    responder.behaviour = chosen.behaviour
    running = listen(responder, reactor, chosen.port)
    (chosen.directory / "ca.pem").write_bytes(authority.pem)
    authority.issue(
        *chosen.name, responder_urls=[running.url], issuer_urls=[running.issuer_url], must_staple=chosen.must_staple
    ).write(chosen.directory)
    sys.stdout.write(f"{running.url}\n")
    sys.stdout.flush()
    return defer.Deferred()


if __name__ == "__main__":
    arguments(sys.argv[1:])  # a wrong one is told before there is a reactor
    task.react(serve, sys.argv[1:])
