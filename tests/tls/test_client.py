"""The client against plain OpenSSL contexts, in memory."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from staplesrv.testing import CertificateAuthority, Leaf, handshake
from staplesrv.tls.client import HandshakeFailed, StapleClient
from staplesrv.tls.client_context import ClientOptions
from staplesrv.tls.private_calls import PrivateCalls
from staplesrv.tls.public_calls import PublicCalls

VERSIONS = ("TLSv1.2", "TLSv1.3")
CA = CertificateAuthority()
LEAF = CA.issue("example.org")


def context(*leaves: Leaf, staple: bytes = b"", chain: Sequence[x509.Certificate] | None = None) -> SSL.Context:
    """A server's context with some leaves, stapling whatever it is given."""
    made = SSL.Context(SSL.TLS_SERVER_METHOD)
    for leaf in leaves or (LEAF,):
        made.use_certificate(leaf.certificate)
        made.use_privatekey(leaf.key)
    for certificate in (leaves or (LEAF,))[0].chain if chain is None else chain:
        made.add_extra_chain_cert(certificate)
    made.set_ocsp_server_callback(lambda _connection, _data: staple)
    made.set_session_id(b"test")
    return made


def alpn_context(chosen: bytes) -> SSL.Context:
    """A context that always chooses one application protocol."""
    made = context()
    made.set_alpn_select_callback(lambda _connection, _offered: chosen)
    return made


def named_context(heard: list[bytes | None]) -> SSL.Context:
    """A context that notes which server names it hears."""
    made = context()
    made.set_tlsext_servername_callback(lambda connection: heard.append(connection.get_servername()))
    return made


SERVER = context(staple=CA.respond(LEAF))


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_server_shows_is_seen(version: str) -> None:
    """Version, cipher, staple and chain are what the server sent, leaf first."""
    staple = CA.respond(LEAF)
    seen = handshake(context(staple=staple), min_version=version, max_version=version)
    assert seen.version == version
    assert seen.cipher in {"TLS_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"}
    assert seen.staple == staple
    assert seen.peer_chain == (LEAF.certificate, CA.certificate)
    assert seen.leaf == LEAF.certificate
    assert (seen.alpn, seen.resumed, seen.verified, seen.problems) == (b"", False, None, ())


@pytest.mark.parametrize("version", VERSIONS)
def test_no_staple_is_an_empty_one(version: str) -> None:
    """A server without a staple is seen without one."""
    assert handshake(context(), min_version=version, max_version=version).staple == b""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_staple_need_not_be_asked_for(version: str) -> None:
    """Who does not ask gets none, also where there is one."""
    server = context(staple=CA.respond(LEAF))
    assert handshake(server, request_staple=False, min_version=version, max_version=version).staple == b""


@pytest.mark.parametrize("status", ["revoked", "unknown"])
def test_a_staple_is_not_judged(status: str) -> None:
    """A staple that says revoked or unknown, or is long expired, is seen like any other."""
    staple = CA.respond(LEAF, status, this_update=CA.now() - timedelta(days=100))
    assert handshake(context(staple=staple)).staple == staple


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_resumed(version: str) -> None:
    """A resumed session shows the chain of the first time, no staple and no verdict."""
    server = context(staple=CA.respond(LEAF))
    first = StapleClient(min_version=version, max_version=version, ca=[CA.certificate])
    assert first.session is None
    assert not handshake(server, client=first).resumed
    second = StapleClient(session=first.session)
    seen = handshake(server, client=second)
    assert seen.resumed
    assert (seen.version, seen.staple, seen.verified) == (version, b"", None)
    assert seen.peer_chain == (LEAF.certificate, CA.certificate)
    assert handshake(server, client=StapleClient(session=second.session)).resumed


def test_a_session_of_another_server_is_not_resumed() -> None:
    """A server that does not know the session makes a full handshake."""
    first = StapleClient()
    handshake(context(), client=first)
    assert not handshake(context(), client=StapleClient(session=first.session)).resumed


