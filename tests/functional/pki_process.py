"""A CA and its OCSP responder in a process of their own, steered by XML-RPC on a second port.

Run as a script it prints the control port and serves until its standard input ends, so that it never outlives the test.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from twisted.internet import reactor, stdio
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.web import server, xmlrpc

from staplesrv.testing import CertificateAuthority, Leaf, OCSPResponder, RunningResponder, listen


class Control(xmlrpc.XMLRPC):
    """What `harness.Pki` calls. Serial numbers are too large for XML-RPC: leaves go by their first name."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(allowNone=True)
        self.authorities = {name: CertificateAuthority(name).intermediate(f"{name} intermediate") for name in names}
        self.responder = OCSPResponder(*self.authorities.values(), clock=reactor)
        self.leaves: dict[str, Leaf] = {}
        self.running: RunningResponder | None = listen(self.responder, reactor)
        self.port = self.running.port
        self.url = self.running.url

    def xmlrpc_url(self) -> str:
        """The responder's URL, the same also while it is down."""
        return self.url

    async def down(self) -> None:
        """Stop listening: connections are refused."""
        if self.running is not None:
            await self.running.stop()
            self.running = None

    def xmlrpc_up(self) -> bool:
        """Listen again, on the same port."""
        if self.running is None:
            self.running = listen(self.responder, reactor, port=self.port)
        return True

    def xmlrpc_down(self) -> Any:
        """Stop listening."""
        return Deferred.fromCoroutine(self.down()).addCallback(lambda _: True)

    def xmlrpc_root(self, authority: str, path: str) -> str:
        """Write the root certificate of a CA."""
        Path(path).write_bytes(self.authorities[authority].root.pem)
        return path

    def xmlrpc_issuer(self, authority: str, path: str) -> str:
        """Write the certificate that issues the leaves of a CA."""
        Path(path).write_bytes(self.authorities[authority].pem)
        return path

    def xmlrpc_issue(self, authority: str, folder: str, names: list[str], options: dict[str, Any]) -> list[str]:
        """Issue a leaf, write its files, and return the paths of chain and key."""
        prefix = options.pop("prefix", "")
        label = options.pop("label", names[0])
        urls = options.pop("responder_urls", [self.url])
        for date in ("lives", "age"):
            if date in options:
                options[date] = timedelta(seconds=options[date])
        age = options.pop("age", timedelta(days=1))
        ca = self.authorities[authority]
        start = ca.now() - age
        end = ca.now() + options.pop("lives", timedelta(days=90))
        leaf = ca.issue(*names, responder_urls=urls, not_before=start, not_after=end, **options)
        self.leaves[label] = leaf
        return [str(path) for path in leaf.write(folder, prefix=prefix)]

    def xmlrpc_fingerprint(self, label: str) -> str:
        """SHA-256 of a leaf's DER."""
        return self.leaves[label].fingerprint.hex()

    def xmlrpc_behave(self, behaviours: Any, label: str | None = None) -> bool:
        """Switch the responder, for one leaf or for all."""
        self.responder.behave(behaviours, about=None if label is None else self.leaves[label])
        return True

    def xmlrpc_set(self, attribute: str, value: Any) -> bool:
        """Set one of the responder's attributes; spans are seconds."""
        if attribute in {"lifetime", "max_age", "retry_after"} and value is not None:
            value = timedelta(seconds=value)
        assert hasattr(self.responder, attribute), attribute
        setattr(self.responder, attribute, value)
        return True

    def xmlrpc_count(self, label: str | None = None) -> int:
        """How often was asked."""
        return self.responder.count(None if label is None else self.leaves[label])

    def xmlrpc_peak(self) -> int:
        """The most questions in flight at one time."""
        return self.responder.peak


class _UntilEnd(Protocol):
    def connectionLost(self, reason: Any = None) -> None:
        if reactor.running:
            reactor.stop()


def main(names: list[str]) -> None:
    """Serve until standard input ends."""
    control = Control(names)
    port = reactor.listenTCP(0, server.Site(control), interface="127.0.0.1")
    sys.stdout.write(f"{port.getHost().port}\n")
    sys.stdout.flush()
    stdio.StandardIO(_UntilEnd())
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1:] or ["ca"])
