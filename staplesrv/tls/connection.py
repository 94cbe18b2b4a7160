"""The server's side of one TLS connection, and what became of its staple."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from OpenSSL import SSL, crypto

if TYPE_CHECKING:
    from staplesrv.tls.live_site import LiveSite

STAPLED = "stapled"
RESUMED = "resumed"
NOT_ASKED = "not-asked"
FAULT = "missing:fault"
"""A bug of ours kept the staple back; the log has the traceback."""


class NoApplicationProtocol(SSL.Error):
    """The client offered application protocols, and none of ours.

    RFC 7301 §3.2: a fatal no_application_protocol alert, which pyOpenSSL sends for an exception in the callback. nginx
    does so too: a client that speaks another protocol may be led to the wrong server (ALPACA).
    """


class ServerConnection(SSL.Connection):
    """A connection that counts its handshake when it is over.

    `outcome` is `STAPLED`, `missing:` with a reason, `RESUMED` or `NOT_ASKED`; None before the handshake is done, or a
    staple is looked up. `site` is what answers for the server name, and before that whose certificates the base context
    has. `done` tells whether the handshake is over. `resumed` tells of a connection whether it resumes a session:
    `do_handshake` asks it, `Calls.handshake` knows by itself. `probe` keeps our own look at ourselves out of the
    counters, and from being asked for a certificate. `asks` tells whether the client is asked for one. `refused` tells
    that the handshake must not succeed, where only its end can say so.
    """

    acceptable: Sequence[bytes] = ()
    outcome: str | None = None
    site: LiveSite | None = None
    probe: bool = False
    asks: bool = False
    refused: bool = False
    done: bool = False
    resumed: Callable[[SSL.Connection], bool | None] | None = None

    def do_handshake(self) -> None:
        """Go on with the handshake; see `SSL.Connection.do_handshake`."""
        super().do_handshake()
        self.check()
        if self.outcome is None and self.resumed is not None and self.resumed(self):
            self.outcome = RESUMED
        self.count()

    @property
    def peer_der(self) -> bytes | None:
        """DER of the certificate that the client showed; None where it showed none."""
        shown = self.get_peer_certificate()
        return None if shown is None else crypto.dump_certificate(crypto.FILETYPE_ASN1, shown)

    def check(self) -> None:
        """Have a finished handshake fail after all, if it was refused.

        Raises:
            SSL.Error: it was.
        """
        if self.refused:
            raise SSL.Error([("SSL routines", "", "refused")])

    def count(self) -> None:
        """Count the finished handshake, once. For transports that do not call `do_handshake`."""
        if self.done:
            return
        self.done = True
        outcome, site = self.outcome, self.site
        if outcome is None:
            outcome = self.outcome = NOT_ASKED
        if site is not None and not self.probe:
            site.handshakes[outcome] += 1


def select_protocol(connection: SSL.Connection, offered: Sequence[bytes]) -> bytes:
    """Pick the first of our protocols that the client offers.

    Raises:
        NoApplicationProtocol: there is none. pyOpenSSL hands it on from `do_handshake`.
    """
    acceptable = _acceptable(connection) if isinstance(connection, ServerConnection) else ()
    if not acceptable:
        # No protocols of ours: whatever is behind the TLS takes what comes, as without ALPN.
        nothing: bytes = SSL.NO_OVERLAPPING_PROTOCOLS  # type: ignore[assignment]
        return nothing
    for protocol in acceptable:
        if protocol in offered:
            return protocol
    raise NoApplicationProtocol([("SSL routines", "", "no application protocol")])


def _acceptable(connection: ServerConnection) -> Sequence[bytes]:
    protocols = None if connection.site is None else connection.site.loaded.certificate.protocols
    return connection.acceptable if protocols is None else protocols
