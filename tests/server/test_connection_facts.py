"""What is known of a connection."""

from __future__ import annotations

from contextlib import suppress

import pytest
from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock

from staplesrv.server.connection_facts import ConnectionFacts
from staplesrv.testing import LeafFiles, StapleClient
from staplesrv.tls.connection import ServerConnection
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.stapler import Stapler

V4 = IPv4Address("TCP", "192.0.2.1", 4000)
V6 = IPv6Address("TCP", "2001:db8::1", 443)


class Transport:
    """A transport with a handle, between two addresses."""

    def __init__(self, handle: object = None, peer: IAddress = V4, host: IAddress | None = V6) -> None:
        self.handle = handle
        self.peer = peer
        self.host = host

    def getHandle(self) -> object:
        """As Twisted's transports have it."""
        return self.handle

    def getPeer(self) -> IAddress:
        """The client."""
        return self.peer

    def getHost(self) -> IAddress:
        """The server's own; gone with the socket."""
        if self.host is None:
            raise AttributeError("socket")
        return self.host


@pytest.fixture
def stapler(files: LeafFiles) -> Stapler:
    """With a certificate, and without a staple."""
    stapler = Stapler([SiteCertificate(*files)], reactor=Clock())
    stapler.load()
    return stapler


def handshaken(stapler: Stapler, client: StapleClient) -> ServerConnection:
    """The server's side of a handshake in memory."""
    connection = stapler.context_factory([b"h2"]).connection()
    connection.set_accept_state()
    while not client.done:
        if sent := client.outgoing():
            connection.bio_write(sent)
        with suppress(SSL.WantReadError):
            connection.do_handshake()
        with suppress(SSL.WantReadError):
            client.incoming(connection.bio_read(65536))
    connection.bio_write(client.outgoing())
    with suppress(SSL.WantReadError):
        connection.do_handshake()
    return connection


def test_the_facts_of_a_tls_connection(stapler: Stapler) -> None:
    """As OpenSSL says them."""
    handle = handshaken(stapler, StapleClient(server_name="example.org", alpn=(b"h2",)))
    facts = ConnectionFacts(Transport(handle))
    assert facts.secure
    assert facts.site is stapler.stage.live[0]
    assert (facts.client, facts.server) == (("192.0.2.1", 4000), ("2001:db8::1", 443))
    assert facts.server_name == b"example.org"
    assert facts.tls_version == "TLSv1.3"
    assert facts.cipher.startswith("TLS_")
    assert facts.group
    assert facts.alpn == b"h2"
    assert facts.staple.startswith("missing:")


def test_what_a_client_did_not_say_is_empty(stapler: Stapler) -> None:
    """Neither name nor protocols, nor a question for a staple."""
    facts = ConnectionFacts(Transport(handshaken(stapler, StapleClient(request_staple=False))))
    assert (facts.server_name, facts.alpn, facts.staple) == (None, b"", "not-asked")


@pytest.mark.parametrize("handle", [None, object()])
def test_without_tls_of_ours_there_is_little_to_know(handle: object) -> None:
    """A plain socket, or somebody else's TLS."""
    facts = ConnectionFacts(Transport(handle, UNIXAddress(None)))
    assert not facts.secure
    assert facts.site is None
    assert facts.client == ("", 0)
    assert facts.server_name is None
    assert (facts.tls_version, facts.cipher, facts.group, facts.alpn, facts.staple) == ("", "", "", b"", "")


def test_a_transport_may_have_no_handle_at_all() -> None:
    """As those of tests."""
    assert not ConnectionFacts(object()).secure


def test_after_the_end_the_rest_is_still_known(stapler: Stapler) -> None:
    """A log line is written then; the transport has let go of its socket and of TLS."""
    transport = Transport(handshaken(stapler, StapleClient(server_name="example.org")))
    facts = ConnectionFacts(transport)
    transport.handle = transport.host = None
    assert facts.client == ("192.0.2.1", 4000)
    assert facts.server == ("", 0)
    assert facts.tls_version == "TLSv1.3"


def test_an_openssl_that_does_not_tell_groups_leaves_them_empty(
    stapler: Stapler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those before 3.2."""

    def unknown(_: object) -> str:
        raise NotImplementedError

    monkeypatch.setattr(ServerConnection, "get_group_name", unknown)
    facts = ConnectionFacts(Transport(handshaken(stapler, StapleClient())))
    assert facts.group == ""
