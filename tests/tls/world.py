"""What the tests of this room share: sites with staples, made without files, sockets or a reactor."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from OpenSSL import SSL

from staplesrv.ocsp.response import Staple, verify_response
from staplesrv.sources import utc
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.cache import Entry, Held, Reason, StapleCache
from staplesrv.staples.settings import Settings
from staplesrv.testing import CertificateAuthority, Leaf
from staplesrv.tls.certificate import CertificateBundle, parse_bundle
from staplesrv.tls.context_factory import ContextFactory
from staplesrv.tls.front import Front
from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.loaded import LoadedSite
from staplesrv.tls.openssl_calls import Calls
from staplesrv.tls.preset import PresetName
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.sni import SiteTable

START = 1_800_000_000.0
"""When every test begins: 2027-01-15."""


@dataclass
class Wall:
    """A wall clock that a test sets."""

    seconds: float = START

    def __call__(self) -> float:
        """Tell the time."""
        return self.seconds


@dataclass
class World:
    """A clock, a CA, and the sites that were made."""

    wall: Wall = field(default_factory=Wall)
    cache: StapleCache = field(default_factory=StapleCache)

    def __post_init__(self) -> None:
        self.ca = CertificateAuthority("site CA", now=lambda: utc(self.wall()))

    def site(
        self,
        *leaves: Leaf,
        names: tuple[str, ...] = (),
        refuse: bool = False,
        revoked: bool = False,
        protocols: tuple[str, ...] | None = None,
    ) -> LiveSite:
        """Make a site of leaves, without staples so far."""
        bundles = tuple(bundle(leaf) for leaf in leaves)
        certificate = SiteCertificate(
            [f"{number}.pem" for number in range(len(leaves))],
            names=names,
            must_staple="refuse" if refuse else "serve",
            protocols=protocols,
        )
        assignments = tuple(Assignment.for_leaf(leaf.certificate, leaf.chain, settings=Settings()) for leaf in leaves)
        loaded = LoadedSite(certificate, b"", bundles, assignments)
        return LiveSite(loaded, cache=self.cache, wall_clock=self.wall, refuse_revoked=revoked)

    def staple(self, leaf: Leaf, ca: CertificateAuthority | None = None) -> bytes:
        """Put a verified staple of a week into the cache."""
        response_der = (ca or self.ca).respond(leaf)
        assignment = Assignment.for_leaf(leaf.certificate, leaf.chain, settings=Settings())
        assert assignment.target is not None
        staple = verify_response(response_der, assignment.target, now=utc(self.wall()))
        assert isinstance(staple, Staple)
        entry = self.entry(leaf)
        entry.held, entry.reason = Held.of(staple), Reason.OK
        return response_der

    def entry(self, leaf: Leaf) -> Entry:
        """Return the cache's entry of a leaf."""
        return self.cache.entry(leaf.fingerprint)

    def front(self, *sites: LiveSite, openssl: Calls | None = None) -> Front:
        """Put sites on show."""
        front = Front(wall_clock=self.wall) if openssl is None else Front(wall_clock=self.wall, openssl=openssl)
        front.table = SiteTable(sites)
        return front

    def factory(
        self,
        *sites: LiveSite,
        openssl: Calls | None = None,
        preset: PresetName = "intermediate",
        protocols: tuple[bytes, ...] = (),
    ) -> ContextFactory:
        """Make a context factory for sites."""
        return ContextFactory(self.front(*sites, openssl=openssl), preset, protocols)


def bundle(leaf: Leaf) -> CertificateBundle:
    """Make a bundle without files."""
    return parse_bundle(("cert", leaf.fullchain_pem), ("key", leaf.key_pem()))


def staple_seen(context: SSL.Context, server: SSL.Connection, session: SSL.Session | None = None) -> bytes:
    """Do a handshake with a client of pyOpenSSL's, for what `StapleClient` has no option for; return the staple."""
    seen: list[bytes] = []
    context.set_ocsp_client_callback(lambda _connection, staple, _data: seen.append(staple) is None)
    client = SSL.Connection(context)
    client.set_connect_state()
    client.request_ocsp()
    meet(client, server)
    return b"".join(seen)


def meet(client: SSL.Connection, server: SSL.Connection) -> None:
    """Let two connections in memory shake hands.

    Raises:
        SSL.Error: the server's side failed, or else the client's.
    """
    server.set_accept_state()
    finished: set[SSL.Connection] = set()
    for _ in range(8):
        for one, other in ((client, server), (server, client)):
            try:
                one.do_handshake()
                finished.add(one)
            except SSL.WantReadError:
                pass
            with suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(1 << 16))
    assert finished == {client, server}
