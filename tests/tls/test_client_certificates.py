"""Clients that are asked for a certificate, and the ways around it that lead nowhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from tls.world import World, meet

from staplesrv.errors import OperatorError
from staplesrv.testing import CertificateAuthority, Leaf
from staplesrv.testing.keys import make_key
from staplesrv.tls.client_policy import ClientPolicy, parse_policy
from staplesrv.tls.connection import ServerConnection
from staplesrv.tls.context import base_context
from staplesrv.tls.context_factory import ContextFactory
from staplesrv.tls.front import Front
from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.openssl_calls import Calls
from staplesrv.tls.self_check import check_site
from staplesrv.tls.sni import SiteTable

VERSIONS = [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION]
HELLO_RETRY = b"secp521r1:prime256v1"


def policy(*authorities: CertificateAuthority, required: bool = True) -> ClientPolicy:
    """Ask for certificates of these CAs."""
    return parse_policy([("ca.pem", authority.pem) for authority in authorities], required=required)


@dataclass
class Visit:
    """What came of a handshake.

    Args:
        server: The server's side.
        client: The client's.
        staple: What the client was handed.
    """

    server: ServerConnection
    client: SSL.Connection
    staple: bytes

    @property
    def shown(self) -> bytes | None:
        """DER of the client's certificate, as the server has it."""
        certificate = self.server.get_peer_certificate(as_cryptography=True)
        return None if certificate is None else certificate.public_bytes(Encoding.DER)


class Scene:
    """An open site and one that asks for certificates, over one listener.

    Args:
        world: A clock and a CA.
        openssl: The calls in use.
        wanted: What the guarded site wants.
        guarded_first: Whether the guarded site is the default.
    """

    def __init__(
        self, world: World, openssl: Calls, wanted: ClientPolicy | None, *, guarded_first: bool = False
    ) -> None:
        self.world = world
        self.leaves = {name: world.ca.issue(f"{name}.example") for name in ("open", "guarded")}
        self.staples = {name: world.staple(leaf) for name, leaf in self.leaves.items()}
        self.open = world.site(self.leaves["open"], names=("open.example",))
        self.guarded = self.site(wanted)
        self.guarded_first = guarded_first
        # OpenSSL takes the session of a connection that is gone without a goodbye for a bad one.
        self.visits: list[Visit] = []
        self.front = Front(wall_clock=world.wall, openssl=openssl)
        self.show(self.guarded)

    def site(self, wanted: ClientPolicy | None) -> LiveSite:
        """Make the guarded site anew."""
        plain = self.world.site(self.leaves["guarded"], names=("guarded.example",))
        return LiveSite(replace(plain.loaded, client=wanted), cache=self.world.cache, wall_clock=self.world.wall)

    def show(self, guarded: LiveSite) -> None:
        """Put both sites on show."""
        self.guarded = guarded
        self.front.table = SiteTable((guarded, self.open) if self.guarded_first else (self.open, guarded))

    def connection(self) -> ServerConnection:
        """Begin a connection."""
        return ContextFactory(self.front, "intermediate").connection()

    def visit(
        self,
        name: str | None = "guarded.example",
        leaf: Leaf | None = None,
        *,
        version: int = SSL.TLS1_3_VERSION,
        server: ServerConnection | None = None,
        context: SSL.Context | None = None,
        session: SSL.Session | None = None,
    ) -> Visit:
        """Shake hands.

        Raises:
            SSL.Error: it failed.
        """
        seen: list[bytes] = []
        client = SSL.Connection(context or client_context(version, leaf))
        if leaf is not None:
            client.use_certificate(leaf.certificate)
            client.use_privatekey(leaf.key)
        client.set_app_data(seen)
        client.set_connect_state()
        client.request_ocsp()
        if name is not None:
            client.set_tlsext_host_name(name.encode())
        if session is not None:
            client.set_session(session)
        server = server or self.connection()
        meet(client, server)
        # TLS 1.3 sends tickets behind the handshake.
        server.send(b"x")
        client.bio_write(server.bio_read(1 << 16))
        assert client.recv(1) == b"x"
        self.visits.append(Visit(server, client, b"".join(seen)))
        return self.visits[-1]


