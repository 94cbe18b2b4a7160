"""TLS to backends."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

from staplesrv.errors import OperatorError
from staplesrv.server.backend_tls import BackendTLS
from staplesrv.testing import CertificateAuthority, LeafFiles


@pytest.mark.parametrize("host", ["backend.example", "192.0.2.1", "2001:db8::1"])
def test_what_makes_connections_is_made_once_per_host(host: str, files: LeafFiles) -> None:
    """It takes a millisecond and memory, with a system's certificates."""
    tls = BackendTLS(files.certificate)
    made = tls(host)
    assert IOpenSSLClientConnectionCreator.providedBy(made)
    assert tls(host) is made
    assert tls("other.example") is not made


def test_a_file_without_certificates_is_told(tmp_path: Path) -> None:
    """At the start, not when the first client waits for it."""
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(OperatorError, match="holds no certificate"):
        BackendTLS(tmp_path / "ca.pem").load()


def test_the_system_s_certificates_are_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: CertificateAuthority
) -> None:
    """As every program of this machine finds them."""
    (tmp_path / "bundle.pem").write_bytes(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bundle.pem"))
    BackendTLS().load()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nope.pem"))
    with pytest.raises(OperatorError, match=r"nope\.pem: can't be read"):
        BackendTLS().load()
