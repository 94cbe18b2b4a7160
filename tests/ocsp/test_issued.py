"""Who issued a certificate, and whether its signature counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat import asn1

from staplesrv.ocsp.asn1 import TBSCertificate
from staplesrv.ocsp.issued import check_algorithm, is_issued_by
from staplesrv.ocsp.signature import WeakAlgorithm
from staplesrv.testing import CertificateAuthority
from staplesrv.testing.der import NULL, PssParameters, algorithm

Resign = Callable[..., x509.Certificate]

PSS_OID = "1.2.840.113549.1.1.10"
MGF1_OID = "1.2.840.113549.1.1.8"
SHAKE_OID = "2.16.840.1.101.3.4.2.12"


@pytest.mark.parametrize("key", ["ec", "rsa", "ed25519", "ed448"])
def test_strong_certificates_count(key: str) -> None:
    """For every kind of key of the issuer."""
    ca = CertificateAuthority(key=key)  # type: ignore[arg-type]
    leaf = ca.issue("a.example").certificate
    assert is_issued_by(leaf, ca.certificate)
    check_algorithm(leaf, allow_sha1=False)


@pytest.mark.parametrize("kind", ["pss", "pss-sha384", "pss-sha512"])
def test_certificates_with_pss_count(kind: str, rsa_ca: CertificateAuthority, resigned: Resign) -> None:
    """With SHA-256 or better."""
    leaf = resigned(rsa_ca.issue("a.example").certificate, rsa_ca.key, kind)
    assert is_issued_by(leaf, rsa_ca.certificate)
    check_algorithm(leaf, allow_sha1=False)


@pytest.mark.parametrize("kind", ["sha1", "pss-sha1"])
def test_certificates_over_sha1_are_issued_and_count_by_option(
    kind: str, rsa_ca: CertificateAuthority, resigned: Resign
) -> None:
    """Two questions: who issued it, and whether that is to be relied upon."""
    leaf = resigned(rsa_ca.issue("a.example").certificate, rsa_ca.key, kind)
    assert is_issued_by(leaf, rsa_ca.certificate)
    check_algorithm(leaf, allow_sha1=True)
    with pytest.raises(WeakAlgorithm, match="SHA1"):
        check_algorithm(leaf, allow_sha1=False)


def test_a_certificate_issued_itself_or_not() -> None:
    """A self-signed one did; the leaf did not."""
    ca = CertificateAuthority()
    leaf = ca.issue("a.example").certificate
    assert is_issued_by(ca.certificate, ca.certificate)
    assert not is_issued_by(leaf, leaf)
    assert not is_issued_by(ca.certificate, leaf)


@pytest.mark.parametrize(
    "identifier",
    [
        pytest.param(algorithm("1.2.840.113549.1.1.14", NULL), id="SHA-224"),
        pytest.param(algorithm("1.2.840.113549.1.1.4", NULL), id="MD5"),
        pytest.param(algorithm("1.3.6.1.4.1.99999.1"), id="nobody knows"),
        pytest.param(algorithm(PSS_OID), id="PSS without parameters"),
        pytest.param(
            algorithm(
                PSS_OID,
                asn1.encode_der(
                    PssParameters(
                        digest=algorithm(SHAKE_OID),
                        mask=algorithm(MGF1_OID, asn1.encode_der(algorithm(SHAKE_OID))),
                        salt_length=32,
                    )
                ),
            ),
            id="PSS with another hash",
        ),
    ],
)
def test_other_algorithms_never_count(
    identifier: asn1.TLV, rsa_ca: CertificateAuthority, assembled: Callable[..., x509.Certificate]
) -> None:
    """Nor was anything issued under them, as far as can be told."""
    leaf = rsa_ca.issue("a.example").certificate
    data = asn1.decode_der(TBSCertificate, leaf.tbs_certificate_bytes)
    data.signature = identifier
    relabelled = assembled(asn1.encode_der(data), identifier, leaf.signature)
    assert not is_issued_by(relabelled, rsa_ca.certificate)
    with pytest.raises(WeakAlgorithm):
        check_algorithm(relabelled, allow_sha1=True)
