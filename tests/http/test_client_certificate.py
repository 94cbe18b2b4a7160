"""What applications and backends are told of a client's certificate, and what clients can't say of it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import pytest
from fake_exchange import FakeConnection, FakeExchange, request
from hypothesis import given
from hypothesis import strategies as st
from passage import Passage
from twisted.internet.task import Clock
from twisted.web.resource import Resource

from staplesrv.http.access_log import json_line
from staplesrv.http.client_certificate import ClientCertificate, claims_one
from staplesrv.http.fields import Fields
from staplesrv.http.proxy.request_head import trailer_lines
from staplesrv.http.proxy_protocol import SSL, parse
from staplesrv.http.tunnel import client_header
from staplesrv.http.twisted_web.application import TwistedWeb
from staplesrv.http.wsgi.environ import environ

PEM = b"-----BEGIN CERTIFICATE-----\nAA+/==\n-----END CERTIFICATE-----\n"
ALICE = ClientCertificate("alice", "CN=alice,O=staff", "CN=clients' CA", "0A1B", "ab" * 32, PEM)

CLAIMS: Fields = (
    (b"x-client-cert", b"forged"),
    (b"x-client-cert-verified", b"SUCCESS"),
    (b"x-client-cert-subject", b"forged"),
    (b"x-client-cert-serial", b"forged"),
    (b"x-client-cert-fingerprint", b"forged"),
    (b"x-client-cert-anything", b"forged"),
    (b"x_client_cert_subject", b"forged"),
    (b"x-client_cert-subject", b"forged"),
    (b"client-cert", b":forged:"),
    (b"client-cert-chain", b":forged:"),
    (b"client_cert", b":forged:"),
)

CONNECTIONS = {
    "a site that asks nobody": FakeConnection(),
    "a client that showed none": FakeConnection(asked_for_certificate=True),
    "a client that showed one": FakeConnection(asked_for_certificate=True, client_certificate=ALICE),
}


def backend_lines(connection: FakeConnection, fields: Fields = (), **settings: object) -> list[bytes]:
    """What a backend is told of certificates."""
    passage = Passage(**settings)  # type: ignore[arg-type]
    passage.ask(request(fields=fields), **vars(connection))
    lines = passage.line.written.split(b"\r\n")
    return [line for line in lines if b"cert" in line.lower() or b"forged" in line]


def cgi_variables(connection: FakeConnection, fields: Fields = ()) -> Mapping[str, Any]:
    """What a WSGI callable is told of certificates."""
    variables = environ(FakeExchange(request(fields=fields), connection), io.BytesIO())
    return {name: value for name, value in variables.items() if "CERT" in name or name.startswith("SSL")}


class Seer(Resource):
    """Keeps what it is shown of the client."""

    isLeaf = True
    shown: Any = None
    fields: Any = None

    def render_GET(self, request: Any) -> bytes:
        """Look."""
        self.shown = request.transport.getPeerCertificate()
        self.fields = list(request.requestHeaders.getAllRawHeaders())
        return b""


def test_a_backend_is_told_of_the_certificate() -> None:
    """Verified or not, subject, serial number, fingerprint, and the PEM in a URL's encoding."""
    assert backend_lines(CONNECTIONS["a client that showed one"]) == [
        b"X-Client-Cert-Verified: SUCCESS",
        b"X-Client-Cert-Subject: CN=alice,O=staff",
        b"X-Client-Cert-Issuer: CN=clients' CA",
        b"X-Client-Cert-Serial: 0A1B",
        b"X-Client-Cert-Fingerprint: " + b"ab" * 32,
        b"X-Client-Cert: -----BEGIN%20CERTIFICATE-----%0AAA%2B%2F%3D%3D%0A-----END%20CERTIFICATE-----%0A",
    ]


def test_a_backend_is_told_that_there_is_none() -> None:
    """Where the site asks for one; of other sites nothing is said."""
    assert backend_lines(CONNECTIONS["a client that showed none"]) == [b"X-Client-Cert-Verified: NONE"]
    assert backend_lines(CONNECTIONS["a site that asks nobody"]) == []