def test_a_session_keeps_its_options() -> None:
    """The options of a session may be said again, and no others."""
    first = StapleClient(max_version="TLSv1.2")
    handshake(context(), client=first)
    assert handshake(context(), client=StapleClient(session=first.session, max_version="TLSv1.2")).version == "TLSv1.2"
    with pytest.raises(ValueError, match="made under"):
        StapleClient(session=first.session, max_version="TLSv1.3")


@pytest.mark.parametrize(
    ("asked", "heard"),
    [
        ("example.org", b"example.org"),
        ("Example.ORG.", b"example.org"),
        ("xn--bcher-kva.example", b"xn--bcher-kva.example"),
        ("BÜCHER.example", b"xn--bcher-kva.example"),
        ("_dmarc.example.org", b"_dmarc.example.org"),
        ("127.0.0.1", None),
        ("::1", None),
        ("", None),
        (None, None),
    ],
)
def test_the_server_hears_the_name(asked: str | None, heard: bytes | None) -> None:
    """SNI has A-labels in lower case without the last dot; an address is not sent."""
    names: list[bytes | None] = []
    handshake(named_context(names), server_name=asked)
    assert names == [heard]


@pytest.mark.parametrize("name", ["a b", "a\0b", "a" * 256, "ü" * 80, "..ü..", "\n"])
def test_what_is_no_name_is_refused(name: str) -> None:
    """A name that SNI can't hold raises, rather than being left out in silence."""
    with pytest.raises(ValueError, match="no server name"):
        StapleClient(server_name=name)


@given(st.text(max_size=300))
def test_any_text_is_a_name_or_a_value_error(name: str) -> None:
    """Whatever is given as a name either makes a client or raises ValueError."""
    try:
        StapleClient(server_name=name)
    except ValueError:
        return


def test_an_application_protocol_is_agreed_on() -> None:
    """What the server chose is seen."""
    assert handshake(alpn_context(b"http/1.1"), alpn=[b"h2", b"http/1.1"]).alpn == b"http/1.1"
    assert handshake(context(), alpn=[b"h2"]).alpn == b""


@pytest.mark.parametrize("protocols", [[b""], [b"a" * 256]])
def test_what_is_no_protocol_is_refused(protocols: list[bytes]) -> None:
    """An application protocol has a name of 1 to 255 bytes."""
    with pytest.raises(ValueError, match=r"protocol|range|byte"):
        StapleClient(alpn=protocols)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("kind", "key"), [("rsa", rsa.RSAPublicKey), ("ecdsa", ec.EllipticCurvePublicKey)])
def test_the_kind_of_key_can_be_chosen(version: str, kind: str, key: type) -> None:
    """Of a server's two certificates the one with that kind of key comes, in either version."""
    server = context(LEAF, CA.issue("example.org", key="rsa"))
    seen = handshake(server, authentication=kind, min_version=version, max_version=version)
    assert isinstance(seen.leaf.public_key(), key)
    assert seen.version == version


def test_a_kind_of_key_that_is_not_there_fails() -> None:
    """A server without an RSA certificate has nothing for a client that wants one."""
    with pytest.raises(HandshakeFailed) as caught:
        handshake(context(), authentication="rsa")
    assert caught.value.alert == "handshake_failure"


def test_without_the_private_call_the_kind_of_key_means_tls_1_2() -> None:
    """Where signature algorithms can't be set, TLS 1.3 is not offered, and asking for it is refused."""
    public, private = PublicCalls(), PrivateCalls()
    options = ClientOptions(authentication="rsa")
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    assert options._max_version(context, public) == SSL.TLS1_2_VERSION
    assert options._max_version(context, private) == 0
    for wanted in ({"min_version": "TLSv1.3"}, {"max_version": "TLSv1.3"}):
        with pytest.raises(ValueError, match="kind of key"):
            ClientOptions(authentication="rsa", **wanted).context(public)
    assert ClientOptions(max_version="TLSv1.3").context(public) is not None


def test_a_chain_is_verified_where_there_is_someone_to_trust() -> None:
    """A chain that leads to a trusted root is verified, through an intermediate too."""
    assert handshake(context(), ca=[CA.certificate]).verified is True
    leaf = CA.intermediate().issue("example.org")
    seen = handshake(context(leaf), ca=[CA.certificate])
    assert (seen.verified, seen.problems) == (True, ())


