from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from staplesrv.ocsp.certid import Target
from staplesrv.testing import CRITICAL_UNKNOWN, CertificateAuthority, Leaf, make_error
from staplesrv.testing.keys import KeyKind
from staplesrv.testing.signature import SignatureKind

NOW = datetime(2026, 3, 1, 12, 30, 15, 987654, tzinfo=UTC)
T = NOW.replace(microsecond=0)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)


def load(response_der: bytes) -> ocsp.OCSPResponse:
    """Read a response with another parser than the encoder."""
    return ocsp.load_der_ocsp_response(response_der)


def check_signature(response: ocsp.OCSPResponse, key: Any) -> None:
    """Check an EC signature over SHA-256."""
    key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))


def test_a_good_response_says_good_for_a_week(ca: CertificateAuthority, leaf: Leaf) -> None:
    """By default the CA itself says good, from now for seven days, and sends no certificate."""
    response = load(ca.respond(leaf))
    assert response.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
    assert response.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert (response.this_update_utc, response.next_update_utc) == (T, T + WEEK)
    assert response.produced_at_utc == T
    assert response.responder_name == ca.certificate.subject
    assert response.certificates == []
    assert len(list(response.extensions)) == 0
    check_signature(response, ca.key.public_key())


def test_a_response_can_be_about_anything_that_names_a_certificate(ca: CertificateAuthority, leaf: Leaf) -> None:
    """A leaf, its certificate, its serial number and its CertID all mean the same."""
    serial_number = leaf.certificate.serial_number
    cert_id = Target.for_leaf(leaf.certificate, ca.certificate).cert_id("sha1")
    for subject in (leaf, leaf.certificate, serial_number, cert_id):
        response = load(ca.respond(subject))
        assert response.serial_number == serial_number
        assert response.issuer_name_hash == cert_id.issuer_name_hash


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [("sha1", hashes.SHA1()), ("sha256", hashes.SHA256()), ("sha384", hashes.SHA384()), ("sha512", hashes.SHA512())],
)
def test_a_cert_id_is_the_one_that_others_compute(
    ca: CertificateAuthority, leaf: Leaf, name: str, algorithm: hashes.HashAlgorithm
) -> None:
    """Under every hash the CertID is the one that cryptography's request and our own Target have."""
    response = load(ca.respond(leaf, hash_name=name))
    request = ocsp.OCSPRequestBuilder().add_certificate(leaf.certificate, ca.certificate, algorithm).build()
    assert isinstance(response.hash_algorithm, type(algorithm))
    assert response.issuer_name_hash == request.issuer_name_hash
    assert response.issuer_key_hash == request.issuer_key_hash
    assert ca.cert_id(leaf, name) == Target.for_leaf(leaf.certificate, ca.certificate).cert_id(name)


def test_a_revoked_response_says_when(ca: CertificateAuthority, leaf: Leaf) -> None:
    """A revoked response has the moment of revocation, a day before thisUpdate unless told otherwise, and no reason."""
    response = load(ca.respond(leaf, "revoked"))
    assert response.certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert response.revocation_time_utc == T - DAY
    assert response.revocation_reason is None


@pytest.mark.parametrize(
    "reason", ["unspecified", "key_compromise", "superseded", "certificate_hold", "remove_from_crl", "aa_compromise"]
)
def test_a_revoked_response_can_say_why(ca: CertificateAuthority, leaf: Leaf, reason: str) -> None:
    """Each reason of RFC 5280 is encoded as the one of that name."""
    response = load(ca.respond(leaf, "revoked", revoked_at=T - 9 * DAY, revocation_reason=reason))
    assert response.revocation_reason is x509.ReasonFlags[reason]
    assert response.revocation_time_utc == T - 9 * DAY


def test_an_unknown_response_says_unknown(ca: CertificateAuthority, leaf: Leaf) -> None:
    """A response can say that the CA does not know the certificate."""
    assert load(ca.respond(leaf, "unknown")).certificate_status is ocsp.OCSPCertStatus.UNKNOWN


