"""CertID, and the certificates that are asked about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from staplesrv.errors import NotIssuedBy
from staplesrv.ocsp.certid import CertID, Entity, Target
from staplesrv.ocsp.hashing import HASHES
from staplesrv.testing import CertificateAuthority, Leaf

Resign = Callable[..., x509.Certificate]


def built(leaf: x509.Certificate, issuer: x509.Certificate, hash_name: str) -> ocsp.OCSPRequest:
    """What cryptography's own builder makes of the same question."""
    return ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, HASHES[hash_name]).build()


@pytest.mark.parametrize("hash_name", HASHES)
def test_a_cert_id_is_the_one_that_cryptography_computes(
    hash_name: str, ca: CertificateAuthority, leaf: Leaf, target: Target
) -> None:
    """Under every hash the name's and the key's are those of cryptography's request builder."""
    expected = built(leaf.certificate, ca.certificate, hash_name)
    cert_id = target.cert_id(hash_name)
    assert cert_id.hash_name == hash_name
    assert cert_id.issuer_name_hash == expected.issuer_name_hash
    assert cert_id.issuer_key_hash == expected.issuer_key_hash
    assert cert_id.serial_number == expected.serial_number == leaf.certificate.serial_number


def test_a_serial_number_gives_the_same_cert_id_as_its_leaf(
    ca: CertificateAuthority, leaf: Leaf, target: Target
) -> None:
    """Without the leaf the issuer's own name is hashed, which is the same."""
    by_serial = Target.for_serial(leaf.certificate.serial_number, ca.certificate)
    assert by_serial.leaf is None
    assert by_serial.cert_id("sha256") == target.cert_id("sha256")


def test_a_name_is_hashed_as_it_stands_in_the_certificate(resigned: Resign, now: datetime) -> None:
    """The string types of a name are kept: a PrintableString is not hashed as a UTF8String."""
    printable = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Old CA", x509.name._ASN1Type.PrintableString)])
    utf8 = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Old CA", x509.name._ASN1Type.UTF8String)])
    hashed = []
    for name in (printable, utf8):
        issuer = self_signed(name, now)
        hashed.append(Target.for_serial(1, issuer).cert_id("sha1").issuer_name_hash)
        assert hashed[-1] == built(issuer, issuer, "sha1").issuer_name_hash
    assert hashed[0] != hashed[1]


def self_signed(name: x509.Name, now: datetime) -> x509.Certificate:
    """A bare certificate under a name."""
    key = CertificateAuthority(now=now).key
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


def test_the_key_hash_is_the_sha1_of_the_key_bits(rsa_ca: CertificateAuthority) -> None:
    """By it a response may name its signer, and it is the common subject key identifier."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(rsa_ca.key.public_key())
    assert Entity.of(rsa_ca.certificate).key_hash == identifier.digest


def test_a_leaf_of_another_issuer_is_refused(leaf: Leaf, rsa_ca: CertificateAuthority) -> None:
    """The error names both sides."""
    with pytest.raises(NotIssuedBy) as caught:
        Target.for_leaf(leaf.certificate, rsa_ca.certificate)
    assert caught.value.subject == "CN=www.example.org"
    assert caught.value.issuer == "CN=Test RSA CA"


def test_the_right_name_with_another_key_is_no_issuer(leaf: Leaf, now: datetime) -> None:
    """A CA of the same name did not sign the leaf."""
    with pytest.raises(NotIssuedBy):
        Target.for_leaf(leaf.certificate, CertificateAuthority("Test CA", now=now).certificate)


def test_the_right_key_under_another_name_is_no_issuer(ca: CertificateAuthority, leaf: Leaf, now: datetime) -> None:
    """A CA with the same key and another name did not issue the leaf."""
    with pytest.raises(NotIssuedBy):
        Target.for_leaf(leaf.certificate, CertificateAuthority("Other CA", key=ca.key, now=now).certificate)


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_leaf_signed_with_sha1_has_its_issuer(kind: str, resigned: Resign, now: datetime) -> None:
    """Private CAs have such leaves still, and cryptography refuses to verify them; both key types are found."""
    ca = CertificateAuthority(key=kind, now=now)  # type: ignore[arg-type]
    leaf = resigned(ca.issue("old.example").certificate, ca.key, "sha1")
    assert Target.for_leaf(leaf, ca.certificate).leaf == leaf


def test_a_leaf_signed_with_sha1_and_pss_has_its_issuer(resigned: Resign, rsa_ca: CertificateAuthority) -> None:
    """The padding does not matter."""
    leaf = resigned(rsa_ca.issue("old.example").certificate, rsa_ca.key, "pss-sha1")
    assert Target.for_leaf(leaf, rsa_ca.certificate).leaf == leaf


def test_a_sha1_signature_of_somebody_else_is_refused(
    resigned: Resign, ca: CertificateAuthority, rsa_ca: CertificateAuthority, leaf: Leaf
) -> None:
    """SHA-1 is verified like any other hash: name and key have to fit."""
    forged = resigned(leaf.certificate, rsa_ca.key, "sha1")
    for issuer in (ca, rsa_ca):
        with pytest.raises(NotIssuedBy):
            Target.for_leaf(forged, issuer.certificate)


RSA_SHA256 = bytes.fromhex("06092a864886f70d01010b0500")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("06092a864886f70d01017f0500", id="nobody knows"),
        pytest.param("06092a864886f70d0101020500", id="MD2"),
        pytest.param("06092a864886f70d0101040500", id="MD5"),
        pytest.param("06092a864886f70d0101050500", id="SHA-1, which it is not"),
    ],
)
def test_a_leaf_under_another_algorithm_has_no_issuer(other: str, rsa_ca: CertificateAuthority) -> None:
    """Whatever it claims to be signed with, one error comes of it."""
    der = rsa_ca.issue("odd.example").certificate.public_bytes(Encoding.DER)
    assert der.count(RSA_SHA256) == 2
    leaf = x509.load_der_x509_certificate(der.replace(RSA_SHA256, bytes.fromhex(other)))
    with pytest.raises(NotIssuedBy):
        Target.for_leaf(leaf, rsa_ca.certificate)


def test_a_key_that_nobody_knows_issued_nothing(resigned: Resign, ca: CertificateAuthority, leaf: Leaf) -> None:
    """Neither with SHA-256 nor with SHA-1."""
    der = ca.certificate.public_bytes(Encoding.DER)
    issuer = x509.load_der_x509_certificate(
        der.replace(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d027f"))
    )
    for certificate in (leaf.certificate, resigned(leaf.certificate, ca.key, "sha1")):
        with pytest.raises(NotIssuedBy):
            Target.for_leaf(certificate, issuer)


def test_a_cert_id_needs_a_known_hash() -> None:
    """A CertID that exists can be sent."""
    with pytest.raises(ValueError, match="no such hash"):
        CertID("md5", bytes(16), bytes(16), 1)


@pytest.mark.parametrize("sizes", [(19, 20), (20, 32)])
def test_the_hashes_of_a_cert_id_have_their_length(sizes: tuple[int, int]) -> None:
    """Both of them."""
    with pytest.raises(ValueError, match="20 bytes"):
        CertID("sha1", bytes(sizes[0]), bytes(sizes[1]), 1)