def client_context(version: int, leaf: Leaf | None = None) -> SSL.Context:
    """Make a client's context, with the chain of a certificate perhaps."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.set_ocsp_client_callback(lambda connection, staple, _data: connection.get_app_data().append(staple) is None)
    if leaf is not None:
        for certificate in leaf.chain:
            context.add_extra_chain_cert(certificate)
    return context


@pytest.fixture
def clients() -> CertificateAuthority:
    """The clients' CA. It goes by the real time, as OpenSSL does."""
    return CertificateAuthority("clients' CA")


def der(leaf: Leaf) -> bytes:
    """DER of a leaf."""
    return leaf.certificate.public_bytes(Encoding.DER)


def refusal(caught: pytest.ExceptionInfo[SSL.Error]) -> str:
    """What OpenSSL says of the server's side."""
    return str(caught.value.args[0][0][-1])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("first", ["open", "guarded"])
class TestAsked:
    def scene(self, world: World, openssl: Calls, first: str, wanted: ClientPolicy) -> Scene:
        """Two sites."""
        return Scene(world, openssl, wanted, guarded_first=first == "guarded")

    def test_a_client_with_its_certificate(
        self, world: World, openssl: Calls, clients: CertificateAuthority, version: int, first: str
    ) -> None:
        """It gets in, with the site's staple, and the server has its certificate."""
        leaf = clients.issue(client=True, common_name="alice")
        scene = self.scene(world, openssl, first, policy(clients))
        visit = scene.visit(leaf=leaf, version=version)
        assert (visit.shown, visit.staple) == (der(leaf), scene.staples["guarded"])
        assert visit.server.site is scene.guarded

    def test_a_client_without_one(
        self, world: World, openssl: Calls, clients: CertificateAuthority, version: int, first: str
    ) -> None:
        """It does not get in where one is required, and does where one is only asked for."""
        scene = self.scene(world, openssl, first, policy(clients))
        with pytest.raises(SSL.Error) as caught:
            scene.visit(version=version)
        assert refusal(caught) == "peer did not return a certificate"
        scene.show(scene.site(policy(clients, required=False)))
        visit = scene.visit(version=version)
        assert (visit.shown, visit.staple) == (None, scene.staples["guarded"])

    def test_certificates_that_are_not_good(
        self, world: World, openssl: Calls, clients: CertificateAuthority, version: int, first: str
    ) -> None:
        """Another CA's, one for servers, one that is over or not yet valid: none gets in, required or not."""
        scene = self.scene(world, openssl, first, policy(clients))
        now = clients.now()
        bad = [
            CertificateAuthority("clients' CA").issue(client=True),
            CertificateAuthority("site CA").issue(client=True),
            clients.issue("a.example"),
            clients.issue(client=True, not_before=now - timedelta(days=900), not_after=now - timedelta(days=890)),
            clients.issue(client=True, not_before=now + timedelta(days=3000), not_after=now + timedelta(days=3001)),
        ]
        for required in (True, False):
            scene.show(scene.site(policy(clients, required=required)))
            for leaf in bad:
                with pytest.raises(SSL.Error) as caught:
                    scene.visit(leaf=leaf, version=version)
                assert refusal(caught) == "certificate verify failed"

    def test_the_open_site_asks_nobody(
        self, world: World, openssl: Calls, clients: CertificateAuthority, version: int, first: str
    ) -> None:
        """Whether or not the client has a certificate."""
        scene = self.scene(world, openssl, first, policy(clients))
        visit = scene.visit("open.example", clients.issue(client=True), version=version)
        assert (visit.shown, visit.staple) == (None, scene.staples["open"])
        assert visit.server.site is scene.open
        assert visit.client.get_client_ca_list() == []

    def test_a_client_is_told_whose_certificates_count(
        self, world: World, openssl: Calls, clients: CertificateAuthority, version: int, first: str
    ) -> None:
        """So that a browser can offer those that will do."""
        scene = self.scene(world, openssl, first, policy(clients, world.ca))
        names = scene.visit(leaf=clients.issue(client=True), version=version).client.get_client_ca_list()
        assert [name.commonName for name in names] == ["clients' CA", "site CA"]

    def test_unknown_names_and_none_go_by_the_default_site(
        self, world: World, openssl: Calls, clients: CertificateAuthority, version: int, first: str
    ) -> None:
        """Where that is guarded, they are asked."""
        scene = self.scene(world, openssl, first, policy(clients))
        for name in (None, "unknown.example", "192.0.2.1"):
            if first == "guarded":
                with pytest.raises(SSL.Error):
                    scene.visit(name, version=version)
                assert scene.visit(name, clients.issue(client=True), version=version).server.site is scene.guarded
            else:
                assert scene.visit(name, version=version).server.site is scene.open

    def test_no_session_is_resumed(
        self, world: World, openssl: Calls, clients: CertificateAuthority, version: int, first: str
    ) -> None:
        """Not that of another site, and not the site's own: each client is verified each time."""
        scene = self.scene(world, openssl, first, policy(clients))
        leaf = clients.issue(client=True)
        for name, shown in (("open.example", None), ("guarded.example", leaf)):
            context = client_context(version, shown)
            session = scene.visit(name, shown, context=context).client.get_session()
            assert session is not None
            again = scene.visit(name, shown, context=context, session=session)
            assert again.staple == scene.staples[name.removesuffix(".example")]
            # The client of the same session that has no certificate any more.
            with pytest.raises(SSL.Error):
                scene.visit(context=context, session=session)


