from __future__ import annotations

import ipaddress
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID

from staplesrv.sources import utc
from staplesrv.testing import CertificateAuthority
from staplesrv.testing.keys import KeyKind, make_key

NOW = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def ca() -> CertificateAuthority:
    """A root at a fixed time."""
    return CertificateAuthority(now=NOW)


def names_of(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    """The subjectAltName extension."""
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def urls_of(certificate: x509.Certificate, method: x509.ObjectIdentifier) -> list[str]:
    """The URLs of one access method, in order."""
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    return [entry.access_location.value for entry in access if entry.access_method == method]


def has(certificate: x509.Certificate, extension: type[x509.ExtensionType]) -> bool:
    """Whether a certificate has an extension."""
    return any(isinstance(each.value, extension) for each in certificate.extensions)


def features_of(certificate: x509.Certificate) -> list[x509.TLSFeatureType]:
    """The TLS features."""
    return list(certificate.extensions.get_extension_for_class(x509.TLSFeature).value)


def test_a_root_is_a_ca_and_signed_by_itself(ca: CertificateAuthority) -> None:
    """A CA without a parent is its own issuer and may sign certificates."""
    ca.certificate.verify_directly_issued_by(ca.certificate)
    assert ca.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert ca.certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert ca.chain == (ca.certificate,)
    assert ca.root is ca
    assert x509.load_pem_x509_certificate(ca.pem) == ca.certificate


def test_a_ca_tells_its_name(ca: CertificateAuthority) -> None:
    """The name is the common name that was given."""
    assert ca.intermediate("lower CA").name == "lower CA"


def test_dates_count_from_the_time_that_was_handed_in(ca: CertificateAuthority) -> None:
    """No default date comes from the wall clock where `now` was given."""
    leaf = ca.issue("example.org")
    assert ca.certificate.not_valid_before_utc == NOW - 365 * DAY
    assert ca.certificate.not_valid_after_utc == NOW + 3650 * DAY
    assert leaf.certificate.not_valid_before_utc == NOW - DAY
    assert leaf.certificate.not_valid_after_utc == NOW + 89 * DAY


def test_now_may_be_a_callable() -> None:
    """A CA under a clock issues by what the clock says at that moment."""
    moments = [NOW]
    ca = CertificateAuthority(now=lambda: moments[-1])
    moments.append(NOW + DAY)
    assert ca.now() == NOW + DAY
    assert ca.issue("example.org").certificate.not_valid_before_utc == NOW


def test_without_now_the_wall_clock_counts() -> None:
    """A CA that was told nothing lives in the present."""
    certificate = CertificateAuthority().issue("example.org").certificate
    assert certificate.not_valid_before_utc < utc(time.time()) < certificate.not_valid_after_utc


def test_dates_serial_and_key_can_be_chosen(ca: CertificateAuthority) -> None:
    """What a caller chooses stands in the leaf as it was given, to the second."""
    key = make_key()
    leaf = ca.issue("example.org", not_before=NOW - 3 * DAY, not_after=NOW - DAY, serial_number=0x1234, key=key)
    assert leaf.certificate.not_valid_before_utc == NOW - 3 * DAY
    assert leaf.certificate.not_valid_after_utc == NOW - DAY
    assert leaf.certificate.serial_number == 0x1234
    assert leaf.key is key


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ec", ec.EllipticCurvePrivateKey),
        ("ec384", ec.EllipticCurvePrivateKey),
        ("rsa", rsa.RSAPrivateKey),
        ("ed25519", ed25519.Ed25519PrivateKey),
        ("ed448", ed448.Ed448PrivateKey),
    ],
)
def test_every_kind_of_key_issues_and_is_issued(kind: KeyKind, expected: type) -> None:
    """A CA and a leaf can have any kind of key, and the leaf's signature is good."""
    ca = CertificateAuthority(key=kind, now=NOW)
    leaf = ca.issue("example.org", key=kind)
    assert isinstance(leaf.key, expected)
    leaf.certificate.verify_directly_issued_by(ca.certificate)


def test_an_unknown_kind_of_key_is_refused(ca: CertificateAuthority) -> None:
    """A kind of key that there is not raises ValueError."""
    with pytest.raises(ValueError, match="no such kind"):
        ca.issue("example.org", key="dsa")


