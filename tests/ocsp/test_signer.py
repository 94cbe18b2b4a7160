"""Who may sign: the issuer, and whom the issuer made a certificate for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.response import RejectReason, ResponseRejected, Rules, VerifiedResponse
from staplesrv.testing import CertificateAuthority, Leaf, Signer
from staplesrv.testing.signature import sign

Judge = Callable[..., VerifiedResponse]
Refuse = Callable[..., ResponseRejected]
Delegate = Callable[..., Signer]
Resign = Callable[..., x509.Certificate]

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
SIGNING = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)
EC_KEY = bytes.fromhex("06072a8648ce3d0201")
UNKNOWN_KEY = bytes.fromhex("06072a8648ce3d027f")
UNKNOWN_OID = x509.ObjectIdentifier("1.3.6.1.4.1.99999.7")


@pytest.mark.parametrize("responder_id", ["name", "key"])
def test_the_issuer_may_sign(responder_id: str, ca: CertificateAuthority, leaf: Leaf, judge: Judge) -> None:
    """Named by its subject or by its key."""
    assert judge(ca.respond(leaf, responder_id=responder_id)).signer == "CN=Test CA"  # type: ignore[arg-type]


@pytest.mark.parametrize("responder_id", ["name", "key"])
@pytest.mark.parametrize("digital_signature", [True, None])
def test_a_delegated_signer_may_sign(
    *, responder_id: str, digital_signature: bool | None, ca: CertificateAuthority, leaf: Leaf, judge: Judge
) -> None:
    """With the extended key usage, and digitalSignature where there is a key usage."""
    signer = ca.delegate(digital_signature=digital_signature)
    staple = judge(ca.respond(leaf, signer=signer, responder_id=responder_id))  # type: ignore[arg-type]
    assert staple.signer == "CN=staplesrv test OCSP signer"


def test_a_delegated_signer_must_send_its_certificate(ca: CertificateAuthority, leaf: Leaf, refuse: Refuse) -> None:
    """Without it nobody knows who that is; the detail has the name that was claimed."""
    refusal = refuse(ca.respond(leaf, signer=ca.delegate(), certificates=()))
    assert refusal.reason is RejectReason.SIGNER_NOT_AUTHORIZED
    assert "staplesrv test OCSP signer is neither" in refusal.detail


def test_a_signer_without_the_extended_key_usage_is_refused(
    ca: CertificateAuthority, leaf: Leaf, refuse: Refuse
) -> None:
    """Any leaf of the CA could sign otherwise."""
    refusal = refuse(ca.respond(leaf, signer=ca.delegate(eku=False)))
    assert refusal.reason is RejectReason.SIGNER_NOT_AUTHORIZED
    assert "staplesrv test OCSP signer has no extended key usage OCSPSigning" in refusal.detail


def test_any_extended_key_usage_is_not_enough(
    ca: CertificateAuthority, leaf: Leaf, delegate: Delegate, refuse: Refuse
) -> None:
    """RFC 6960 §4.2.2.2 wants id-kp-OCSPSigning itself."""
    signer = delegate((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False))
    assert refuse(ca.respond(leaf, signer=signer)).reason is RejectReason.SIGNER_NOT_AUTHORIZED


def test_a_signer_without_extensions_is_refused(
    ca: CertificateAuthority, leaf: Leaf, delegate: Delegate, refuse: Refuse
) -> None:
    """An absent extended key usage allows nothing."""
    assert refuse(ca.respond(leaf, signer=delegate())).reason is RejectReason.SIGNER_NOT_AUTHORIZED


def test_a_signer_that_may_not_make_signatures_is_refused(ca: CertificateAuthority, leaf: Leaf, refuse: Refuse) -> None:
    """A key usage that is there has digitalSignature."""
    refusal = refuse(ca.respond(leaf, signer=ca.delegate(digital_signature=False)))
    assert refusal.reason is RejectReason.SIGNER_NOT_AUTHORIZED
    assert "digitalSignature" in refusal.detail


@pytest.mark.parametrize("critical", [True, False])
def test_an_unknown_critical_extension_makes_a_signer_unusable(
    *, critical: bool, ca: CertificateAuthority, leaf: Leaf, delegate: Delegate, judge: Judge, refuse: Refuse
) -> None:
    """RFC 5280 §4.2; one that is not critical is passed over."""
    signer = delegate(SIGNING, (x509.UnrecognizedExtension(UNKNOWN_OID, b"\x05\x00"), critical))
    response_der = ca.respond(leaf, signer=signer)
    if critical:
        refusal = refuse(response_der)
        assert refusal.reason is RejectReason.SIGNER_NOT_AUTHORIZED
        assert UNKNOWN_OID.dotted_string in refusal.detail
    else:
        assert judge(response_der).signer == "CN=Odd signer"


def test_extensions_that_can_not_be_read_make_a_signer_unusable(
    ca: CertificateAuthority, leaf: Leaf, delegate: Delegate, refuse: Refuse
) -> None:
    """A key usage that is no bit string says nothing, so it allows nothing."""
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.15"), b"\x05\x00")
    refusal = refuse(ca.respond(leaf, signer=delegate(SIGNING, (broken, False))))
    assert refusal.reason is RejectReason.SIGNER_NOT_AUTHORIZED
    assert "can't be read" in refusal.detail


def test_a_foreign_signer_is_refused(ca: CertificateAuthority, leaf: Leaf, now: datetime, refuse: Refuse) -> None:
    """Another CA's signer has every right there and none here; the detail names both."""
    stranger = CertificateAuthority("Strange CA", now=now).delegate("Strange signer")
    refusal = refuse(ca.respond(leaf, signer=stranger))
    assert refusal.reason is RejectReason.SIGNER_NOT_AUTHORIZED
    assert "Strange signer" in refusal.detail
    assert "Test CA" in refusal.detail


