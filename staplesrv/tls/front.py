"""What new connections meet: a base context per preset, and the table of sites that they are led to."""

from __future__ import annotations

from OpenSSL import SSL
from twisted.logger import Logger

from staplesrv.sources import WallClock
from staplesrv.tls.connection import NOT_ASKED, RESUMED, ServerConnection
from staplesrv.tls.context import base_context
from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.openssl import Calls, calls
from staplesrv.tls.preset import PresetName
from staplesrv.tls.sni import SiteTable

TICKET_KEY_SECONDS = 12 * 3600.0
"""The age at which session ticket keys are replaced. A resumed session carries no staple, and TLS 1.3 renews tickets at
each resumption, so this is how long a revocation can stay unseen."""

_log = Logger()


class Front:
    """The base contexts of one process.

    Args:
        wall_clock: Seconds since the epoch.
        openssl: The calls beyond pyOpenSSL's public API.

    Attributes:
        table: The sites; None refuses every handshake. Swapped by one assignment.
    """

    def __init__(self, *, wall_clock: WallClock, openssl: Calls = calls) -> None:
        self.table: SiteTable[LiveSite] | None = None
        self._wall_clock = wall_clock
        self._openssl = openssl
        self._bases: dict[PresetName, SSL.Context] = {}
        self._made = wall_clock()

    def base(self, preset: PresetName) -> SSL.Context:
        """Return the base context of a preset, for the next connection."""
        context = self._bases.get(preset)
        if context is None:
            context = self._bases[preset] = base_context(preset, self._choose, openssl=self._openssl)
        return context

    def renew_ticket_keys_if_due(self) -> bool:
        """Replace ticket keys older than `TICKET_KEY_SECONDS`; a clock set back counts as old. Tell whether it did."""
        if 0 <= self._wall_clock() - self._made < TICKET_KEY_SECONDS:
            return False
        self.renew_ticket_keys()
        return True

    def renew_ticket_keys(self) -> None:
        """Have new connections start on new base contexts, which have new ticket keys."""
        self._bases = {}
        self._made = self._wall_clock()

    def _choose(self, connection: SSL.Connection) -> SSL.Context | None:
        try:
            if self.table is None:
                return None
            site = self.table.find(connection.get_servername())
            if isinstance(connection, ServerConnection):
                connection.site = site
                if (protocols := site.loaded.certificate.protocols) is not None:
                    connection.acceptable = protocols
                connection.outcome = RESUMED if self._openssl.resumed(connection) else NOT_ASKED
            return site.context_now()
        except Exception:  # noqa: BLE001 - OpenSSL is the caller; an exception would be printed, not raised
            _log.failure("Choosing the certificate for a connection failed; its handshake is refused")
            return None