def test_names_are_dns_names_wildcards_and_addresses(ca: CertificateAuthority) -> None:
    """Addresses become iPAddress, everything else dNSName."""
    names = names_of(ca.issue("example.org", "*.example.org", "127.0.0.1", "::1").certificate)
    assert names.get_values_for_type(x509.DNSName) == ["example.org", "*.example.org"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]


def test_a_leaf_without_names_has_no_subject_alternative_name(ca: CertificateAuthority) -> None:
    """No name means no extension, rather than an empty one."""
    leaf = ca.issue(common_name="nobody")
    assert not has(leaf.certificate, x509.SubjectAlternativeName)
    assert leaf.certificate.subject.rfc4514_string() == "CN=nobody"


def test_a_long_name_is_cut_in_the_subject_alone(ca: CertificateAuthority) -> None:
    """A name of more than 64 characters stands in full in subjectAltName."""
    name = "a" * 60 + ".example.org"
    certificate = ca.issue(name).certificate
    assert names_of(certificate).get_values_for_type(x509.DNSName) == [name]
    assert len(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value) == 64


def test_urls_keep_their_order(ca: CertificateAuthority) -> None:
    """OCSP and caIssuers URLs stand in the leaf in the order in which they were given."""
    responders, issuers = ["http://one.example/", "http://two.example/"], ["http://three.example/ca.der"]
    certificate = ca.issue("example.org", responder_urls=responders, issuer_urls=issuers).certificate
    assert urls_of(certificate, AuthorityInformationAccessOID.OCSP) == responders
    assert urls_of(certificate, AuthorityInformationAccessOID.CA_ISSUERS) == issuers


def test_a_leaf_without_urls_has_no_access_extension(ca: CertificateAuthority) -> None:
    """A leaf is without a responder unless it is given one."""
    assert not has(ca.issue("example.org").certificate, x509.AuthorityInformationAccess)


@pytest.mark.parametrize(
    ("options", "features"),
    [
        ({"must_staple": True}, [x509.TLSFeatureType.status_request]),
        ({"must_staple_v2": True}, [x509.TLSFeatureType.status_request_v2]),
        (
            {"must_staple": True, "must_staple_v2": True},
            [x509.TLSFeatureType.status_request, x509.TLSFeatureType.status_request_v2],
        ),
    ],
)
def test_must_staple_is_a_tls_feature(
    ca: CertificateAuthority, options: dict[str, bool], features: list[x509.TLSFeatureType]
) -> None:
    """`must_staple` is TLS feature 5 and `must_staple_v2` feature 17."""
    certificate = ca.issue("example.org", **options).certificate
    assert features_of(certificate) == features


def test_nothing_must_be_stapled_by_default(ca: CertificateAuthority) -> None:
    """A plain leaf has no TLS features at all."""
    assert not has(ca.issue("example.org").certificate, x509.TLSFeature)


@pytest.mark.parametrize(
    ("options", "usage"),
    [({}, ExtendedKeyUsageOID.SERVER_AUTH), ({"client": True}, ExtendedKeyUsageOID.CLIENT_AUTH)],
)
def test_a_leaf_is_for_servers_or_for_clients(
    ca: CertificateAuthority, options: dict[str, bool], usage: x509.ObjectIdentifier
) -> None:
    """The extended key usage says what a leaf is for, and a leaf is no CA."""
    certificate = ca.issue("example.org", **options).certificate
    assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [usage]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_an_intermediate_stands_between_leaf_and_root(ca: CertificateAuthority) -> None:
    """The chain of a leaf has the intermediates and not the root."""
    lower = ca.intermediate("upper").intermediate("lower", responder_urls=["http://ocsp.example/"])
    leaf = lower.issue("example.org")
    assert [each.subject.rfc4514_string() for each in leaf.chain] == ["CN=lower", "CN=upper"]
    assert leaf.issuer == lower.certificate
    assert lower.root is ca
    for below, above in zip((leaf.certificate, *leaf.chain), (*leaf.chain, ca.certificate), strict=True):
        below.verify_directly_issued_by(above)
    assert urls_of(lower.certificate, AuthorityInformationAccessOID.OCSP) == ["http://ocsp.example/"]


def test_an_intermediate_takes_the_time_from_its_parent(ca: CertificateAuthority) -> None:
    """`now` need be given once, to the root."""
    assert ca.intermediate().now() == NOW
    assert ca.intermediate(now=NOW + DAY).now() == NOW + DAY


def test_the_chain_of_a_root_s_leaf_has_the_root(ca: CertificateAuthority) -> None:
    """A stapler finds the issuer in the chain also where that is the root."""
    assert ca.issue("example.org").chain == (ca.certificate,)