def test_an_intermediate_can_be_trusted_as_it_stands() -> None:
    """A trusted intermediate ends the chain; nobody asks for the root."""
    intermediate = CA.intermediate()
    assert handshake(context(intermediate.issue("example.org")), ca=[intermediate.certificate]).verified is True


def test_a_stranger_s_chain_is_a_problem_and_no_error() -> None:
    """What is wrong with a chain is seen, and the handshake goes on."""
    for trusted in ([], [CertificateAuthority("stranger").certificate]):
        seen = handshake(context(), ca=trusted)
        assert seen.verified is False
        assert seen.problems == ("self signed cert in chain at depth 1",)
        assert seen.leaf == LEAF.certificate


def test_dates_are_judged_as_of_any_time() -> None:
    """An expired leaf is a problem, and none at a time at which it was not expired."""
    leaf = CA.issue("example.org", not_before=CA.now() - timedelta(days=9), not_after=CA.now() - timedelta(days=2))
    seen = handshake(context(leaf), ca=[CA.certificate])
    assert (seen.verified, seen.problems) == (False, ("cert has expired at depth 0",))
    assert handshake(context(leaf), ca=[CA.certificate], at=CA.now() - timedelta(days=5)).verified is True


def test_without_anybody_to_trust_nothing_is_verified() -> None:
    """`verified` is None where verification was not asked for."""
    assert handshake(context()).verified is None


def test_ciphers_can_be_chosen() -> None:
    """TLS 1.2 ciphers go by OpenSSL's names."""
    seen = handshake(context(), ciphers="ECDHE-ECDSA-CHACHA20-POLY1305", max_version="TLSv1.2")
    assert seen.cipher == "ECDHE-ECDSA-CHACHA20-POLY1305"
    with pytest.raises(ValueError, match="no such cipher"):
        StapleClient(ciphers="ROT13")


@pytest.mark.parametrize("version", ["SSLv2", "TLSv1.4", 99])
def test_a_version_that_is_none_is_refused(version: str | int) -> None:
    """An unknown protocol version raises ValueError."""
    with pytest.raises(ValueError, match="no such protocol version"):
        StapleClient(max_version=version)


def test_versions_go_by_openssl_s_numbers_too() -> None:
    """The constants of pyOpenSSL name versions as well."""
    seen = handshake(context(), min_version=SSL.TLS1_2_VERSION, max_version=SSL.TLS1_2_VERSION)
    assert seen.version == "TLSv1.2"


def test_options_that_leave_nothing_fail_at_once() -> None:
    """A client that has nothing to offer says so when it is made."""
    with pytest.raises(HandshakeFailed, match="no protocols available"):
        StapleClient(min_version="TLSv1.3", max_version="TLSv1.2")


def test_a_refusal_has_the_name_of_its_alert() -> None:
    """A server that speaks none of the client's versions says protocol_version."""
    server = SSL.Context(SSL.TLS_SERVER_METHOD)
    server.set_min_proto_version(SSL.TLS1_3_VERSION)
    server.use_certificate(LEAF.certificate)
    server.use_privatekey(LEAF.key)
    with pytest.raises(HandshakeFailed) as caught:
        handshake(server, max_version="TLSv1.2")
    assert caught.value.alert == "protocol_version"
    assert str(caught.value) == "the server refused with the alert protocol_version"


def test_nothing_is_seen_before_the_end() -> None:
    """A fresh client has bytes to send and has seen nothing."""
    client = StapleClient()
    assert client.outgoing().startswith(b"\x16\x03")
    assert client.outgoing() == b""
    assert (client.done, client.closed, client.received()) == (False, False, b"")
    for attempt in (lambda: client.seen, lambda: client.send(b"early")):
        with pytest.raises(HandshakeFailed, match="not over"):
            attempt()


def test_a_server_that_hangs_up_fails_the_handshake() -> None:
    """The end of the connection in the middle of the handshake is a failure, now and later."""
    client = StapleClient()
    with pytest.raises(HandshakeFailed, match="closed the connection"):
        client.incoming(b"")
    with pytest.raises(HandshakeFailed, match="closed the connection"):
        client.incoming(b"more")
    with pytest.raises(HandshakeFailed, match="closed the connection"):
        _ = client.seen