def test_every_date_can_be_chosen(ca: CertificateAuthority, leaf: Leaf) -> None:
    """thisUpdate, nextUpdate and producedAt are as given, in whole seconds; nextUpdate can be a span or nothing."""
    response = load(ca.respond(leaf, this_update=NOW - DAY, next_update=NOW + DAY, produced_at=NOW))
    assert (response.this_update_utc, response.next_update_utc, response.produced_at_utc) == (T - DAY, T + DAY, T)
    response = load(ca.respond(leaf, this_update=T + DAY, next_update=timedelta(seconds=8)))
    assert response.next_update_utc == T + DAY + timedelta(seconds=8)
    assert load(ca.respond(leaf, next_update=None)).next_update_utc is None


def test_times_are_sent_in_utc(ca: CertificateAuthority, leaf: Leaf) -> None:
    """A moment in another zone is sent as the same moment."""
    elsewhere = T.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert load(ca.respond(leaf, this_update=elsewhere)).this_update_utc == T


def test_a_delegated_signer_comes_along(ca: CertificateAuthority, leaf: Leaf) -> None:
    """The response of a delegate is signed and named by it, and has its certificate."""
    signer = ca.delegate()
    response = load(ca.respond(leaf, signer=signer))
    assert response.certificates == [signer.certificate]
    assert response.responder_name == signer.certificate.subject
    check_signature(response, signer.key.public_key())


def test_the_certificates_sent_can_be_chosen(ca: CertificateAuthority, leaf: Leaf) -> None:
    """A delegate's certificate can be left out, and any others be sent."""
    assert load(ca.respond(leaf, signer=ca.delegate(), certificates=())).certificates == []
    sent = [ca.certificate, leaf.certificate]
    assert load(ca.respond(leaf, certificates=sent)).certificates == sent


def test_a_responder_can_be_named_by_its_key(ca: CertificateAuthority, leaf: Leaf) -> None:
    """The key hash is the SHA-1 of the public key's bits, whatever the CertID's hash."""
    response = load(ca.respond(leaf, responder_id="key", hash_name="sha256"))
    identifier = x509.SubjectKeyIdentifier.from_public_key(ca.certificate.public_key())
    assert response.responder_key_hash == identifier.digest
    assert response.responder_name is None


def test_somebody_else_can_be_named_as_responder(ca: CertificateAuthority, leaf: Leaf) -> None:
    """The response can name another responder than the one who signed."""
    other = CertificateAuthority("somebody else", now=NOW).certificate
    response = load(ca.respond(leaf, responder=other))
    assert response.responder_name == other.subject
    check_signature(response, ca.key.public_key())


def test_a_response_can_have_several_singles_or_none(ca: CertificateAuthority, leaf: Leaf) -> None:
    """`also` adds single responses in order, and `singles` takes the place of all."""
    response = load(ca.respond(leaf, also=[ca.single(7, "revoked"), ca.single(8, "unknown", next_update=None)]))
    serials = [single.serial_number for single in response.responses]
    assert serials == [leaf.certificate.serial_number, 7, 8]
    assert [single.certificate_status for single in response.responses][1:] == [
        ocsp.OCSPCertStatus.REVOKED,
        ocsp.OCSPCertStatus.UNKNOWN,
    ]
    assert list(load(ca.respond(leaf, singles=[])).responses) == []


def test_a_nonce_comes_back(ca: CertificateAuthority, leaf: Leaf) -> None:
    """The nonce is the extension of RFC 9654, not critical, with the bytes that were given."""
    (extension,) = load(ca.respond(leaf, nonce=b"n" * 32)).extensions
    assert extension.value == x509.OCSPNonce(b"n" * 32)
    assert not extension.critical


def test_extensions_can_be_critical_and_unknown(ca: CertificateAuthority, leaf: Leaf) -> None:
    """An unknown critical extension can stand in the response or in the single one."""
    (extension,) = load(ca.respond(leaf, extensions=[CRITICAL_UNKNOWN])).extensions
    assert extension.critical
    assert extension.oid == CRITICAL_UNKNOWN.oid
    response = load(ca.respond(leaf, single_extensions=[CRITICAL_UNKNOWN]))
    assert len(list(response.extensions)) == 0
    (extension,) = response.single_extensions
    assert extension.critical


def test_a_nonce_stands_beside_other_extensions(ca: CertificateAuthority, leaf: Leaf) -> None:
    """A nonce does not push other extensions out."""
    assert len(list(load(ca.respond(leaf, nonce=b"n", extensions=[CRITICAL_UNKNOWN])).extensions)) == 2


