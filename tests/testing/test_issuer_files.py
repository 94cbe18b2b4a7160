from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.testing import Behaviour, CertificateAuthority
from staplesrv.testing.issuer_files import issuer_file

FIRST, SECOND = CertificateAuthority("first"), CertificateAuthority("second")
BOTH = [FIRST, SECOND]


@pytest.mark.parametrize(
    ("name", "ca"),
    [(b"issuer", FIRST), (b"issuer-2", SECOND)],
)
def test_each_ca_has_three_files(name: bytes, ca: CertificateAuthority) -> None:
    """DER, PEM and PKCS#7 hold the same certificate, each under its own media type."""
    der, pem, p7c = (issuer_file(name + end, BOTH, Behaviour.GOOD) for end in (b".der", b".pem", b".p7c"))
    assert der.content == ca.certificate.public_bytes(Encoding.DER)
    assert pem.content == ca.pem
    assert pkcs7.load_der_pkcs7_certificates(p7c.content) == [ca.certificate]
    assert len({der.content_type, pem.content_type, p7c.content_type}) == 3


@pytest.mark.parametrize(
    "name", [b"", b"issuer", b"issuer.crt", b"issuer-0.der", b"issuer-1.der", b"issuer-3.der", b"xissuer.der"]
)
def test_other_names_are_no_files(name: bytes) -> None:
    """A name with another number or ending is a question like any other."""
    assert issuer_file(name, BOTH, Behaviour.GOOD) is None


@given(st.binary(max_size=20), st.sampled_from(Behaviour))
def test_any_name_is_a_file_or_none(name: bytes, behaviour: Behaviour) -> None:
    """Nothing that can stand in a path raises."""
    assert issuer_file(name, BOTH, behaviour) is None


@pytest.mark.parametrize("behaviour", [Behaviour.FOREIGN_SIGNER, Behaviour.IMPOSTOR])
def test_another_ca_s_certificate_does_not_verify(behaviour: Behaviour) -> None:
    """What comes instead is a certificate, and not the one that issued the leaf."""
    file = issuer_file(b"issuer-2.der", BOTH, behaviour)
    certificate = x509.load_der_x509_certificate(file.content)
    assert (certificate.subject == SECOND.certificate.subject) == (behaviour is Behaviour.IMPOSTOR)
    assert certificate.public_key() != SECOND.certificate.public_key()


@pytest.mark.parametrize("behaviour", Behaviour)
def test_behaviours_about_the_answer_leave_the_file_alone(behaviour: Behaviour) -> None:
    """Only what changes bytes or issuers changes the file."""
    changing = {"garbage", "empty", "huge", "trailing-bytes", "foreign-signer", "impostor"}
    right = FIRST.certificate.public_bytes(Encoding.DER)
    assert (issuer_file(b"issuer.der", BOTH, behaviour).content == right) == (behaviour not in changing)
