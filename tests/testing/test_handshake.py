"""A handshake in memory against every kind of thing that Twisted takes for a TLS server."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from OpenSSL.crypto import X509, PKey
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from staplesrv.testing import CertificateAuthority, HandshakeFailed, Leaf, StapleClient, handshake

CA = CertificateAuthority()
LEAF = CA.issue("example.org")


def context(staple: bytes = b"", leaf: Leaf = LEAF) -> SSL.Context:
    """A server's context that staples what it is given."""
    made = SSL.Context(SSL.TLS_SERVER_METHOD)
    made.use_certificate(leaf.certificate)
    made.use_privatekey(leaf.key)
    made.set_ocsp_server_callback(lambda _connection, _data: staple)
    made.set_session_id(b"test")
    return made


@implementer(IOpenSSLServerConnectionCreator)
class Creator:
    """What `listenSSL` takes today."""

    def __init__(self) -> None:
        self.context = context(CA.respond(LEAF))
        self.protocols: list[object] = []

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """Make a connection."""
        self.protocols.append(tlsProtocol)
        return SSL.Connection(self.context, None)


class OldFactory:
    """What `listenSSL` took in the beginning: an object with `getContext`."""

    def getContext(self) -> SSL.Context:
        """Hand out the context."""
        return context(CA.respond(LEAF))


def test_a_context_is_a_server() -> None:
    """A bare context is enough, and what it staples is seen."""
    staple = CA.respond(LEAF)
    seen = handshake(context(staple))
    assert (seen.staple, seen.leaf) == (staple, LEAF.certificate)


def test_a_connection_creator_is_a_server() -> None:
    """A connection creator gets the TLS protocol that Twisted would give it."""
    creator = Creator()
    assert handshake(creator).staple
    (protocol,) = creator.protocols
    assert isinstance(protocol, TLSMemoryBIOProtocol)


@pytest.mark.filterwarnings(r"ignore:.*does not explicitly provide")
def test_an_old_context_factory_is_a_server() -> None:
    """An object with `getContext` is taken as Twisted takes it."""
    assert handshake(OldFactory()).staple


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
def test_twisted_s_own_options_are_a_server() -> None:
    """CertificateOptions staple nothing, and agree on an application protocol."""
    options = CertificateOptions(
        privateKey=PKey.from_cryptography_key(LEAF.key),
        certificate=X509.from_cryptography(LEAF.certificate),
        acceptableProtocols=[b"http/1.1"],
    )
    seen = handshake(options, alpn=[b"h2", b"http/1.1"])
    assert (seen.staple, seen.alpn) == (b"", b"http/1.1")


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_options_are_the_client_s(version: str) -> None:
    """Options make the client."""
    assert handshake(context(), min_version=version, max_version=version, server_name="example.org").version == version


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_client_comes_out_ready_to_resume(version: str) -> None:
    """Tickets have arrived when the handshake returns, in TLS 1.3 too, and so has the server's answer."""
    server = context(CA.respond(LEAF))
    client = StapleClient(min_version=version, max_version=version)
    handshake(server, client=client)
    assert client.received() == b"hello"
    assert handshake(server, client=StapleClient(session=client.session)).resumed


def test_options_for_a_client_that_is_made_are_a_mistake() -> None:
    """A client has its options already."""
    with pytest.raises(TypeError, match="new client"):
        handshake(context(), client=StapleClient(), server_name="example.org")


def test_a_failure_tells_both_sides() -> None:
    """The client's reason is the error, and the server's stands in a note."""
    with pytest.raises(HandshakeFailed) as caught:
        handshake(SSL.Context(SSL.TLS_SERVER_METHOD))
    assert caught.value.alert == "handshake_failure"
    assert "no shared cipher" in caught.value.__notes__[0]


def test_what_a_server_s_callback_raises_comes_out_as_it_is() -> None:
    """An exception in the server's OCSP callback is a bug of the server, and the test sees it."""

    def broken(_connection: SSL.Connection, _data: object) -> bytes:
        raise LookupError("no such staple")

    server = SSL.Context(SSL.TLS_SERVER_METHOD)
    server.use_certificate(LEAF.certificate)
    server.use_privatekey(LEAF.key)
    server.set_ocsp_server_callback(broken)
    with pytest.raises(LookupError, match="no such staple"):
        handshake(server)


def test_a_server_that_wants_a_client_certificate_refuses_after_the_handshake() -> None:
    """In TLS 1.3 the client is done before the server has looked: the refusal is a failure all the same."""
    server = SSL.Context(SSL.TLS_SERVER_METHOD)
    server.use_certificate(LEAF.certificate)
    server.use_privatekey(LEAF.key)
    server.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    with pytest.raises(HandshakeFailed) as caught:
        handshake(server, min_version="TLSv1.3")
    assert caught.value.alert == "certificate_required"


@pytest.mark.parametrize("kind", ["ec", "ec384", "rsa", "ed25519"])
def test_every_kind_of_leaf_can_be_served(kind: str) -> None:
    """Leaves with any key that TLS has are good for a handshake."""
    leaf = CA.issue("example.org", key=kind)
    assert handshake(context(CA.respond(leaf), leaf)).leaf == leaf.certificate
    assert isinstance(LEAF.key, ec.EllipticCurvePrivateKey)