@pytest.mark.parametrize("version", VERSIONS)
class TestChains:
    def test_an_intermediate_of_the_client_s(
        self, world: World, openssl: Calls, clients: CertificateAuthority, version: int
    ) -> None:
        """It comes along in the client's chain."""
        leaf = clients.intermediate().issue(client=True)
        assert Scene(world, openssl, policy(clients)).visit(leaf=leaf, version=version).shown == der(leaf)

    def test_an_intermediate_alone_is_trusted(
        self, world: World, openssl: Calls, clients: CertificateAuthority, version: int
    ) -> None:
        """And not what else its root has issued."""
        staff = clients.intermediate("staff")
        scene = Scene(world, openssl, policy(staff))
        leaf = staff.issue(client=True)
        assert scene.visit(leaf=leaf, version=version).shown == der(leaf)
        for other in (clients.issue(client=True), clients.intermediate("guests").issue(client=True)):
            with pytest.raises(SSL.Error):
                scene.visit(leaf=other, version=version)

    def test_each_site_has_its_own_cas(
        self, world: World, openssl: Calls, clients: CertificateAuthority, version: int
    ) -> None:
        """A certificate that opens one site opens no other."""
        others = CertificateAuthority("others' CA")
        scene = Scene(world, openssl, policy(clients))
        plain = world.site(scene.leaves["open"], names=("open.example",))
        scene.open = LiveSite(replace(plain.loaded, client=policy(others)), cache=world.cache, wall_clock=world.wall)
        scene.show(scene.guarded)
        alice, bob = clients.issue(client=True), others.issue(client=True)
        assert scene.visit("guarded.example", alice, version=version).shown == der(alice)
        assert scene.visit("open.example", bob, version=version).shown == der(bob)
        for name, leaf in (("guarded.example", bob), ("open.example", alice)):
            with pytest.raises(SSL.Error):
                scene.visit(name, leaf, version=version)

    def test_the_server_s_chain_is_what_the_operator_gave(self, world: World, openssl: Calls, version: int) -> None:
        """Nothing is added to it where the clients' CA has issued the server's certificate, too."""
        scene = Scene(world, openssl, policy(world.ca, required=False))
        leaf = scene.leaves["guarded"]
        loaded = scene.guarded.loaded
        alone = replace(loaded.bundles[0], chain=())
        site = replace(loaded, bundles=(alone,))
        scene.show(LiveSite(site, cache=world.cache, wall_clock=world.wall))
        chain = scene.visit(version=version).client.get_peer_cert_chain(as_cryptography=True)
        assert chain == [leaf.certificate]


class TestChangingNames:
    """RFC 8446 §4.1.4: a client that is asked for another hello may name another server in it."""

    @pytest.mark.parametrize("shown", ["a certificate", "none"])
    @pytest.mark.parametrize("names", [("open", "guarded"), ("guarded", "open")])
    def test_the_second_name_counts(
        self,
        world: World,
        openssl: Calls,
        clients: CertificateAuthority,
        names: tuple[str, str],
        shown: str,
    ) -> None:
        """Whichever way round, the client is asked by the site that it is led to in the end."""
        from OpenSSL._util import lib  # noqa: PLC0415 - pyOpenSSL has no call for a client's groups

        scene = Scene(world, openssl, policy(clients))
        leaf = clients.issue(client=True)
        context = client_context(SSL.TLS1_3_VERSION)
        assert lib.SSL_CTX_set1_curves_list(context._context, HELLO_RETRY) == 1
        client = SSL.Connection(context)
        if shown == "a certificate":
            client.use_certificate(leaf.certificate)
            client.use_privatekey(leaf.key)
        client.set_app_data([])
        client.set_connect_state()
        client.set_tlsext_host_name(f"{names[0]}.example".encode())
        server = scene.connection()
        server.set_accept_state()
        turn(client, server)
        turn(server, client)
        assert server.site is (scene.open if names[0] == "open" else scene.guarded)
        client.set_tlsext_host_name(f"{names[1]}.example".encode())
        turn(client, server)
        turn(server, client)
        client.do_handshake()
        server.bio_write(client.bio_read(1 << 16))
        if names[1] == "guarded" and shown == "none":
            with pytest.raises(SSL.Error, match="peer did not return a certificate"):
                server.do_handshake()
            return
        server.do_handshake()
        assert server.site is (scene.guarded if names[1] == "guarded" else scene.open)
        assert (server.get_peer_certificate() is not None) is (names[1] == "guarded")