def test_what_is_no_tls_fails_with_a_reason() -> None:
    """A server that speaks HTTP is told apart from one that speaks TLS, and gets an alert."""
    client = StapleClient()
    client.outgoing()
    with pytest.raises(HandshakeFailed) as caught:
        client.incoming(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert caught.value.alert == ""
    assert caught.value.reason
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_value_or_a_failure(data: bytes) -> None:
    """Whatever a server sends first, nothing but HandshakeFailed comes of it."""
    client = StapleClient()
    try:
        client.incoming(data)
    except HandshakeFailed:
        assert client.outgoing()
    assert not client.done


@pytest.mark.parametrize("version", VERSIONS)
@given(place=st.integers(min_value=0, max_value=3000), value=st.integers(min_value=0, max_value=255))
def test_a_damaged_flight_is_a_value_or_a_failure(version: str, place: int, value: int) -> None:
    """One byte changed anywhere in the server's answer ends in a handshake or in HandshakeFailed."""
    client = StapleClient(min_version=version, max_version=version)
    server = SSL.Connection(SERVER, None)
    server.set_accept_state()
    server.bio_write(client.outgoing())
    with pytest.raises(SSL.WantReadError):
        server.do_handshake()
    flight = bytearray(server.bio_read(65536))
    flight[place % len(flight)] = value
    try:
        client.incoming(bytes(flight))
    except HandshakeFailed:
        assert not client.done


@pytest.mark.parametrize("version", VERSIONS)
def test_a_goodbye_in_good_order(version: str) -> None:
    """After the server's close_notify the client knows that the connection is closed."""
    client = StapleClient(min_version=version, max_version=version)
    server = connected(client)
    server.send(b"bye")
    server.shutdown()
    client.incoming(server.bio_read(65536))
    assert client.received() == b"bye"
    assert client.closed
    client.close()
    server.bio_write(client.outgoing())
    with pytest.raises(SSL.ZeroReturnError):
        server.recv(1)


def connected(client: StapleClient) -> SSL.Connection:
    """A server that has shaken hands with a client."""
    server = SSL.Connection(context(), None)
    server.set_accept_state()
    while not client.done:
        server.bio_write(client.outgoing())
        with suppress(SSL.WantReadError):
            server.do_handshake()
        client.incoming(server.bio_read(65536))
    if data := client.outgoing():
        server.bio_write(data)
        server.do_handshake()
    return server


def test_a_goodbye_in_the_middle_is_no_error() -> None:
    """Closing before the handshake is over has nothing to say and does not raise."""
    client = StapleClient()
    client.outgoing()
    client.close()
    assert not client.done


def test_application_bytes_go_both_ways() -> None:
    """More bytes than one record holds arrive whole, in both directions."""
    client = StapleClient()
    server = connected(client)
    data = bytes(range(256)) * 400
    client.send(data)
    server.bio_write(client.outgoing())
    received = b""
    while len(received) < len(data):
        received += server.recv(65536)
    assert received == data
    server.sendall(data)
    client.incoming(server.bio_read(1 << 20))
    assert client.received() == data
    assert client.received() == b""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_that_cannot_be_read_is_a_failure(version: str, tmp_path: Path) -> None:
    """OpenSSL takes certificates that cryptography refuses: that ends in HandshakeFailed, not in another error."""
    der = LEAF.certificate.public_bytes(Encoding.DER).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05")
    with pytest.raises(x509.InvalidVersion):
        x509.load_der_x509_certificate(der)
    server = SSL.Context(SSL.TLS_SERVER_METHOD)
    (tmp_path / "leaf.pem").write_text(ssl.DER_cert_to_PEM_cert(der))
    server.use_certificate_file(tmp_path / "leaf.pem")
    server.use_privatekey(LEAF.key)
    client = StapleClient(min_version=version, max_version=version)
    with pytest.raises(HandshakeFailed, match="can't be read"):
        handshake(server, client=client)
    with pytest.raises(HandshakeFailed, match="can't be read"):
        _ = client.seen
