"""Whatever comes: a value or a refusal, and never anything else."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.response import MAX_RESPONSE, ResponseRejected, Rules, VerifiedResponse, verify_response
from staplesrv.testing import CertificateAuthority, Leaf, Signer
from staplesrv.testing.der import BasicOCSPResponse, OCSPResponse
from staplesrv.testing.response import wrap
from staplesrv.testing.signature import sign

RULES = Rules(allow_sha1=True, missing_next_update=timedelta(days=1), max_response=10 * MAX_RESPONSE)
SEEDS = st.integers(0, 2**32)
MOMENTS = st.datetimes(timezones=st.just(UTC))

Delegate = Callable[..., Signer]


class Case:
    """A response with its question."""

    def __init__(self, ca: CertificateAuthority, response_der: bytes, leaf: Leaf) -> None:
        self.ca = ca
        self.response_der = response_der
        self.target = Target.for_leaf(leaf.certificate, ca.certificate)
        self.now = ca.now()

    def judge(self, response_der: bytes) -> VerifiedResponse | ResponseRejected:
        """The verdict on some bytes; anything that is raised besides a refusal fails the test."""
        try:
            return verify_response(response_der, self.target, now=self.now, rules=RULES, nonce=b"n")
        except ResponseRejected as caught:
            refusal = caught
        assert str(refusal).isprintable()
        return refusal


@pytest.fixture(scope="module")
def cases(ca: CertificateAuthority, rsa_ca: CertificateAuthority, leaf: Leaf) -> list[Case]:
    """One response of every shape."""
    timestamps = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.5")
    extension = x509.Extension(timestamps, True, x509.UnrecognizedExtension(timestamps, b"\x04\x02\x00\x00"))
    rsa_leaf = rsa_ca.issue("rsa.example")
    return [
        Case(ca, ca.respond(leaf, nonce=b"n", single_extensions=[extension]), leaf),
        Case(ca, ca.respond(leaf, signer=ca.delegate(), responder_id="key", hash_name="sha512"), leaf),
        Case(ca, ca.respond(leaf, "revoked", revocation_reason="superseded", also=[ca.single(9, "unknown")]), leaf),
        Case(rsa_ca, rsa_ca.respond(rsa_leaf, signature="pss-sha384", next_update=None), rsa_leaf),
    ]


def mutated(data: bytes, seed: int) -> bytes:
    """The bytes with a few changes: other bytes, a piece more, a piece twice, a piece less, the end cut off."""
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(max(1, len(changed)))
        end = at + chance.randint(1, 8)
        match chance.randrange(8):
            case 0 | 1 | 2:
                changed[at : at + 1] = chance.randbytes(1)
            case 3 | 4:
                changed[at : at + 1] = bytes(byte ^ (1 << chance.randrange(8)) for byte in changed[at : at + 1])
            case 5:
                changed[at:at] = chance.choice((chance.randbytes(3), changed[at:end]))
            case 6:
                del changed[at:end]
            case _:
                del changed[at if chance.random() < 0.2 else len(changed) :]
    return bytes(changed)


def element(tag: int, content: bytes) -> bytes:
    """DER of one element with any content."""
    size = len(content)
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag,)) + (bytes((size,)) if size < 128 else bytes((0x80 | len(length),)) + length) + content


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(cases: list[Case], response_der: bytes) -> None:
    """Nothing that was not signed is believed."""
    for case in cases:
        assert isinstance(case.judge(response_der), ResponseRejected)


@given(st.binary(max_size=200))
def test_random_bytes_in_a_response_are_refused(cases: list[Case], content: bytes) -> None:
    """At every depth of the structure."""
    for response_der in (wrap(content), wrap(element(0x30, content)), element(0x30, b"\x0a\x01\x00" + content)):
        assert isinstance(cases[0].judge(response_der), ResponseRejected)


@settings(max_examples=400)
@given(st.integers(0, 3), SEEDS)
def test_a_changed_response_is_refused(cases: list[Case], number: int, seed: int) -> None:
    """What is still believed says the same: changes are in what is not signed, or in nothing."""
    case = cases[number]
    verdict = case.judge(mutated(case.response_der, seed))
    if isinstance(verdict, VerifiedResponse):
        sound = case.judge(case.response_der)
        assert isinstance(sound, VerifiedResponse)
        assert (verdict.status, verdict.expires, verdict.signer) == (sound.status, sound.expires, sound.signer)


@settings(max_examples=400)
@given(st.integers(0, 3), SEEDS)
def test_a_changed_response_that_is_signed_is_a_value_or_a_refusal(cases: list[Case], number: int, seed: int) -> None:
    """A responder that signs nonsense reaches every check behind the signature, and no exception."""
    case = cases[number]
    outer = asn1.decode_der(OCSPResponse, case.response_der)
    assert outer.response is not None
    basic = asn1.decode_der(BasicOCSPResponse, outer.response.response)
    data = element(0x30, mutated(bytes(basic.data.data), seed))
    kind = "pss" if number == 3 else "sha256"
    algorithm, signature = sign(case.ca.key, data, kind)  # type: ignore[arg-type]
    rest = asn1.encode_der(algorithm) + asn1.encode_der(asn1.BitString(signature, 0))
    case.judge(wrap(element(0x30, data + rest)))


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(SEEDS)
def test_a_changed_signer_that_the_issuer_signed_is_a_value_or_a_refusal(
    cases: list[Case], delegate: Delegate, leaf: Leaf, seed: int
) -> None:
    """A CA that issues nonsense reaches all that is read of a signer's certificate, and no exception."""
    case = cases[0]
    signer = delegate(
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False),
        (x509.OCSPNoCheck(), False),
        (x509.TLSFeature([x509.TLSFeatureType.status_request]), False),
        (x509.SubjectAlternativeName([x509.DNSName("ocsp.example"), x509.RFC822Name("a@b.example")]), True),
    )
    body = asn1.decode_der(asn1.TLV, signer.certificate.tbs_certificate_bytes)
    data = element(0x30, mutated(bytes(body.data), seed))
    algorithm, signature = sign(case.ca.key, data)
    certificate = element(0x30, data + asn1.encode_der(algorithm) + asn1.encode_der(asn1.BitString(signature, 0)))
    outer = asn1.decode_der(OCSPResponse, case.ca.respond(leaf, signer=signer))
    assert outer.response is not None
    basic = asn1.decode_der(BasicOCSPResponse, outer.response.response)
    signed = b"".join(map(asn1.encode_der, (basic.data, basic.signature_algorithm, basic.signature)))
    case.judge(wrap(element(0x30, signed + element(0xA0, element(0x30, certificate)))))


