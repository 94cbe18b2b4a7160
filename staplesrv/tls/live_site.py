"""A site as handshakes see it: its context, its staples, and whether it may be shown now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from cryptography import x509
from OpenSSL import SSL
from twisted.logger import Logger

from staplesrv.sources import WallClock
from staplesrv.staples.cache import Entry, Reason, StapleCache
from staplesrv.tls.client_policy import ClientPolicy
from staplesrv.tls.context import equip, site_context
from staplesrv.tls.loaded import LoadedSite

REFUSED = "refused"

_log = Logger()


class LiveSite:
    """One site that is served. Immutable but for its counters; a reload makes a new one.

    Args:
        loaded: What its files say.
        cache: Has the staples.
        wall_clock: Seconds since the epoch.
        refuse_revoked: `on_revoked = "refuse"`: no handshake shows a revoked certificate.

    Attributes:
        client: Whose certificates clients are asked for; None where they are not asked.
        handshakes: How finished handshakes ended, by `ServerConnection.outcome`, and those `REFUSED`; absent is not 0.

    Raises:
        OperatorError: OpenSSL does not take a certificate.
    """

    __slots__ = (
        "_partial",
        "_refuse_missing",
        "_refuse_revoked",
        "_refusing",
        "_wall_clock",
        "client",
        "context",
        "entries",
        "handshakes",
        "loaded",
    )

    def __init__(
        self, loaded: LoadedSite, *, cache: StapleCache, wall_clock: WallClock, refuse_revoked: bool = False
    ) -> None:
        self.loaded = loaded
        self.client: ClientPolicy | None = loaded.client
        self.entries: tuple[Entry, ...] = tuple(cache.entry(bundle.fingerprint) for bundle in loaded.bundles)
        self.handshakes: Counter[str] = Counter()
        self._wall_clock = wall_clock
        self._refuse_missing = loaded.certificate.must_staple == "refuse"
        self._refuse_revoked = refuse_revoked
        self._refusing = False
        self._partial: dict[tuple[Entry, ...], SSL.Context] = {}
        self.context = self._context(self.entries)

    @property
    def where(self) -> str:
        """What an error about it names as its place."""
        return self.loaded.certificate.where

    @property
    def names(self) -> Sequence[str]:
        """The names the operator gave it."""
        return self.loaded.certificate.names

    @property
    def implied_names(self) -> Sequence[str]:
        """The certificates' names, where the operator gave none."""
        if self.names:
            return ()
        return tuple(dict.fromkeys(name for bundle in self.loaded.bundles for name in bundle.names))

    def context_now(self) -> SSL.Context | None:
        """Return the context for one handshake; None refuses it.

        Of several certificates those that may be shown are offered, so that one revoked does not take the others down.
        """
        if self.always_shown:
            return self.context
        now = self._wall_clock()
        shown = tuple(entry for entry in self.entries if self._may_show(entry, now))
        if bool(shown) is self._refusing:
            self._turn(refusing=not shown)
        if not shown:
            self.handshakes[REFUSED] += 1
            return None
        return self.context if len(shown) == len(self.entries) else self._some(shown)

    @property
    def always_shown(self) -> bool:
        """Whether `context_now` has but one answer."""
        return not (self._refuse_missing or self._refuse_revoked)

    def equip(self, context: SSL.Context) -> None:
        """Give another context the certificates that this site's own one has."""
        equip(context, self.loaded.bundles, self.entries, wall_clock=self._wall_clock)

    def with_issuer(self, fingerprint: bytes, issuer: x509.Certificate, *, cache: StapleCache) -> LiveSite:
        """Return this site with a chain completed, and the same counters; itself where there is nothing to complete.

        Args:
            fingerprint: Of the leaf that had no issuer beside it.
            issuer: Its verified issuer.
            cache: Has the staples.
        """
        bundles = tuple(
            bundle.with_issuer(issuer) if bundle.fingerprint == fingerprint else bundle
            for bundle in self.loaded.bundles
        )
        if all(new is old for new, old in zip(bundles, self.loaded.bundles, strict=True)):
            return self
        loaded = replace(self.loaded, bundles=bundles)
        completed = LiveSite(loaded, cache=cache, wall_clock=self._wall_clock, refuse_revoked=self._refuse_revoked)
        completed.handshakes = self.handshakes
        return completed

    def _may_show(self, entry: Entry, now: float) -> bool:
        if self._refuse_missing and not entry.fresh(now):
            return False
        return not (self._refuse_revoked and entry.reason is Reason.REVOKED)

    def _some(self, shown: tuple[Entry, ...]) -> SSL.Context:
        context = self._partial.get(shown)
        if context is None:
            context = self._partial[shown] = self._context(shown)
        return context

    def _context(self, shown: tuple[Entry, ...]) -> SSL.Context:
        by_fingerprint = {bundle.fingerprint: bundle for bundle in self.loaded.bundles}
        bundles = [by_fingerprint[entry.fingerprint] for entry in shown]
        return site_context(bundles, shown, wall_clock=self._wall_clock, client=self.client)

    def _turn(self, *, refusing: bool) -> None:
        self._refusing = refusing
        if refusing:
            reasons = ", ".join(sorted({entry.reason_at(self._wall_clock()) for entry in self.entries}))
            _log.critical("Handshakes for {site} are refused: {reasons}", site=self.where, reasons=reasons)
        else:
            _log.info("Handshakes for {site} are accepted again", site=self.where)