def test_a_foreign_ca_is_refused(ca: CertificateAuthority, leaf: Leaf, now: datetime, refuse: Refuse) -> None:
    """Also when it signs by itself, and sends its own certificate."""
    stranger = CertificateAuthority("Strange CA", now=now)
    for certificates in (None, ()):
        refusal = refuse(ca.respond(leaf, signer=stranger.signer, certificates=certificates))
        assert refusal.reason is RejectReason.SIGNER_NOT_AUTHORIZED


def test_a_stranger_with_a_weak_signature_is_a_stranger(
    ca: CertificateAuthority, leaf: Leaf, now: datetime, refuse: Refuse
) -> None:
    """It is not said of the issuer that it signed with SHA-1, when the issuer did not sign at all."""
    stranger = CertificateAuthority("Strange CA", now=now)
    refusal = refuse(ca.respond(leaf, signer=stranger.signer, certificates=(), signature="sha1"))
    assert refusal.reason is RejectReason.SIGNER_NOT_AUTHORIZED
    assert "SHA1" not in refusal.detail


def test_a_foreign_ca_under_the_issuers_name_is_refused(
    ca: CertificateAuthority, leaf: Leaf, now: datetime, refuse: Refuse
) -> None:
    """The name alone makes no issuer, with or without a certificate that claims it."""
    double = CertificateAuthority("Test CA", now=now)
    for certificates in ((), (double.certificate,)):
        refusal = refuse(ca.respond(leaf, signer=double.signer, certificates=certificates))
        assert refusal.reason is RejectReason.BAD_SIGNATURE


def test_a_signer_two_steps_below_the_issuer_is_refused(ca: CertificateAuthority, leaf: Leaf, refuse: Refuse) -> None:
    """RFC 6960 §4.2.2.2: issued directly by the CA."""
    middle = ca.intermediate("Middle CA")
    signer = middle.delegate("Deep signer")
    refusal = refuse(ca.respond(leaf, signer=signer, certificates=(signer.certificate, middle.certificate)))
    assert refusal.reason is RejectReason.SIGNER_NOT_AUTHORIZED


def test_the_issuers_issuer_may_not_sign(ca: CertificateAuthority, now: datetime, refuse: Refuse) -> None:
    """A root does not answer for the leaves of an intermediate."""
    middle = ca.intermediate("Middle CA")
    leaf = middle.issue("deep.example")
    target = Target.for_leaf(leaf.certificate, middle.certificate)
    refusal = refuse(middle.respond(leaf, signer=ca.signer), target=target)
    assert refusal.reason is RejectReason.SIGNER_NOT_AUTHORIZED


def test_the_leaf_may_not_answer_for_itself(ca: CertificateAuthority, leaf: Leaf, refuse: Refuse) -> None:
    """It is issued by the issuer, and that is not enough."""
    refusal = refuse(ca.respond(leaf, signer=Signer(leaf.certificate, leaf.key)))
    assert refusal.reason is RejectReason.SIGNER_NOT_AUTHORIZED


