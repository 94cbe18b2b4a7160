"""TLS to backends."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.python.failure import Failure

from staplesrv.errors import OperatorError
from staplesrv.server.backend_tls import BackendTLS
from staplesrv.testing import CertificateAuthority, LeafFiles


class FakeProtocol:
    """What Twisted's TLS is asked and told by its connection."""

    wrappedFactory = None
    failure: Failure | None = None

    @property
    def factory(self) -> FakeProtocol:
        """Its own factory, which wraps none that has protocols of its own."""
        return self

    def failVerification(self, failure: Failure) -> None:
        """The certificate is for somebody else."""
        self.failure = failure


def handshake(tls: BackendTLS, host: str, files: LeafFiles) -> bytes:
    """Connect to a backend with a certificate; the protocol that was agreed on.

    Raises:
        SSL.Error: the certificate is not trusted, or for another host.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    context.use_certificate_chain_file(str(files.certificate))
    context.use_privatekey_file(str(files.private_key))
    context.set_alpn_select_callback(lambda _, offered: offered[0])
    server = SSL.Connection(context)
    server.set_accept_state()
    protocol = FakeProtocol()
    client: Any = tls(host).clientConnectionForTLS(protocol)
    client.set_connect_state()
    for _ in range(3):
        for here, there in ((client, server), (server, client)):
            with suppress(SSL.WantReadError):
                here.do_handshake()
            with suppress(SSL.WantReadError):
                there.bio_write(here.bio_read(65536))
    if protocol.failure is not None:
        protocol.failure.raiseException()
    agreed: bytes = client.get_alpn_proto_negotiated()
    return agreed


@pytest.fixture
def ca(tmp_path: Path, authority: CertificateAuthority) -> Path:
    """The file of the CA that has issued the backend's certificate."""
    path = tmp_path / "root.pem"
    path.write_bytes(authority.pem)
    return path


def test_a_backend_is_who_it_says(ca: Path, files: LeafFiles) -> None:
    """By the CA that is trusted, for the name in the URL; it is to speak HTTP/1.1."""
    tls = BackendTLS(ca)
    tls.load()
    assert handshake(tls, "example.org", files) == b"http/1.1"
    assert handshake(tls, "example.org", files) == b"http/1.1"


def test_a_certificate_for_another_host_is_refused(ca: Path, files: LeafFiles) -> None:
    """However well it is signed; an address is no name."""
    tls = BackendTLS(ca)
    tls.load()
    for host in ("example.com", "192.0.2.1", "2001:db8::1"):
        with pytest.raises(SSL.Error, match="certificate verify failed"):
            handshake(tls, host, files)


def test_another_ca_s_certificate_is_refused(tmp_path: Path, files: LeafFiles) -> None:
    """And that of nobody at all, where nobody is trusted."""
    (tmp_path / "other.pem").write_bytes(CertificateAuthority().pem)
    tls = BackendTLS(tmp_path / "other.pem")
    with pytest.raises(SSL.Error):
        handshake(tls, "example.org", files)
    tls.load()
    with pytest.raises(SSL.Error):
        handshake(tls, "example.org", files)


def test_a_ca_that_was_renewed_is_trusted_once_its_file_is_read(ca: Path, files: LeafFiles) -> None:
    """By what was made before, too."""
    right = ca.read_bytes()
    ca.write_bytes(CertificateAuthority().pem)
    tls = BackendTLS(ca)
    tls.load()
    with pytest.raises(SSL.Error):
        handshake(tls, "example.org", files)
    ca.write_bytes(right)
    tls.load()
    assert handshake(tls, "example.org", files) == b"http/1.1"
    ca.write_text("nothing")
    with pytest.raises(OperatorError, match="holds no certificate"):
        tls.load()
    assert handshake(tls, "example.org", files) == b"http/1.1"


def test_it_is_what_twisted_wraps_endpoints_with(ca: Path) -> None:
    """As its interface says."""
    assert IOpenSSLClientConnectionCreator.providedBy(BackendTLS(ca)("example.org"))


def test_the_system_s_certificates_are_the_default(ca: Path, files: LeafFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every program of this machine finds them."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    tls = BackendTLS()
    tls.load()
    assert handshake(tls, "example.org", files) == b"http/1.1"
    monkeypatch.setenv("SSL_CERT_FILE", f"{ca}.nope")
    with pytest.raises(OperatorError, match=r"nope: can't be read"):
        tls.load()
