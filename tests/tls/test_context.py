"""Handshakes in memory: what a site's context shows to whom."""

from __future__ import annotations

import pytest
from OpenSSL import SSL
from tls.world import World, bundle, meet, staple_seen

from staplesrv.errors import OperatorError
from staplesrv.staples.cache import Reason
from staplesrv.testing import CertificateAuthority, HandshakeFailed, handshake
from staplesrv.tls.client import Version
from staplesrv.tls.context import site_context, status_callback
from staplesrv.tls.openssl import calls
from staplesrv.tls.openssl_calls import Calls

VERSIONS: list[Version] = ["TLSv1.2", "TLSv1.3"]


@pytest.mark.parametrize("version", VERSIONS)
class TestStapling:
    def test_stapled(self, world: World, version: Version) -> None:
        """A client sees the leaf, its chain, and exactly the staple that is held."""
        leaf = world.ca.issue("a.example")
        staple = world.staple(leaf)
        site = world.site(leaf)
        seen = handshake(world.factory(site), server_name="a.example", min_version=version, max_version=version)
        assert seen.version == version
        assert seen.staple == staple
        assert seen.peer_chain == (leaf.certificate, world.ca.certificate)
        assert site.handshakes == {"stapled": 1}

    def test_nothing_held(self, world: World, version: Version) -> None:
        """Without a staple the handshake goes on, and is counted with its reason."""
        site = world.site(world.ca.issue("a.example"))
        seen = handshake(world.factory(site), min_version=version, max_version=version)
        assert seen.staple == b""
        assert site.handshakes == {"missing:pending": 1}

    def test_cut_off(self, world: World, version: Version) -> None:
        """A staple is served until its cut-off, and not from then on; the wall clock decides, in each handshake."""
        leaf = world.ca.issue("a.example")
        staple = world.staple(leaf)
        site = world.site(leaf)
        factory = world.factory(site)
        held = world.entry(leaf).held
        assert held is not None
        world.wall.seconds = held.cut_off - 0.001
        assert handshake(factory, min_version=version, max_version=version).staple == staple
        world.wall.seconds = held.cut_off
        assert handshake(factory, min_version=version, max_version=version).staple == b""
        assert site.handshakes == {"stapled": 1, "missing:stale": 1}

    def test_not_asked(self, world: World, version: Version) -> None:
        """A client that does not ask gets none, and is counted so."""
        leaf = world.ca.issue("a.example")
        world.staple(leaf)
        site = world.site(leaf)
        seen = handshake(world.factory(site), min_version=version, max_version=version, request_staple=False)
        assert seen.staple == b""
        assert site.handshakes == {"not-asked": 1}

    def test_next_staple(self, world: World, version: Version) -> None:
        """A refreshed staple is shown by the very context that showed the one before."""
        leaf = world.ca.issue("a.example")
        first = world.staple(leaf)
        factory = world.factory(world.site(leaf))
        assert handshake(factory, min_version=version, max_version=version).staple == first
        world.wall.seconds += 3600
        second = world.staple(leaf)
        assert handshake(factory, min_version=version, max_version=version).staple == second != first


class TestTwoKeys:
    @pytest.mark.parametrize("order", [("rsa", "ec"), ("ec", "rsa")])
    def test_each_its_own(self, world: World, openssl: Calls, order: tuple[str, str]) -> None:
        """RSA and ECDSA in one context have each their own chain and their own staple."""
        other = CertificateAuthority("other root", now=world.ca.now).intermediate("other CA")
        authorities = {"rsa": world.ca, "ec": other}
        leaves = {key: authorities[key].issue("a.example", key=key) for key in order}  # type: ignore[arg-type]
        staples = {key: world.staple(leaf, authorities[key]) for key, leaf in leaves.items()}
        site = world.site(*leaves.values())
        factory = world.factory(site, openssl=openssl)
        for _ in range(2):
            for key, authentication in (("rsa", "rsa"), ("ec", "ecdsa")):
                seen = handshake(factory, authentication=authentication)
                assert seen.peer_chain == (leaves[key].certificate, *leaves[key].chain)
                assert seen.staple == staples[key]
        assert site.handshakes == {"stapled": 4}

    def test_tls_1_3(self, world: World, openssl: Calls) -> None:
        """In TLS 1.3 too the staple is the one of the certificate shown."""
        rsa, ecdsa = world.ca.issue("a.example", key="rsa"), world.ca.issue("a.example")
        staples = {leaf.certificate: world.staple(leaf) for leaf in (rsa, ecdsa)}
        seen = handshake(world.factory(world.site(rsa, ecdsa), openssl=openssl), min_version="TLSv1.3")
        assert seen.staple == staples[seen.leaf]

    def test_one_without(self, world: World) -> None:
        """A missing staple of the one is not replaced by the other's."""
        rsa, ecdsa = world.ca.issue("a.example", key="rsa"), world.ca.issue("a.example")
        staple = world.staple(rsa)
        factory = world.factory(world.site(rsa, ecdsa))
        assert handshake(factory, authentication="rsa").staple == staple
        assert handshake(factory, authentication="ecdsa").staple == b""

    def test_ed25519(self, world: World) -> None:
        """An Ed25519 certificate is served in TLS 1.3."""
        leaf = world.ca.issue("a.example", key="ed25519")
        staple = world.staple(leaf)
        assert handshake(world.factory(world.site(leaf)), min_version="TLSv1.3").staple == staple


