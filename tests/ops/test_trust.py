from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from staplesrv.ops.trust import Trust, name_matches
from staplesrv.testing import CertificateAuthority
from staplesrv.tls.client import Seen

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
CA = CertificateAuthority(now=NOW)
LEAF = CA.issue("example.org", "*.example.org", "192.0.2.1", "2001:db8::1").certificate


@pytest.mark.parametrize(
    ("host", "matches"),
    [
        ("example.org", True),
        ("www.example.org", True),
        ("a.www.example.org", False),
        ("example.com", False),
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("2001:db8::1", True),
        ("2001:db8::2", False),
        ("", False),
        ("no name at all", False),
    ],
)
def test_a_certificate_is_for_the_hosts_it_names(host: str, *, matches: bool) -> None:
    """DNS names, wildcards of one label, IP addresses."""
    assert name_matches(LEAF, host) is matches


def test_a_certificate_without_names_is_for_nobody() -> None:
    """A common name is no name (RFC 9525 §2)."""
    assert not name_matches(CA.issue(common_name="example.org").certificate, "example.org")


def test_issuers_are_sought_by_name() -> None:
    """Anchors of other names are not even tried."""
    other = CertificateAuthority("other", now=NOW)
    assert Trust((other.certificate, CA.certificate)).issuers_of(LEAF) == [CA.certificate]


def test_a_leaf_with_a_damaged_name_has_no_issuers() -> None:
    """Cryptography reads names late; a foreign server shows what it likes."""
    der = CA.issue("example.org").certificate.public_bytes(Encoding.DER)
    issuer = CA.certificate.subject.public_bytes()
    damaged = x509.load_der_x509_certificate(der.replace(issuer, issuer.replace(b"staple", b"\xfftaple")))
    assert Trust((CA.certificate,)).issuers_of(damaged) == []


def test_a_certificate_with_damaged_extensions_is_for_nobody() -> None:
    """Its names can't be read."""
    der = CA.issue("example.org").certificate.public_bytes(Encoding.DER)
    damaged = x509.load_der_x509_certificate(der.replace(b"\x82\x0bexample.org", b"\x9f\x0bexample.org"))
    assert not name_matches(damaged, "example.org")


def test_problems_are_those_of_the_chain_and_of_the_name() -> None:
    """Each is a line of its own."""
    seen = Seen("TLSv1.3", "C", b"", (LEAF,), b"", resumed=False, verified=False, problems=("p1", "p2"))
    assert Trust().problems(seen, "example.com") == [
        "the chain does not verify: p1",
        "the chain does not verify: p2",
        "the certificate is not for example.com",
    ]