@pytest.mark.parametrize(("start", "end"), [(-30, -1), (1, 30)])
def test_a_signer_must_be_within_its_dates(
    *, start: int, end: int, ca: CertificateAuthority, leaf: Leaf, now: datetime, refuse: Refuse
) -> None:
    """Neither ended nor yet to begin; the detail has the dates."""
    signer = ca.delegate(not_before=now + start * DAY, not_after=now + end * DAY)
    refusal = refuse(ca.respond(leaf, signer=signer))
    assert refusal.reason is RejectReason.SIGNER_EXPIRED
    assert "staplesrv test OCSP signer is valid from" in refusal.detail


def test_the_first_second_of_a_signer_counts(
    ca: CertificateAuthority, leaf: Leaf, now: datetime, judge: Judge, refuse: Refuse
) -> None:
    """RFC 5280 §4.1.2.5: the dates are part of the validity."""
    response_der = ca.respond(leaf, signer=ca.delegate(not_before=now))
    assert judge(response_der).status == "good"
    assert refuse(response_der, now=now - SECOND).reason is RejectReason.SIGNER_EXPIRED


def test_an_issuer_that_ended_may_not_sign(leaf: Leaf, ca: CertificateAuthority, now: datetime, refuse: Refuse) -> None:
    """It is refused as the signer that it is."""
    ended = CertificateAuthority("Test CA", key=ca.key, now=now, not_after=now - DAY)
    target = Target.for_leaf(leaf.certificate, ended.certificate)
    assert refuse(ca.respond(leaf), target=target).reason is RejectReason.SIGNER_EXPIRED


@pytest.mark.parametrize("responder_id", ["name", "key"])
def test_a_responder_id_must_name_the_signer(
    responder_id: str, ca: CertificateAuthority, leaf: Leaf, rsa_ca: CertificateAuthority, refuse: Refuse
) -> None:
    """A sound signature under a stranger's name is refused as that, and the detail names both."""
    response_der = ca.respond(leaf, responder=rsa_ca.certificate, responder_id=responder_id)  # type: ignore[arg-type]
    refusal = refuse(response_der)
    assert refusal.reason is RejectReason.RESPONDER_ID_MISMATCH
    assert "CN=Test CA" in refusal.detail
    assert responder_id == "key" or "CN=Test RSA CA" in refusal.detail


def test_a_delegated_signer_may_not_speak_under_the_issuers_name(
    ca: CertificateAuthority, leaf: Leaf, refuse: Refuse
) -> None:
    """The ResponderID names the issuer, and the issuer did not sign."""
    refusal = refuse(ca.respond(leaf, signer=ca.delegate(), responder=ca.certificate))
    assert refusal.reason is RejectReason.BAD_SIGNATURE


def test_the_signer_is_found_among_several_certificates(
    ca: CertificateAuthority, rsa_ca: CertificateAuthority, leaf: Leaf, judge: Judge
) -> None:
    """Chains and strangers may come along."""
    signer = ca.delegate("Right signer")
    certificates = (rsa_ca.certificate, ca.certificate, leaf.certificate, signer.certificate)
    assert judge(ca.respond(leaf, signer=signer, certificates=certificates)).signer == "CN=Right signer"


def test_of_several_signers_of_one_name_the_one_who_signed_counts(
    ca: CertificateAuthority, leaf: Leaf, now: datetime, judge: Judge
) -> None:
    """A responder that changes its key may send both certificates; an ended one in between does no harm."""
    signers = [ca.delegate("Signer") for _ in range(3)]
    signers[1] = ca.delegate("Signer", not_before=now - 9 * DAY, not_after=now - DAY)
    certificates = [signer.certificate for signer in signers]
    response_der = ca.respond(leaf, signer=signers[2], certificates=certificates)
    assert judge(response_der).expires == now + 7 * DAY


def test_an_issuer_that_was_issued_anew_is_the_same_signer(
    ca: CertificateAuthority, rsa_ca: CertificateAuthority, leaf: Leaf, now: datetime, judge: Judge
) -> None:
    """A cross-signed certificate with the same name and key may come along; the dates of ours count, not its."""
    crossed = CertificateAuthority("Test CA", key=ca.key, parent=rsa_ca, now=now, not_after=now + DAY)
    for certificates in ((), (crossed.certificate,), (ca.certificate,)):
        staple = judge(ca.respond(leaf, certificates=certificates))
        assert staple.signer == "CN=Test CA"
        assert staple.expires == now + 7 * DAY