class TestPresets:
    def test_modern(self, world: World) -> None:
        """`modern` speaks TLS 1.3 alone, also when the site's context would do with less."""
        factory = world.factory(world.site(world.ca.issue("a.example")), preset="modern")
        assert handshake(factory).version == "TLSv1.3"
        with pytest.raises(HandshakeFailed) as caught:
            handshake(factory, max_version="TLSv1.2")
        assert caught.value.alert == "protocol_version"

    def test_intermediate(self, world: World) -> None:
        """`intermediate` speaks TLS 1.2 and 1.3, and nothing older."""
        factory = world.factory(world.site(world.ca.issue("a.example")))
        assert handshake(factory).version == "TLSv1.3"
        assert handshake(factory, max_version="TLSv1.2").version == "TLSv1.2"
        with pytest.raises(HandshakeFailed):
            handshake(factory, min_version="TLSv1.1", max_version="TLSv1.1", ciphers="ALL:@SECLEVEL=0")

    @pytest.mark.parametrize(
        "cipher", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
    )
    def test_ciphers(self, world: World, cipher: str) -> None:
        """Mozilla's TLS 1.2 ciphers are offered, whatever the site's context is switched to."""
        factory = world.factory(world.site(world.ca.issue("a.example")))
        assert handshake(factory, max_version="TLSv1.2", ciphers=cipher).cipher == cipher

    @pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384"])
    def test_other_ciphers(self, world: World, cipher: str) -> None:
        """Ciphers that Mozilla left out are refused."""
        factory = world.factory(world.site(world.ca.issue("a.example")))
        with pytest.raises(HandshakeFailed) as caught:
            handshake(factory, max_version="TLSv1.2", ciphers=cipher)
        assert caught.value.alert == "handshake_failure"

    def test_client_chooses(self, world: World) -> None:
        """The client's order of ciphers counts, not the server's."""
        factory = world.factory(world.site(world.ca.issue("a.example")))
        for first, second in (("CHACHA20-POLY1305", "AES128-GCM-SHA256"), ("AES128-GCM-SHA256", "CHACHA20-POLY1305")):
            ciphers = f"ECDHE-ECDSA-{first}:ECDHE-ECDSA-{second}"
            assert handshake(factory, max_version="TLSv1.2", ciphers=ciphers).cipher == f"ECDHE-ECDSA-{first}"

    def test_groups(self, world: World) -> None:
        """Mozilla's groups are offered, P-521 is not; a second hello changes neither staple nor counters."""
        leaf = world.ca.issue("a.example")
        staple = world.staple(leaf)
        site = world.site(leaf)
        factory = world.factory(site)
        for curves in (b"X25519", b"P-256", b"P-384", b"P-521:P-384"):
            assert staple_seen(client_context(curves), factory.connection()) == staple
        assert site.handshakes == {"stapled": 4}
        with pytest.raises(SSL.Error):
            staple_seen(client_context(b"P-521"), factory.connection())

    def test_hybrid_group(self, world: World) -> None:
        """Where OpenSSL has it, the post-quantum hybrid is agreed on with clients that offer it first."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if not calls.set_groups(context, b"X25519MLKEM768:X25519"):
            pytest.skip("this OpenSSL has no X25519MLKEM768")
        client = SSL.Connection(context)
        client.set_connect_state()
        meet(client, world.factory(world.site(world.ca.issue("a.example"))).connection())
        assert client.get_group_name() == "X25519MLKEM768"

    def test_no_renegotiation(self, world: World) -> None:
        """A client that wants to renegotiate is told no, and goes on or leaves."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        client = SSL.Connection(context)
        client.set_connect_state()
        server = world.factory(world.site(world.ca.issue("a.example"))).connection()
        meet(client, server)
        assert client.renegotiate()
        with pytest.raises(SSL.WantReadError):
            client.do_handshake()
        server.bio_write(client.bio_read(65536))
        with pytest.raises(SSL.WantReadError):
            server.recv(1)
        client.bio_write(server.bio_read(65536))
        with pytest.raises(SSL.Error, match="no renegotiation"):
            client.do_handshake()
        assert server.total_renegotiations() == 0


def client_context(groups: bytes) -> SSL.Context:
    """Make a client that has these groups alone."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    assert calls.set_groups(context, groups)
    return context


class TestFaults:
    def test_nothing_escapes(self, world: World, logged: list[dict[str, object]]) -> None:
        """A fault in the look-up is logged, and the handshake goes on without a staple."""

        def broken() -> float:
            raise RuntimeError("no clock")

        leaf = world.ca.issue("a.example")
        for entries in ([world.entry(leaf)], [world.entry(leaf), world.entry(world.ca.issue("b", key="rsa"))]):
            callback = status_callback(entries, broken)
            connection = world.factory(world.site(leaf)).connection()
            assert callback(connection, None) == b""
            assert connection.outcome == "missing:fault"
        assert len([event for event in logged if "log_failure" in event]) == 2

    def test_weak_certificate(self, world: World) -> None:
        """A certificate that OpenSSL does not take is an operator's error."""
        leaf = world.ca.issue("a.example")
        other = world.ca.issue("a.example")
        good = bundle(leaf)
        object.__setattr__(good, "private_key", other.key)
        with pytest.raises(OperatorError, match=r"CN=a\.example: OpenSSL does not take it: key values mismatch"):
            site_context([good], [world.entry(leaf)], wall_clock=world.wall)

    def test_reason(self, world: World) -> None:
        """The reason of the refresher is the one that is counted."""
        leaf = world.ca.issue("a.example")
        site = world.site(leaf)
        world.entry(leaf).reason = Reason.FETCH_FAILED
        handshake(world.factory(site))
        assert site.handshakes == {"missing:fetch-failed": 1}