def test_a_leaf_is_written_as_two_files(ca: CertificateAuthority, tmp_path: Path) -> None:
    """`write` leaves the chain, leaf first, and the key that fits, readable for its owner alone."""
    leaf = ca.issue("example.org")
    files = leaf.write(tmp_path)
    assert (files.certificate.name, files.private_key.name) == ("fullchain.pem", "privkey.pem")
    assert x509.load_pem_x509_certificates(files.certificate.read_bytes()) == [leaf.certificate, ca.certificate]
    key = load_pem_private_key(files.private_key.read_bytes(), None)
    assert key.public_key() == leaf.certificate.public_key()
    assert stat.S_IMODE(files.private_key.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fullchain.pem", "privkey.pem"]


def test_writing_again_replaces_both_files(ca: CertificateAuthority, tmp_path: Path) -> None:
    """A renewed leaf takes the place of the old one, also where an earlier attempt left its file behind."""
    old, new = ca.issue("example.org"), ca.issue("example.org")
    files = old.write(tmp_path)
    (tmp_path / "privkey.pem.new").touch()
    assert new.write(str(tmp_path)) == files
    assert files.certificate.read_bytes() == new.fullchain_pem
    assert files.private_key.read_bytes() == new.key_pem()


def test_a_prefix_tells_leaves_apart(ca: CertificateAuthority, tmp_path: Path) -> None:
    """Two leaves can lie in one directory."""
    rsa_leaf, ec_leaf = ca.issue("example.org", key="rsa"), ca.issue("example.org")
    assert rsa_leaf.write(tmp_path, prefix="rsa-").certificate == tmp_path / "rsa-fullchain.pem"
    assert ec_leaf.write(tmp_path, prefix="ec-").private_key == tmp_path / "ec-privkey.pem"


def test_a_key_can_be_encrypted(ca: CertificateAuthority, tmp_path: Path) -> None:
    """With a passphrase the key is written encrypted, and opens with it."""
    leaf = ca.issue("example.org")
    content = leaf.write(tmp_path, passphrase=b"secret").private_key.read_bytes()
    assert b"ENCRYPTED" in content
    assert load_pem_private_key(content, b"secret").public_key() == leaf.key.public_key()


def test_a_fingerprint_is_the_hash_of_the_der(ca: CertificateAuthority) -> None:
    """The fingerprint is what `openssl x509 -fingerprint -sha256` shows."""
    leaf = ca.issue("example.org")
    assert leaf.fingerprint == leaf.certificate.fingerprint(SHA256())


def test_a_delegated_signer_may_sign_responses(ca: CertificateAuthority) -> None:
    """A delegate is issued by the CA, for OCSP signing, and need not be checked itself."""
    certificate = ca.delegate().certificate
    certificate.verify_directly_issued_by(ca.certificate)
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    assert has(certificate, x509.OCSPNoCheck)
    assert certificate.not_valid_before_utc == NOW - DAY
    assert certificate.not_valid_after_utc == NOW + 29 * DAY


def test_a_delegate_can_lack_what_it_needs(ca: CertificateAuthority) -> None:
    """A delegate without the extended key usage, or without digitalSignature, can be made."""
    without_eku = ca.delegate(eku=False).certificate
    usages = without_eku.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.OCSP_SIGNING not in list(usages)
    without_signature = ca.delegate(digital_signature=False).certificate
    assert not without_signature.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    assert not has(ca.delegate(digital_signature=None).certificate, x509.KeyUsage)


def test_a_delegate_can_have_any_dates_and_key(ca: CertificateAuthority) -> None:
    """An expired delegate with an RSA key can be made."""
    signer = ca.delegate("old", key="rsa", not_before=NOW - 9 * DAY, not_after=NOW - DAY)
    assert isinstance(signer.key, rsa.RSAPrivateKey)
    assert signer.certificate.not_valid_after_utc == NOW - DAY
    assert signer.certificate.subject.rfc4514_string() == "CN=old"


def test_certificates_name_the_keys_by_which_they_are_chained(ca: CertificateAuthority) -> None:
    """The authority key identifier of a leaf is the subject key identifier of its issuer."""
    leaf = ca.intermediate().issue("example.org")
    identifier = leaf.issuer.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_KEY_IDENTIFIER).value
    authority = leaf.certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert isinstance(identifier, x509.SubjectKeyIdentifier)
    assert authority.key_identifier == identifier.digest