@pytest.mark.parametrize("kind", ["ec", "ec384", "rsa", "ed25519", "ed448"])
@pytest.mark.parametrize("signature", ["sha1", "sha256", "sha384", "sha512"])
def test_signatures_of_every_key_and_hash_are_good(kind: KeyKind, signature: SignatureKind) -> None:
    """Whatever key signs under whatever hash, the signature is good and named as what it is."""
    ca = CertificateAuthority(key=kind, now=NOW)
    response = load(ca.respond(1, signature=signature))
    key = ca.certificate.public_key()
    used = response.signature_hash_algorithm
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(used))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), used)
    else:
        key.verify(response.signature, response.tbs_response_bytes)
    assert (used.name if used else None) == (signature if kind in {"ec", "ec384", "rsa"} else None)


@pytest.mark.parametrize(
    ("signature", "used"),
    [
        ("pss", hashes.SHA256()),
        ("pss-sha1", hashes.SHA1()),
        ("pss-sha384", hashes.SHA384()),
        ("pss-sha512", hashes.SHA512()),
    ],
)
def test_pss_signatures_are_good(signature: SignatureKind, used: hashes.HashAlgorithm) -> None:
    """A PSS signature is good with a salt as long as its hash."""
    ca = CertificateAuthority(key="rsa", now=NOW)
    response = load(ca.respond(1, signature=signature))
    assert response.signature_algorithm_oid.dotted_string == "1.2.840.113549.1.1.10"
    scheme = padding.PSS(padding.MGF1(used), used.digest_size)
    ca.certificate.public_key().verify(response.signature, response.tbs_response_bytes, scheme, used)


def test_a_corrupted_signature_is_bad(ca: CertificateAuthority, leaf: Leaf) -> None:
    """One flipped bit, and the signature does not verify; everything else is as it was."""
    response = load(ca.respond(leaf, corrupt_signature=True))
    assert response.certificate_status is ocsp.OCSPCertStatus.GOOD
    with pytest.raises(InvalidSignature):
        check_signature(response, ca.key.public_key())


def test_trailing_bytes_stand_after_a_sound_response(ca: CertificateAuthority, leaf: Leaf) -> None:
    """What is before the trailing bytes can be read, the whole can't."""
    response_der = ca.respond(leaf, trailing=b"more")
    assert load(response_der.removesuffix(b"more")).certificate_status is ocsp.OCSPCertStatus.GOOD
    with pytest.raises(ValueError, match="parsing"):
        load(response_der)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("malformed-request", ocsp.OCSPResponseStatus.MALFORMED_REQUEST),
        ("internal-error", ocsp.OCSPResponseStatus.INTERNAL_ERROR),
        ("try-later", ocsp.OCSPResponseStatus.TRY_LATER),
        ("sig-required", ocsp.OCSPResponseStatus.SIG_REQUIRED),
        ("unauthorized", ocsp.OCSPResponseStatus.UNAUTHORIZED),
    ],
)
def test_an_error_is_five_bytes(status: str, expected: ocsp.OCSPResponseStatus) -> None:
    """An error status has no response bytes, and is what cryptography's own builder makes."""
    assert load(make_error(status)).response_status is expected
    own = ocsp.OCSPResponseBuilder.build_unsuccessful(expected).public_bytes(Encoding.DER)
    assert make_error(status) == own


def test_openssl_reads_what_cryptography_reads(
    ca: CertificateAuthority, leaf: Leaf, tmp_path: Path, openssl: str
) -> None:
    """A response with everything in it is no surprise for another program."""
    response_der = ca.respond(
        leaf,
        "revoked",
        revocation_reason="superseded",
        also=[ca.single(7, "unknown", hash_name="sha512")],
        nonce=hashlib.sha256(b"nonce").digest(),
        signer=ca.delegate(key="rsa"),
        signature="pss-sha384",
        responder_id="key",
        single_extensions=[CRITICAL_UNKNOWN],
    )
    (tmp_path / "response.der").write_bytes(response_der)
    command = [openssl, "ocsp", "-respin", "response.der", "-resp_text", "-noverify"]
    text = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    for expected in ("Cert Status: revoked", "superseded", "rsassaPss", "Hash Algorithm: sha512", "critical", "Nonce"):
        assert expected in text