def test_a_response_by_an_issuers_older_certificate_counts_for_the_newer(
    ca: CertificateAuthority, rsa_ca: CertificateAuthority, leaf: Leaf, now: datetime, judge: Judge
) -> None:
    """Whichever of its certificates the operator has, the name and the key are what signs."""
    crossed = CertificateAuthority("Test CA", key=ca.key, parent=rsa_ca, now=now)
    target = Target.for_leaf(leaf.certificate, crossed.certificate)
    assert judge(ca.respond(leaf, signer=ca.delegate()), target=target).status == "good"
    assert judge(ca.respond(leaf, responder_id="key"), target=target).status == "good"


def test_a_delegated_certificate_over_sha1_follows_the_same_rule(
    ca: CertificateAuthority, leaf: Leaf, resigned: Resign, judge: Judge, refuse: Refuse
) -> None:
    """Refused by default, and by option not."""
    signer = ca.delegate("Old signer")
    old = Signer(resigned(signer.certificate, ca.key, "sha1"), signer.key)
    response_der = ca.respond(leaf, signer=old)
    refusal = refuse(response_der)
    assert refusal.reason is RejectReason.WEAK_SIGNATURE
    assert "Old signer" in refusal.detail
    assert "SHA1" in refusal.detail
    assert judge(response_der, rules=Rules(allow_sha1=True)).signer == "CN=Old signer"


@pytest.mark.parametrize("kind", ["sha384", "pss", "pss-sha512", "pss-sha1"])
def test_a_delegated_certificate_may_be_signed_by_rsa(
    kind: str, rsa_ca: CertificateAuthority, resigned: Resign, judge: Judge, refuse: Refuse
) -> None:
    """With either padding."""
    leaf = rsa_ca.issue("rsa.example")
    target = Target.for_leaf(leaf.certificate, rsa_ca.certificate)
    signer = rsa_ca.delegate()
    signer = Signer(resigned(signer.certificate, rsa_ca.key, kind), signer.key)
    response_der = rsa_ca.respond(leaf, signer=signer)
    if kind == "pss-sha1":
        assert refuse(response_der, target=target).reason is RejectReason.WEAK_SIGNATURE
    assert judge(response_der, target=target, rules=Rules(allow_sha1=True)).status == "good"


def test_a_name_in_a_refusal_stays_on_its_line(ca: CertificateAuthority, leaf: Leaf, refuse: Refuse) -> None:
    """Names come from strangers: control characters and sheer length never reach a log."""
    signer = ca.delegate("evil\n\x1b[31m\u202e", eku=False)
    refusal = refuse(ca.respond(leaf, signer=signer))
    assert "evil" in refusal.detail
    assert refusal.detail.isprintable()


def test_a_responder_id_in_other_string_types_names_the_same_signer(
    ca: CertificateAuthority, leaf: Leaf, now: datetime, judge: Judge
) -> None:
    """RFC 5280 §7.1: a PrintableString and a UTF8String of the same letters are the same name."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA", x509.name._ASN1Type.PrintableString)])
    other = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(ca.key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + DAY)
        .sign(ca.key, hashes.SHA256())
    )
    assert other.subject.public_bytes() != ca.certificate.subject.public_bytes()
    assert judge(ca.respond(leaf, responder=other)).signer == "CN=Test CA"


def test_a_signer_whose_key_nobody_knows_signed_nothing(
    ca: CertificateAuthority, leaf: Leaf, assembled: Callable[..., x509.Certificate], refuse: Refuse
) -> None:
    """A key of an unknown kind verifies no signature, also where the issuer vouches for it."""
    signer = ca.delegate("Unknown key")
    data = signer.certificate.tbs_certificate_bytes.replace(EC_KEY, UNKNOWN_KEY)
    for key, reason in ((signer.key, RejectReason.SIGNER_NOT_AUTHORIZED), (ca.key, RejectReason.BAD_SIGNATURE)):
        certificate = assembled(data, *sign(key, data))
        assert refuse(ca.respond(leaf, signer=signer, certificates=[certificate])).reason is reason


def test_a_responder_name_that_can_not_be_read_names_nobody(
    ca: CertificateAuthority, leaf: Leaf, refuse: Refuse
) -> None:
    """It is no text in any encoding; the refusal says so in a line."""
    name, broken = b"Test CA", b"Test C\xff"
    response_der = ca.respond(leaf)
    assert response_der.count(name) == 1
    refusal = refuse(response_der.replace(name, broken))
    assert refusal.reason is RejectReason.SIGNER_NOT_AUTHORIZED
    assert "a name that can't be read" in refusal.detail
