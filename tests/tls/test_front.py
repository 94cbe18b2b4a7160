"""What new connections meet: names, no names, resumed sessions, new ticket keys, refusals, application protocols."""

from __future__ import annotations

import pytest
from OpenSSL import SSL
from tls.world import World, meet
from twisted.internet.interfaces import (
    IOpenSSLContextFactory,
    IOpenSSLServerConnectionCreator,
    IProtocolNegotiationFactory,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer
from zope.interface.verify import verifyObject

from staplesrv.staples.cache import Reason
from staplesrv.testing import HandshakeFailed, StapleClient, handshake
from staplesrv.tls.client import ClientSession, Version
from staplesrv.tls.connection import ServerConnection
from staplesrv.tls.context_factory import ContextFactory
from staplesrv.tls.front import TICKET_KEY_SECONDS, Front
from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.openssl_calls import Calls
from staplesrv.tls.public_calls import PublicCalls
from staplesrv.tls.sni import SiteTable

VERSIONS: list[Version] = ["TLSv1.2", "TLSv1.3"]


@pytest.mark.parametrize("version", VERSIONS)
class TestNames:
    @pytest.mark.parametrize("server_name", [None, "unknown.example", "a.example", "192.0.2.7"])
    def test_default(self, world: World, openssl: Calls, version: Version, server_name: str | None) -> None:
        """Clients without a name, or with one that nobody has, get the first site, staple included."""
        first, second = world.ca.issue("a.example"), world.ca.issue("b.example")
        staple = world.staple(first)
        factory = world.factory(world.site(first), world.site(second), openssl=openssl)
        seen = handshake(factory, server_name=server_name, min_version=version, max_version=version)
        assert (seen.leaf, seen.staple) == (first.certificate, staple)

    def test_switch(self, world: World, openssl: Calls, version: Version) -> None:
        """A name's own certificate comes with its own staple and its own chain."""
        first, second = world.ca.issue("a.example"), world.ca.intermediate().issue("b.example")
        world.staple(first)
        factory = world.factory(world.site(first), world.site(second), openssl=openssl)
        seen = handshake(factory, server_name="B.example", min_version=version, max_version=version)
        assert seen.peer_chain == (second.certificate, *second.chain)
        assert seen.staple == b""

    def test_swap(self, world: World, version: Version) -> None:
        """A swapped table holds for the next connection."""
        first, second = world.ca.issue("a.example"), world.ca.issue("a.example")
        front = world.front(world.site(first))
        factory = ContextFactory(front, "intermediate")
        assert handshake(factory, min_version=version, max_version=version).leaf == first.certificate
        front.table = world.front(world.site(second)).table
        assert handshake(factory, min_version=version, max_version=version).leaf == second.certificate


class TestWithoutTable:
    def test_refused(self, world: World, openssl: Calls) -> None:
        """Before there are sites every handshake is refused."""
        factory = ContextFactory(Front(wall_clock=world.wall, openssl=openssl), "intermediate")
        with pytest.raises(HandshakeFailed) as caught:
            handshake(factory)
        assert caught.value.alert == "handshake_failure"

    def test_fault(self, world: World, openssl: Calls, logged: list[dict[str, object]]) -> None:
        """A fault in choosing is logged and refuses the handshake; nothing is raised into OpenSSL."""
        front = Front(wall_clock=world.wall, openssl=openssl)
        front.table = Broken([world.site(world.ca.issue(name)) for name in ("a.example", "b.example")])
        with pytest.raises(HandshakeFailed):
            handshake(ContextFactory(front, "intermediate"))
        assert any("log_failure" in event for event in logged)


class Broken(SiteTable[LiveSite]):
    """A table that can't be asked."""

    def find(self, server_name: bytes | None) -> LiveSite:
        """Fail, as only a bug of ours would."""
        raise LookupError(server_name)


class TestLeading:
    """A base context shows the default site itself, and asks for each connection's site only where that matters."""

    def test_a_single_site(self, world: World) -> None:
        """A site that is the only one is shown without being looked up."""
        leaf = world.ca.issue("a.example")
        staple = world.staple(leaf)
        front = world.front(world.site(leaf))
        seen = handshake(ContextFactory(front, "intermediate"))
        assert (seen.leaf, seen.staple) == (leaf.certificate, staple)
        assert not front.base("intermediate").leads

    def test_a_second_site(self, world: World, openssl: Calls) -> None:
        """Another site that comes later is shown on the base context that is in use already."""
        first, second = world.ca.issue("a.example"), world.ca.issue("b.example")
        world.staple(second)
        site = world.site(first)
        front = world.front(site, openssl=openssl)
        factory = ContextFactory(front, "intermediate")
        assert handshake(factory).leaf == first.certificate
        base = front.base("intermediate")
        front.table = SiteTable([site, world.site(second)])
        assert front.base("intermediate") is base
        seen = handshake(factory, client=StapleClient(server_name="b.example"))
        assert (seen.leaf, bool(seen.staple)) == (second.certificate, True)
        assert handshake(factory, client=StapleClient(server_name="a.example")).leaf == first.certificate

    def test_a_renewed_site(self, world: World, openssl: Calls) -> None:
        """A renewed certificate is shown at once, with its own staple."""
        old, new = world.ca.issue("a.example"), world.ca.issue("a.example")
        world.staple(old)
        staple = world.staple(new)
        front = world.front(world.site(old), openssl=openssl)
        factory = ContextFactory(front, "intermediate")
        assert handshake(factory).leaf == old.certificate
        front.table = SiteTable([world.site(new)])
        seen = handshake(factory)
        assert (seen.leaf, seen.staple) == (new.certificate, staple)

    def test_no_switch_to_the_same(self, world: World) -> None:
        """Among several sites the default one is shown by the base context, which is what a switch would cost."""
        site, other = world.site(world.ca.issue("a.example")), world.site(world.ca.issue("b.example"))
        front = world.front(site, other)
        factory = ContextFactory(front, "intermediate")
        for name, own in (("a.example", True), ("b.example", False), ("unknown.example", True)):
            connection = factory.connection()
            context = SSL.Context(SSL.TLS_CLIENT_METHOD)
            client = SSL.Connection(context)
            client.set_connect_state()
            client.set_tlsext_host_name(name.encode())
            meet(client, connection)
            assert (connection.get_context() is front.base("intermediate").context) is own
            assert connection.site is (site if own else other)

    @pytest.mark.parametrize("refusing", [{"refuse": True}, {"revoked": True}])
    def test_a_site_that_may_refuse(self, world: World, refusing: dict[str, bool]) -> None:
        """A site that may not be shown at times is asked each time, be it the only one."""
        leaf = world.ca.issue("a.example")
        world.staple(leaf)
        front = world.front(world.site(leaf, **refusing))
        factory = ContextFactory(front, "intermediate")
        assert handshake(factory).staple
        world.entry(leaf).reason, world.entry(leaf).held = Reason.REVOKED, None
        with pytest.raises(HandshakeFailed):
            handshake(factory)


@pytest.mark.parametrize("version", VERSIONS)
class TestResumption:
    @pytest.mark.parametrize("server_name", ["a.example", None])
    def test_counted(self, world: World, version: Version, server_name: str | None) -> None:
        """A resumed session carries no staple, and is counted as resumed and not as missing."""
        leaf = world.ca.issue("a.example")
        world.staple(leaf)
        site = world.site(leaf)
        others = () if server_name is None else (world.site(world.ca.issue("default")),)
        factory = world.factory(*others, site)
        session = self.session(factory, version, server_name)
        seen = handshake(factory, client=StapleClient(server_name=server_name, session=session))
        assert seen.resumed
        assert seen.staple == b""
        assert site.handshakes == {"stapled": 1, "resumed": 1}

    def test_survives_a_swap_of_sites(self, world: World, version: Version) -> None:
        """Sessions are resumed across a swap of the sites: their keys are the base context's."""
        front = world.front(world.site(world.ca.issue("a.example")))
        factory = ContextFactory(front, "intermediate")
        session = self.session(factory, version)
        front.table = world.front(world.site(world.ca.issue("a.example"))).table
        assert handshake(factory, client=StapleClient(server_name="a.example", session=session)).resumed

    def test_new_keys(self, world: World, version: Version) -> None:
        """After 12 h there are new ticket keys, and older sessions get a full handshake with a staple."""
        leaf = world.ca.issue("a.example")
        staple = world.staple(leaf)
        front = world.front(world.site(leaf))
        factory = ContextFactory(front, "intermediate")
        session = self.session(factory, version)
        world.wall.seconds += TICKET_KEY_SECONDS - 1
        assert not front.renew_ticket_keys_if_due()
        assert handshake(factory, client=StapleClient(server_name="a.example", session=session)).resumed
        world.wall.seconds += 1
        assert front.renew_ticket_keys_if_due()
        seen = handshake(factory, client=StapleClient(server_name="a.example", session=session))
        assert not seen.resumed
        assert seen.staple == staple

    def test_refused(self, world: World, version: Version) -> None:
        """A site that is refused is refused to resumed sessions too; in TLS 1.3 also to sessions of other sites.

        In TLS 1.2 a session has its name in it, and a client that sends another one with it gets the session's site.
        """
        first, second = world.ca.issue("a.example"), world.ca.issue("b.example")
        world.staple(second)
        refusing = world.site(second, names=("b.example",), refuse=True)
        factory = world.factory(world.site(first), refusing)
        session = self.session(factory, version)
        its_own = self.session(factory, version, "b.example")
        world.entry(second).held = None
        refused = (session, its_own) if version == "TLSv1.3" else (its_own,)
        for one in refused:
            with pytest.raises(HandshakeFailed) as caught:
                handshake(factory, client=StapleClient(server_name="b.example", session=one))
            assert caught.value.alert == "handshake_failure"
        assert refusing.handshakes == {"stapled": 1, "refused": len(refused)}

    def session(
        self, factory: ContextFactory, version: Version, server_name: str | None = "a.example"
    ) -> ClientSession:
        """Do a handshake and keep its session."""
        client = StapleClient(server_name=server_name, min_version=version, max_version=version)
        handshake(factory, client=client)
        session = client.session
        assert session is not None
        # OpenSSL takes a session for broken whose connection goes without a goodbye.
        client.close()
        return session


def test_clock_set_back(world: World) -> None:
    """Ticket keys made in the future, by a clock that was set back, count as old."""
    front = world.front(world.site(world.ca.issue("a.example")))
    world.wall.seconds -= 1
    assert front.renew_ticket_keys_if_due()


class TestRefusing:
    def test_until_there_is_a_staple(self, world: World, openssl: Calls, logged: list[dict[str, object]]) -> None:
        """A site that refuses does so until it has a staple, and again past the cut-off; each turn is logged once."""
        leaf = world.ca.issue("a.example")
        site = world.site(leaf, refuse=True)
        factory = world.factory(site, openssl=openssl)
        for _ in range(2):
            with pytest.raises(HandshakeFailed):
                handshake(factory)
        staple = world.staple(leaf)
        assert handshake(factory).staple == staple
        assert handshake(factory, request_staple=False).staple == b""
        held = world.entry(leaf).held
        assert held is not None
        world.wall.seconds = held.cut_off
        with pytest.raises(HandshakeFailed):
            handshake(factory)
        assert site.handshakes == {"refused": 3, "stapled": 1, "not-asked": 1}
        said = [event["log_format"] for event in logged if event.get("log_namespace") == "staplesrv.tls.live_site"]
        assert [str(text).partition(" are ")[2][:8] for text in said] == ["refused:", "accepted", "refused:"]

    def test_others_go_on(self, world: World, openssl: Calls) -> None:
        """A refused name leaves the other names alone."""
        refused, served = world.ca.issue("a.example"), world.ca.issue("b.example")
        factory = world.factory(world.site(refused, refuse=True), world.site(served), openssl=openssl)
        assert handshake(factory, server_name="b.example").leaf == served.certificate
        with pytest.raises(HandshakeFailed):
            handshake(factory, server_name="a.example")

    def test_one_of_two(self, world: World) -> None:
        """Of two certificates the one with a staple is shown, whatever the client prefers."""
        rsa, ecdsa = world.ca.issue("a.example", key="rsa"), world.ca.issue("a.example")
        factory = world.factory(world.site(rsa, ecdsa, refuse=True))
        staple = world.staple(rsa)
        for _ in range(2):
            seen = handshake(factory)
            assert (seen.leaf, seen.staple) == (rsa.certificate, staple)
        with pytest.raises(HandshakeFailed):
            handshake(factory, authentication="ecdsa")

    @pytest.mark.parametrize("refuse", [False, True])
    def test_revoked(self, world: World, *, refuse: bool) -> None:
        """`on_revoked = "refuse"` refuses a revoked certificate; "drop" shows it without a staple."""
        leaf = world.ca.issue("a.example")
        factory = world.factory(world.site(leaf, revoked=refuse))
        assert handshake(factory).staple == b""
        world.entry(leaf).reason = Reason.REVOKED
        if refuse:
            with pytest.raises(HandshakeFailed):
                handshake(factory)
        else:
            assert handshake(factory).staple == b""


@implementer(IProtocolNegotiationFactory)
class Negotiating(Factory):
    """A factory with protocols of its own, as Twisted Web's Site is."""

    protocol = Protocol

    def acceptableProtocols(self) -> list[bytes]:
        """Return two."""
        return [b"h2", b"http/1.1"]


@pytest.mark.parametrize("version", VERSIONS)
class TestApplicationProtocols:
    @pytest.mark.parametrize(
        ("ours", "theirs", "agreed"),
        [
            ((b"h2", b"http/1.1"), (b"http/1.1", b"h2"), b"h2"),
            ((b"h2", b"http/1.1"), (b"http/1.1",), b"http/1.1"),
            ((b"h2",), (), b""),
            ((), (b"h2",), b""),
        ],
    )
    def test_agreed(
        self, world: World, version: Version, ours: tuple[bytes, ...], theirs: tuple[bytes, ...], agreed: bytes
    ) -> None:
        """Our first protocol that the client offers is taken; where one side has none, none is."""
        factory = world.factory(world.site(world.ca.issue("a.example")), protocols=ours)
        assert handshake(factory, alpn=theirs, min_version=version, max_version=version).alpn == agreed

    def test_no_overlap(self, world: World, version: Version) -> None:
        """RFC 7301 §3.2: protocols without overlap end in a no_application_protocol alert."""
        factory = world.factory(world.site(world.ca.issue("a.example")), protocols=(b"h2",))
        for _ in range(2):
            with pytest.raises(HandshakeFailed) as caught:
                handshake(factory, alpn=(b"smtp",), min_version=version, max_version=version)
            assert caught.value.alert == "no_application_protocol"
        assert handshake(factory, alpn=(b"h2",), min_version=version, max_version=version).alpn == b"h2"

    def test_a_sites_own(self, world: World, version: Version) -> None:
        """What a site says about protocols is for it alone; with none it takes any client, and picks nothing."""
        leaves = [world.ca.issue(f"{name}.example") for name in "abc"]
        own: list[tuple[str, ...] | None] = [None, ("imap",), ()]
        sites = [world.site(leaf, protocols=names) for leaf, names in zip(leaves, own, strict=True)]
        factory = world.factory(*sites, protocols=(b"h2",))
        for name, agreed in (("a.example", b"h2"), ("b.example", b"imap"), ("c.example", b"")):
            seen = handshake(factory, server_name=name, alpn=(b"h2", b"imap"), min_version=version, max_version=version)
            assert seen.alpn == agreed
        alone = world.factory(sites[1], protocols=(b"h2",))
        assert handshake(alone, alpn=(b"h2", b"imap"), min_version=version, max_version=version).alpn == b"imap"

    def test_wrapped_factory(self, world: World, version: Version) -> None:
        """Without protocols of its own the context factory asks the factory behind the TLS."""
        context_factory = world.factory(world.site(world.ca.issue("a.example")))
        wrapper = TLSMemoryBIOFactory(context_factory, False, Negotiating())
        protocol = wrapper.buildProtocol(None)
        protocol.makeConnection(StringTransport())
        server = protocol._tlsConnection
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        client = SSL.Connection(context)
        client.set_alpn_protos([b"http/1.1"])
        client.set_connect_state()
        meet(client, server)
        assert client.get_alpn_proto_negotiated() == b"http/1.1"


class TestContextFactory:
    def test_interfaces(self, world: World) -> None:
        """The factory offers both of Twisted's interfaces."""
        factory = world.factory(world.site(world.ca.issue("a.example")))
        verifyObject(IOpenSSLServerConnectionCreator, factory)
        verifyObject(IOpenSSLContextFactory, factory)

    def test_old_style(self, world: World) -> None:
        """A context got by `getContext` staples too."""
        leaf = world.ca.issue("a.example")
        staple = world.staple(leaf)
        assert handshake(world.factory(world.site(leaf)).getContext()).staple == staple

    def test_probe(self, world: World) -> None:
        """A look of our own is not counted."""
        site = world.site(world.ca.issue("a.example"))
        connection = world.factory(site).connection()
        connection.probe = True
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
        client.set_connect_state()
        meet(client, connection)
        assert connection.outcome == "not-asked"
        assert not site.handshakes

    def test_counted_once(self, world: World) -> None:
        """A handshake is counted when it is over, once."""
        site = world.site(world.ca.issue("a.example"))
        connection = world.factory(site).connection()
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
        client.set_connect_state()
        meet(client, connection)
        connection.count()
        connection.do_handshake()
        assert site.handshakes == {"not-asked": 1}

    def test_unfinished(self, world: World) -> None:
        """A handshake that never ends is not counted."""
        site = world.site(world.ca.issue("a.example"))
        connection = world.factory(site).connection()
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
        client.set_connect_state()
        with pytest.raises(SSL.WantReadError):
            client.do_handshake()
        connection.set_accept_state()
        connection.bio_write(client.bio_read(65536))
        with pytest.raises(SSL.WantReadError):
            connection.do_handshake()
        assert connection.outcome is None
        assert not site.handshakes


def test_unknown_resumption(world: World) -> None:
    """Where resumed sessions can't be told, they are not claimed to be."""
    site = world.site(world.ca.issue("a.example"))
    factory = world.factory(site, openssl=PublicCalls())
    client = StapleClient(max_version="TLSv1.2")
    handshake(factory, client=client)
    assert handshake(factory, client=StapleClient(session=client.session)).resumed
    assert "resumed" not in site.handshakes


def test_plain_connection_has_no_protocols(world: World) -> None:
    """A connection made by hand of the base context negotiates no application protocol."""
    factory = world.factory(world.site(world.ca.issue("a.example")), protocols=(b"h2",))
    seen = handshake(factory.getContext(), alpn=(b"h2",))
    assert seen.alpn == b""
    assert not isinstance(SSL.Connection(factory.getContext()), ServerConnection)