@given(now=MOMENTS)
def test_any_time_of_day_is_fine(cases: list[Case], now: datetime) -> None:
    """From the year 1 to the year 9999."""
    for case in cases:
        try:
            verdict = verify_response(case.response_der, case.target, now=now, rules=RULES)
        except ResponseRejected:
            continue
        assert verdict.this_update - timedelta(seconds=300) <= now < verdict.cut_off


@given(this_update=MOMENTS, next_update=st.none() | MOMENTS, produced_at=MOMENTS, revoked_at=MOMENTS)
def test_any_times_in_a_response_are_fine(
    *,
    this_update: datetime,
    next_update: datetime | None,
    produced_at: datetime,
    revoked_at: datetime,
    ca: CertificateAuthority,
    leaf: Leaf,
    cases: list[Case],
) -> None:
    """From the year 1 to the year 9999."""
    response_der = ca.respond(
        leaf,
        "revoked",
        this_update=this_update,
        next_update=next_update,
        produced_at=produced_at,
        revoked_at=revoked_at,
    )
    verdict = cases[0].judge(response_der)
    if isinstance(verdict, VerifiedResponse):
        assert verdict.this_update < verdict.cut_off < verdict.expires


def test_hundreds_of_certificates_cost_no_time_to_speak_of(
    cases: list[Case], ca: CertificateAuthority, leaf: Leaf
) -> None:
    """A body at the size limit full of signers that are named, and that did not sign, is still one refusal."""
    signer = ca.delegate()
    stranger = CertificateAuthority("Test CA", now=ca.now()).delegate()
    response_der = ca.respond(leaf, signer=signer, certificates=[stranger.certificate] * 120)
    assert isinstance(cases[0].judge(response_der), ResponseRejected)
