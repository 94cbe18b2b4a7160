"""One CA, one leaf and one moment for all the tests of this room; certificates that no sound CA would issue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from hypothesis import settings

from staplesrv.ocsp.asn1 import TBSCertificate
from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.response import ResponseRejected, VerifiedResponse, verify_response
from staplesrv.testing import CertificateAuthority, Leaf, Signer
from staplesrv.testing.der import raw
from staplesrv.testing.keys import PrivateKey, make_key
from staplesrv.testing.signature import sign

# A shared machine stalls for longer than hypothesis gives one example, and that says nothing about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@asn1.sequence
class SignedCertificate:
    """Certificate, RFC 5280 §4.1, for signing anew what cryptography would not sign."""

    data: asn1.TLV
    algorithm: asn1.TLV
    signature: asn1.BitString


@pytest.fixture(scope="session")
def now() -> datetime:
    """The moment of all the tests."""
    return NOW


@pytest.fixture(scope="session")
def ca() -> CertificateAuthority:
    """The issuer, with an EC key."""
    return CertificateAuthority("Test CA", now=NOW)


@pytest.fixture(scope="session")
def rsa_ca() -> CertificateAuthority:
    """Another one, with an RSA key."""
    return CertificateAuthority("Test RSA CA", key="rsa", now=NOW)


@pytest.fixture(scope="session")
def leaf(ca: CertificateAuthority) -> Leaf:
    """The certificate that is asked about."""
    return ca.issue("www.example.org")


@pytest.fixture(scope="session")
def target(ca: CertificateAuthority, leaf: Leaf) -> Target:
    """The question."""
    return Target.for_leaf(leaf.certificate, ca.certificate)


@pytest.fixture(scope="session")
def judge(target: Target) -> Callable[..., VerifiedResponse]:
    """`verify_response` for the leaf, at the moment of the tests, unless an argument says otherwise."""

    def judge(response_der: bytes, **options: Any) -> VerifiedResponse:
        return verify_response(response_der, options.pop("target", target), **{"now": NOW, **options})

    return judge


@pytest.fixture(scope="session")
def refuse(judge: Callable[..., VerifiedResponse]) -> Callable[..., ResponseRejected]:
    """The refusal that a response meets; one printable line, whatever it is."""

    def refuse(response_der: bytes, **options: Any) -> ResponseRejected:
        with pytest.raises(ResponseRejected) as caught:
            judge(response_der, **options)
        assert caught.value.detail
        assert str(caught.value).isprintable()
        return caught.value

    return refuse


@pytest.fixture(scope="session")
def delegate(ca: CertificateAuthority) -> Callable[..., Signer]:
    """Make an OCSP signer below the CA, with any extensions whatever."""
    key = make_key("ec")

    def delegate(*extensions: tuple[x509.ExtensionType, bool], issuer: CertificateAuthority = ca) -> Signer:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Odd signer")]))
            .issuer_name(issuer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(77)
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=30))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return Signer(resign(builder.sign(key, hashes.SHA256()), issuer.key), key)

    return delegate


@pytest.fixture(scope="session")
def resigned() -> Callable[..., x509.Certificate]:
    """Sign a certificate anew, also with algorithms that cryptography no longer signs certificates with."""
    return resign


@pytest.fixture(scope="session")
def assembled() -> Callable[[bytes, asn1.TLV, bytes], x509.Certificate]:
    """Put a certificate together from its three parts, whether they fit or not."""
    return assemble


def resign(certificate: x509.Certificate, key: PrivateKey, kind: Any = "sha256") -> x509.Certificate:
    """Sign a certificate with another key or algorithm."""
    algorithm, _ = sign(key, b"", kind)
    data = asn1.decode_der(TBSCertificate, certificate.tbs_certificate_bytes)
    data.signature = algorithm
    encoded = asn1.encode_der(data)
    return assemble(encoded, algorithm, sign(key, encoded, kind)[1])


def assemble(data: bytes, algorithm: asn1.TLV, signature: bytes) -> x509.Certificate:
    """Put a certificate together."""
    parts = SignedCertificate(data=raw(data), algorithm=algorithm, signature=asn1.BitString(signature, 0))
    return x509.load_der_x509_certificate(asn1.encode_der(parts))