@pytest.mark.parametrize("connection", CONNECTIONS.values(), ids=CONNECTIONS)
@pytest.mark.parametrize("settings", [{}, {"trusted": (ip_network("0.0.0.0/0"),)}], ids=["a client", "a trusted proxy"])
def test_what_a_client_says_of_certificates_is_not_passed_on(
    connection: FakeConnection, settings: dict[str, object]
) -> None:
    """Whether or not the site asks for them, and whoever says it; also where Connection names our own fields."""
    named = ((b"connection", b"x-client-cert-verified, x-client-cert-subject"),)
    assert backend_lines(connection, CLAIMS + named, **settings) == backend_lines(connection, **settings)
    assert trailer_lines(CLAIMS) == b""


@pytest.mark.parametrize("connection", CONNECTIONS.values(), ids=CONNECTIONS)
def test_nor_is_it_shown_to_applications(connection: FakeConnection) -> None:
    """A WSGI callable, and a resource of Twisted Web's, see what they would without it."""
    assert cgi_variables(connection, CLAIMS) == cgi_variables(connection)
    seen = []
    for fields in (CLAIMS, ()):
        seer = Seer()
        TwistedWeb(seer, Clock()).handle(FakeExchange(request(fields=fields), connection))
        seen.append(seer.fields)
    assert seen[0] == seen[1] == [(b"Host", [b"example.org"])]


def test_a_wsgi_callable_is_told() -> None:
    """By the names of Apache's variables."""
    assert cgi_variables(CONNECTIONS["a client that showed one"]) == {
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_S_DN": "CN=alice,O=staff",
        "SSL_CLIENT_I_DN": "CN=clients' CA",
        "SSL_CLIENT_M_SERIAL": "0A1B",
        "SSL_CLIENT_FINGERPRINT": "ab" * 32,
        "SSL_CLIENT_CERT": PEM.decode(),
    }
    assert cgi_variables(CONNECTIONS["a client that showed none"]) == {"SSL_CLIENT_VERIFY": "NONE"}
    assert cgi_variables(CONNECTIONS["a site that asks nobody"]) == {}


def test_a_resource_asks_the_transport() -> None:
    """As with Twisted's own TLS."""
    shown = object()
    seer = Seer()
    TwistedWeb(seer, Clock()).handle(FakeExchange(request(), FakeConnection(peer_certificate=shown)))
    assert seer.shown is shown


def test_the_access_log_has_the_subject() -> None:
    """In JSON; empty where there is none."""
    for name, subject in (("a client that showed one", ALICE.subject), ("a client that showed none", "")):
        line = json_line(FakeExchange(request(), CONNECTIONS[name]), 1e9, 0.0)
        assert json.loads(line)["client_subject"] == subject


def test_a_tunnel_s_backend_is_told() -> None:
    """By the PROXY protocol, §2.2.6: that there is a certificate, that it is verified, and its common name."""
    values = {}
    for name, connection in CONNECTIONS.items():
        parsed = parse(client_header(connection))
        assert parsed is not None
        values[name] = dict(parsed[0].tlvs)[SSL]
    assert values["a client that showed one"][:5] == b"\x07" + bytes(4)
    assert values["a client that showed one"].endswith(b"\x22\x00\x05alice")
    for name in ("a client that showed none", "a site that asks nobody"):
        assert values[name][:5] == b"\x01\x00\x00\x00\x01"


@given(st.text("xX-_clientcer", max_size=20), st.sampled_from(["x-client-cert", "client-cert", "client-cert-chain"]))
def test_whatever_cgi_takes_for_one_of_them_is_one(text: str, name: str) -> None:
    """A hyphen and an underscore are the same there."""
    as_cgi = text.lower().replace("-", "_")
    if as_cgi == name.replace("-", "_") or as_cgi.startswith("x_client_cert_"):
        assert claims_one(text.lower().encode())


@pytest.mark.parametrize("name", [b"x-client-certificate", b"x-client", b"client", b"cert", b"x-forwarded-for"])
def test_other_fields_are_none_of_them(name: bytes) -> None:
    """They are not ours."""
    assert not claims_one(name)