def turn(one: SSL.Connection, other: SSL.Connection) -> None:
    """One side goes on, and what it says is carried to the other."""
    with pytest.raises(SSL.WantReadError):
        one.do_handshake()
    other.bio_write(one.bio_read(1 << 16))


class TestReload:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_session_from_before(
        self, world: World, openssl: Calls, clients: CertificateAuthority, version: int
    ) -> None:
        """Of a time when nobody was asked; it opens nothing, on connections that have begun before either."""
        scene = Scene(world, openssl, None)
        context = client_context(version)
        session = scene.visit(context=context).client.get_session()
        assert session is not None
        resumed = scene.visit(context=context, session=session)
        assert resumed.staple == b""
        begun = scene.connection()
        scene.show(scene.site(policy(clients)))
        for server in (begun, scene.connection()):
            with pytest.raises(SSL.Error):
                scene.visit(context=context, session=session, server=server)

    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_connection_that_has_begun(
        self, world: World, openssl: Calls, clients: CertificateAuthority, version: int
    ) -> None:
        """It is asked as its server name wants it when that comes; without pyOpenSSL's parts it is refused."""
        scene = Scene(world, openssl, None)
        leaf = clients.issue(client=True)
        without, with_one = scene.connection(), scene.connection()
        scene.show(scene.site(policy(clients)))
        with pytest.raises(SSL.Error):
            scene.visit(version=version, server=without)
        if openssl.leads_late:
            assert scene.visit(leaf=leaf, version=version, server=with_one).shown == der(leaf)
        else:
            with pytest.raises(SSL.Error):
                scene.visit(leaf=leaf, version=version, server=with_one)

    def test_a_single_site_that_was_not_looked_up(self, world: World, clients: CertificateAuthority) -> None:
        """Connections that began when it was open to all are asked when their hello comes after."""
        leaf = world.ca.issue("a.example")
        site = world.site(leaf, names=("a.example",))
        front = world.front(site)
        begun = ContextFactory(front, "intermediate").connection()
        assert not front.base("intermediate").leads
        guarded = LiveSite(replace(site.loaded, client=policy(clients)), cache=world.cache, wall_clock=world.wall)
        front.table = SiteTable((guarded,))
        for server in (begun, ContextFactory(front, "intermediate").connection()):
            client = SSL.Connection(client_context(SSL.TLS1_3_VERSION))
            client.set_app_data([])
            client.set_connect_state()
            with pytest.raises(SSL.Error) as caught:
                meet(client, server)
            assert refusal(caught) == "peer did not return a certificate"
            assert server.site is guarded

    def test_sessions_come_back(self, world: World, openssl: Calls, clients: CertificateAuthority) -> None:
        """Once no site asks any more; with the keys that there were."""
        scene = Scene(world, openssl, None)
        context = client_context(SSL.TLS1_2_VERSION)
        session = scene.visit(context=context).client.get_session()
        assert session is not None
        scene.show(scene.site(policy(clients)))
        scene.visit("open.example", version=SSL.TLS1_2_VERSION)
        scene.show(scene.site(None))
        assert scene.visit(context=context, session=session).staple == b""

    def test_another_ca(self, world: World, openssl: Calls, clients: CertificateAuthority) -> None:
        """It counts from the next connection on."""
        others = CertificateAuthority("others' CA")
        scene = Scene(world, openssl, policy(clients))
        alice, bob = clients.issue(client=True), others.issue(client=True)
        scene.visit(leaf=alice)
        scene.show(scene.site(policy(others)))
        with pytest.raises(SSL.Error):
            scene.visit(leaf=alice)
        assert scene.visit(leaf=bob).shown == der(bob)


