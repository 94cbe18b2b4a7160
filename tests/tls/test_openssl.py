"""The calls that pyOpenSSL does not offer: one contract, both implementations."""

from __future__ import annotations

import pytest
from OpenSSL import SSL
from tls.world import World, bundle, meet

from staplesrv.testing import HandshakeFailed, StapleClient, handshake
from staplesrv.tls.context import base_context, refusing_context, site_context
from staplesrv.tls.openssl import Calls, PrivateCalls, PublicCalls, calls, warning


def test_which_is_in_use() -> None:
    """With this pyOpenSSL the private bindings are used."""
    assert isinstance(calls, PrivateCalls)


class TestShown:
    def test_key_per_certificate(self, world: World, openssl: Calls) -> None:
        """Connections that show one certificate have one key, those that show another one have another."""
        leaves = (world.ca.issue("a"), world.ca.issue("b"))
        contexts = [site_context([bundle(leaf)], [world.entry(leaf)], wall_clock=world.wall) for leaf in leaves]
        # Kept: an address may be given out again once its connection is gone.
        connections = [SSL.Connection(context) for context in (*contexts, *contexts)]
        keys = [openssl.shown(connection) for connection in connections]
        assert keys[0] == keys[2]
        assert hash(keys[0]) == hash(keys[2])
        assert keys[1] == keys[3]
        assert keys[0] != keys[1]

    def test_none(self, openssl: Calls) -> None:
        """A connection without a certificate has a key too, and raises nothing."""
        openssl.shown(SSL.Connection(refusing_context()))


class TestResumed:
    def test_never_wrong(self, world: World, openssl: Calls) -> None:
        """It is told rightly or not at all whether a session is resumed."""
        factory = world.factory(world.site(world.ca.issue("a.example")))
        client = StapleClient(max_version="TLSv1.2")
        handshake(factory, client=client)
        server = factory.connection()
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        fresh = SSL.Connection(context)
        fresh.set_connect_state()
        meet(fresh, server)
        assert openssl.resumed(server) in (False, None)


class TestGroups:
    def test_unknown(self, openssl: Calls) -> None:
        """Groups that OpenSSL does not know are refused, and leave no error behind for the next call."""
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        assert not openssl.set_groups(context, b"no-such-group")
        context.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256")

    def test_known(self) -> None:
        """Known groups are taken."""
        assert PrivateCalls().set_groups(SSL.Context(SSL.TLS_SERVER_METHOD), b"X25519:P-256")
        assert not PublicCalls().set_groups(SSL.Context(SSL.TLS_SERVER_METHOD), b"X25519:P-256")


class TestServerName:
    def test_choice(self, world: World, openssl: Calls) -> None:
        """The context that is chosen is the one that is shown."""
        leaf = world.ca.issue("a.example")
        site = world.site(leaf)
        assert handshake(base_context("intermediate", lambda _: site.context, openssl=openssl)).leaf == leaf.certificate

    def test_refusal(self, openssl: Calls) -> None:
        """No context is a handshake_failure for the client."""
        for version in ("TLSv1.2", "TLSv1.3"):
            with pytest.raises(HandshakeFailed) as caught:
                handshake(base_context("intermediate", lambda _: None, openssl=openssl), max_version=version)
            assert caught.value.alert == "handshake_failure"


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_no_sessions(world: World, version: str) -> None:
    """A base context without sessions resumes none."""
    site = world.site(world.ca.issue("a.example"))
    base = base_context("intermediate", lambda _: site.context, sessions=False)
    client = StapleClient(min_version=version, max_version=version)  # type: ignore[arg-type]
    handshake(base, client=client)
    session = client.session
    client.close()
    assert not handshake(base, client=StapleClient(session=session)).resumed


@pytest.mark.parametrize(
    ("version", "warned"),
    [(0x30600000, True), (0x3060000F, True), (0x30600010, False), (0x30500060, False), (0x40000030, False)],
)
def test_warning(version: int, *, warned: bool) -> None:
    """OpenSSL 3.6.0 is warned about, and no other."""
    assert bool(warning(version)) is warned
