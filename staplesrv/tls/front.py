"""What new connections meet: a base context per preset, and the table of sites that they are led to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from OpenSSL import SSL
from twisted.logger import Logger

from staplesrv.sources import WallClock
from staplesrv.tls.client_policy import ClientPolicy
from staplesrv.tls.connection import ServerConnection
from staplesrv.tls.context import base_context, refusing_context
from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.openssl import calls
from staplesrv.tls.openssl_calls import Calls
from staplesrv.tls.preset import PresetName
from staplesrv.tls.sni import SiteTable

TICKET_KEY_SECONDS = 12 * 3600.0
"""The age at which session ticket keys are replaced. A resumed session carries no staple, and TLS 1.3 renews tickets at
each resumption, so this is how long a revocation can stay unseen."""

_log = Logger()


@dataclass(slots=True)
class Base:
    """Where the connections of one preset start.

    Args:
        context: Has the session ticket keys, and the certificates of `site`.
        site: The default site at the time it was made; None where there was none yet, and where that asks clients for
            certificates: then this context has no certificate, and nothing can be seen on it but by being led.
        sessions: Whether connections on it may resume sessions.
        leads: Whether the context asks for each connection's site. It goes without, and saves a handshake some 10 us,
            while its own site is the only one.
    """

    context: SSL.Context
    site: LiveSite | None
    sessions: bool
    leads: bool = False


class Front:
    """The base contexts of one process.

    While any site asks clients for certificates no connection resumes a session: there OpenSSL verifies nothing, and a
    session of one site would open another. There are base contexts of two kinds, then, and of each preset one of the
    kind that the table wants.

    Args:
        wall_clock: Seconds since the epoch.
        openssl: The calls beyond pyOpenSSL's public API.
        contexts: Base contexts to begin with, made by whoever forked this process; they have no certificates yet.

    Attributes:
        resumed: Tells whether a connection resumes a session.
    """

    def __init__(
        self,
        *,
        wall_clock: WallClock,
        openssl: Calls = calls,
        contexts: Mapping[PresetName, SSL.Context] | None = None,
    ) -> None:
        self._table: SiteTable[LiveSite] | None = None
        self._wall_clock = wall_clock
        self._openssl = openssl
        self.resumed = openssl.resumed
        self._sessions = True
        self._bases: dict[PresetName, Base] = {}
        self._bases_of_the_other_kind: dict[PresetName, Base] = {}
        self._contexts = dict(contexts or {})
        self._made = wall_clock()

    @property
    def table(self) -> SiteTable[LiveSite] | None:
        """The sites; None refuses every handshake. Swapped by one assignment."""
        return self._table

    @table.setter
    def table(self, table: SiteTable[LiveSite] | None) -> None:
        self._table = table
        sessions = table is None or all(site.client is None for site in table.sites)
        if sessions is not self._sessions:
            self._sessions = sessions
            self._bases, self._bases_of_the_other_kind = self._bases_of_the_other_kind, self._bases
        # Also of the other kind: there may be connections on them whose hello has not come yet.
        for base in (*self._bases.values(), *self._bases_of_the_other_kind.values()):
            self._lead_if_needed(base)

    def base(self, preset: PresetName) -> Base:
        """Return the base of a preset, for the next connection."""
        base = self._bases.get(preset)
        return self._make(preset) if base is None else base

    def renew_ticket_keys_if_due(self) -> bool:
        """Replace ticket keys older than `TICKET_KEY_SECONDS`; a clock set back counts as old. Tell whether it did."""
        if 0 <= self._wall_clock() - self._made < TICKET_KEY_SECONDS:
            return False
        self.renew_ticket_keys()
        return True

    def renew_ticket_keys(self) -> None:
        """Have new connections start on new base contexts, which have new ticket keys."""
        self._bases, self._bases_of_the_other_kind = {}, {}
        self._made = self._wall_clock()

    def _make(self, preset: PresetName) -> Base:
        site = None if self._table is None else self._table.sites[0]
        if site is not None and site.client is not None:
            site = None
        context = self._contexts.pop(preset, None) if self._sessions else None
        if context is None:
            context = base_context(preset, sessions=self._sessions, openssl=self._openssl)
        base = self._bases[preset] = Base(context, site, self._sessions)
        self._lead_if_needed(base)
        if site is not None:
            site.equip(context)
        return base

    def _lead_if_needed(self, base: Base) -> None:
        site = base.site
        alone = self._table is not None and self._table.sites == (site,)
        if base.leads or (alone and site is not None and site.always_shown and self._openssl.leads_late):
            return
        base.leads = True
        self._openssl.on_server_name(base.context, partial(self._choose, sessions=base.sessions), refusing_context())

    def _choose(self, connection: SSL.Connection, *, sessions: bool) -> SSL.Context | None:
        try:
            if self._table is None:
                return None
            site = self._table.find(connection.get_servername())
            if site.client is not None and not self._ask(connection, site.client, sessions=sessions):
                return None
            chosen = site.context_now()
            if isinstance(connection, ServerConnection):
                if site.client is None and connection.asks:
                    _ask_no_more(connection)
                if site is connection.site and chosen is site.context:
                    return connection.get_context()  # the base context, which shows the same
                connection.site = site
        except Exception:  # noqa: BLE001 - OpenSSL is the caller; an exception would be printed, not raised
            _log.failure("Choosing the certificate for a connection failed; its handshake is refused")
            return None
        return chosen

    def _ask(self, connection: SSL.Connection, client: ClientPolicy, *, sessions: bool) -> bool:
        """Have a connection ask its client for a certificate; tell whether it may go on."""
        # It began before the table asked for this, and brought a session along, in which nobody would be asked.
        if sessions and self._openssl.resumed(connection) is not False:
            return False
        if isinstance(connection, ServerConnection):
            if connection.probe:
                return True
            connection.asks = True
        connection.set_verify(client.mode)
        return True


def _ask_no_more(connection: ServerConnection) -> None:
    """Take it back: the client has changed its server name after a hello retry request (RFC 8446 §4.1.4)."""
    connection.asks = False
    connection.set_verify(SSL.VERIFY_NONE)