class TestBaseContext:
    def test_a_guarded_site_is_never_on_it(self, world: World, openssl: Calls, clients: CertificateAuthority) -> None:
        """It has no certificate where that is the default one: without being led no handshake comes to its end."""
        scene = Scene(world, openssl, policy(clients), guarded_first=True)
        base = scene.front.base("intermediate")
        assert (base.site, base.leads, base.sessions) == (None, True, False)

    def test_connections_made_by_hand_are_asked(
        self, world: World, openssl: Calls, clients: CertificateAuthority
    ) -> None:
        """Those of callers that take the context itself."""
        scene = Scene(world, openssl, policy(clients))
        context = ContextFactory(scene.front, "intermediate").getContext()
        client = SSL.Connection(client_context(SSL.TLS1_3_VERSION))
        client.set_app_data([])
        client.set_connect_state()
        client.set_tlsext_host_name(b"guarded.example")
        with pytest.raises(SSL.Error):
            meet(client, SSL.Connection(context))

    def test_a_context_that_was_made_before(self, world: World, openssl: Calls, clients: CertificateAuthority) -> None:
        """It waits until sessions are resumed, as it is the one with the keys that other processes have, too."""
        scene = Scene(world, openssl, policy(clients))
        made = base_context("modern")
        front = Front(wall_clock=world.wall, openssl=openssl, contexts={"modern": made})
        front.table = SiteTable((scene.open, scene.guarded))
        assert front.base("modern").context is not made
        front.table = SiteTable((scene.open,))
        assert front.base("modern").context is made

    def test_new_keys_leave_it_as_it_is(self, world: World, openssl: Calls, clients: CertificateAuthority) -> None:
        """After a renewal there are no sessions either."""
        scene = Scene(world, openssl, policy(clients))
        scene.front.renew_ticket_keys()
        assert not scene.front.base("modern").sessions


class TestPolicy:
    def test_equal(self, clients: CertificateAuthority, world: World) -> None:
        """The same CAs and the same demand make the same policy, however often a CA is named."""
        assert policy(clients) == policy(clients, clients)
        assert len({policy(clients), policy(clients, required=False), policy(world.ca)}) == 3

    @pytest.mark.parametrize(
        "data", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"]
    )
    def test_no_certificate(self, data: bytes) -> None:
        """A file without any is an error that names it."""
        with pytest.raises(OperatorError) as caught:
            parse_policy([("ca.pem", data)], required=True)
        assert caught.value.where == "ca.pem"

    def test_too_many(self, world: World, openssl: Calls) -> None:
        """What TLS has no room for is an error when it is read, not in each handshake; what it has room for works."""
        key = make_key("ec")
        many = [CertificateAuthority(f"{number:060}", key=key) for number in range(900)]
        with pytest.raises(OperatorError, match="900 CAs are more than"):
            policy(*many)
        most = 0xF000 // (len(many[0].certificate.subject.public_bytes()) + 2)
        scene = Scene(world, openssl, policy(*many[:most], required=False))
        for version in VERSIONS:
            assert len(scene.visit(version=version).client.get_client_ca_list()) == most

    def test_a_leaf(self, clients: CertificateAuthority) -> None:
        """No client's certificate could lead to it."""
        with pytest.raises(OperatorError, match="not a CA's"):
            parse_policy([("ca.pem", clients.pem + clients.issue(client=True).fullchain_pem)], required=True)


def test_our_own_look_at_a_guarded_site(world: World, openssl: Calls, clients: CertificateAuthority) -> None:
    """It has no certificate, and is asked for none: it is there to see the staples of both."""
    leaves = world.ca.issue("guarded.example", key="rsa"), world.ca.issue("guarded.example")
    for leaf in leaves:
        world.staple(leaf)
    plain = world.site(*leaves, names=("guarded.example",))
    site = LiveSite(replace(plain.loaded, client=policy(clients)), cache=world.cache, wall_clock=world.wall)
    factory = world.factory(site, openssl=openssl)
    assert list(check_site(site, factory.connection, world.wall())) == []


def test_a_failed_verification_says_nothing(
    world: World, openssl: Calls, clients: CertificateAuthority, logged: list[dict[str, Any]]
) -> None:
    """A client has no word in the log."""
    scene = Scene(world, openssl, policy(clients))
    with pytest.raises(SSL.Error):
        scene.visit(leaf=world.ca.issue(client=True))
    assert logged == []
