"""Each behaviour's answer is bad in exactly one way: read by cryptography, and judged by our own verification."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.response import (
    MAX_RESPONSE,
    RejectReason,
    ResponseRejected,
    Revoked,
    Rules,
    Staple,
    Unknown,
    VerifiedResponse,
    verify_response,
)
from staplesrv.testing import Behaviour, CertificateAuthority, Leaf
from staplesrv.testing.answers import Question, answer

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)

VERDICTS: dict[Behaviour, type[VerifiedResponse] | RejectReason] = {
    Behaviour.GOOD: Staple,
    Behaviour.DELEGATED: Staple,
    Behaviour.BY_KEY_HASH: Staple,
    Behaviour.PSS: Staple,
    Behaviour.OTHER_HASH: Staple,
    Behaviour.TWO_SINGLES: Staple,
    Behaviour.REVOKED: Revoked,
    Behaviour.UNKNOWN: Unknown,
    Behaviour.GOOD_AND_REVOKED: Revoked,
    Behaviour.MALFORMED_REQUEST: RejectReason.MALFORMED_REQUEST,
    Behaviour.INTERNAL_ERROR: RejectReason.INTERNAL_ERROR,
    Behaviour.TRY_LATER: RejectReason.TRY_LATER,
    Behaviour.SIG_REQUIRED: RejectReason.SIG_REQUIRED,
    Behaviour.UNAUTHORIZED: RejectReason.UNAUTHORIZED,
    Behaviour.GARBAGE: RejectReason.MALFORMED,
    Behaviour.EMPTY: RejectReason.MALFORMED,
    Behaviour.TRAILING_BYTES: RejectReason.MALFORMED,
    Behaviour.HUGE: RejectReason.TOO_LARGE,
    Behaviour.NOT_BASIC: RejectReason.NOT_BASIC,
    Behaviour.WRONG_CERT_ID: RejectReason.NO_MATCHING_RESPONSE,
    Behaviour.NO_SINGLES: RejectReason.NO_MATCHING_RESPONSE,
    Behaviour.NO_NEXT_UPDATE: RejectReason.NO_NEXT_UPDATE,
    Behaviour.FUTURE: RejectReason.FUTURE,
    Behaviour.EXPIRED: RejectReason.STALE,
    Behaviour.NEARLY_EXPIRED: RejectReason.STALE,
    Behaviour.BACKWARDS: RejectReason.INVERTED_TIMES,
    Behaviour.CRITICAL_EXTENSION: RejectReason.CRITICAL_EXTENSION,
    Behaviour.CRITICAL_SINGLE_EXTENSION: RejectReason.CRITICAL_EXTENSION,
    Behaviour.WRONG_NONCE: RejectReason.NONCE_MISMATCH,
    Behaviour.SIGNER_WITHOUT_EKU: RejectReason.SIGNER_NOT_AUTHORIZED,
    Behaviour.SIGNER_WITHOUT_DIGITAL_SIGNATURE: RejectReason.SIGNER_NOT_AUTHORIZED,
    Behaviour.EXPIRED_SIGNER: RejectReason.SIGNER_EXPIRED,
    Behaviour.FUTURE_SIGNER: RejectReason.SIGNER_EXPIRED,
    Behaviour.FOREIGN_SIGNER: RejectReason.SIGNER_NOT_AUTHORIZED,
    Behaviour.IMPOSTOR: RejectReason.SIGNER_NOT_AUTHORIZED,
    Behaviour.SIGNER_NOT_SENT: RejectReason.SIGNER_NOT_AUTHORIZED,
    Behaviour.WRONG_RESPONDER_ID: RejectReason.RESPONDER_ID_MISMATCH,
    Behaviour.BAD_SIGNATURE: RejectReason.BAD_SIGNATURE,
    Behaviour.SHA1_SIGNATURE: RejectReason.WEAK_SIGNATURE,
}
"""What comes of each answer; a behaviour that is not here is about the way, and its answer is good."""


@pytest.fixture
def question(ca: CertificateAuthority, leaf: Leaf) -> Question:
    """A question about the leaf, with a nonce."""
    return Question(ca, ca.cert_id(leaf), nonce=b"n" * 32)


def judge(response_der: bytes, question: Question, leaf: Leaf, rules: Rules | None = None) -> VerifiedResponse:
    """Our own verdict, with the nonce of the question."""
    target = Target.for_leaf(leaf.certificate, leaf.issuer)
    return verify_response(response_der, target, now=question.now, rules=rules or Rules(), nonce=question.nonce)


@pytest.mark.parametrize("behaviour", Behaviour)
def test_the_verdict_on_an_answer_is_the_one_meant(behaviour: Behaviour, question: Question, leaf: Leaf) -> None:
    """Verification accepts the good answers, and refuses each bad one for its own reason."""
    expected = VERDICTS.get(behaviour, Staple)
    response_der = answer(behaviour, question)
    if isinstance(expected, RejectReason):
        with pytest.raises(ResponseRejected) as caught:
            judge(response_der, question, leaf)
        assert caught.value.reason is expected
    else:
        assert type(judge(response_der, question, leaf)) is expected


MENDED: dict[Behaviour, Rules] = {
    Behaviour.HUGE: Rules(max_response=256 * 1024),
    Behaviour.NO_NEXT_UPDATE: Rules(missing_next_update=WEEK),
    Behaviour.SHA1_SIGNATURE: Rules(allow_sha1=True),
}


@pytest.mark.parametrize(("behaviour", "rules"), MENDED.items())
def test_an_answer_is_sound_but_for_its_one_fault(
    behaviour: Behaviour, rules: Rules, question: Question, leaf: Leaf
) -> None:
    """Where a rule can be relaxed, the answer is then a staple: nothing else is wrong with it."""
    assert isinstance(judge(answer(behaviour, question), question, leaf, rules), Staple)


TIMES: dict[Behaviour, Callable[[Question], tuple[timedelta, timedelta | None]]] = {
    Behaviour.GOOD: lambda q: (timedelta(), q.lifetime),
    Behaviour.NO_NEXT_UPDATE: lambda _: (timedelta(), None),
    Behaviour.FUTURE: lambda q: (HOUR, HOUR + q.lifetime),
    Behaviour.EXPIRED: lambda q: (-q.lifetime - HOUR, -HOUR),
    Behaviour.NEARLY_EXPIRED: lambda q: (timedelta(seconds=150) - q.lifetime, timedelta(seconds=150)),
    Behaviour.BACKWARDS: lambda _: (timedelta(), -HOUR),
}


@pytest.mark.parametrize("lifetime", [timedelta(hours=4), WEEK])
@pytest.mark.parametrize(("behaviour", "times"), TIMES.items())
def test_times_are_as_far_from_now_as_meant(
    behaviour: Behaviour,
    times: Callable[[Question], tuple[timedelta, timedelta | None]],
    lifetime: timedelta,
    ca: CertificateAuthority,
) -> None:
    """Both dates are off by what the behaviour says, and by the lifetime that was asked for."""
    question = Question(ca, ca.cert_id(1), lifetime=lifetime)
    response = ocsp.load_der_ocsp_response(answer(behaviour, question))
    now = question.now.replace(microsecond=0)
    this_update, next_update = times(question)
    assert response.this_update_utc == now + this_update
    assert response.next_update_utc == (None if next_update is None else now + next_update)


def test_a_short_life_nearly_over_is_past_its_cut_off(ca: CertificateAuthority, leaf: Leaf) -> None:
    """Also where 5 % of the life are less than 300 s, what is left is less than the margin, and more than nothing."""
    question = Question(ca, ca.cert_id(leaf), lifetime=HOUR)
    response_der = answer(Behaviour.NEARLY_EXPIRED, question)
    with pytest.raises(ResponseRejected) as caught:
        judge(response_der, question, leaf)
    assert caught.value.reason is RejectReason.STALE
    assert question.now < ocsp.load_der_ocsp_response(response_der).next_update_utc < question.now + 0.05 * HOUR


def test_the_other_hash_is_another_one(ca: CertificateAuthority, leaf: Leaf) -> None:
    """Asked under SHA-1 the answer is under SHA-256, and the other way round."""
    for asked, answered in (("sha1", "sha256"), ("sha256", "sha1")):
        response_der = answer(Behaviour.OTHER_HASH, Question(ca, ca.cert_id(leaf, asked)))
        assert ocsp.load_der_ocsp_response(response_der).hash_algorithm.name == answered


def test_two_singles_have_the_one_asked_for_last(question: Question) -> None:
    """Who reads only the first single response reads about another certificate."""
    singles = list(ocsp.load_der_ocsp_response(answer(Behaviour.TWO_SINGLES, question)).responses)
    assert [single.serial_number - question.cert_id.serial_number for single in singles] == [1, 0]


def test_good_and_revoked_are_about_one_certificate(question: Question) -> None:
    """Who reads only the first single response takes a revoked certificate for a good one."""
    singles = list(ocsp.load_der_ocsp_response(answer(Behaviour.GOOD_AND_REVOKED, question)).responses)
    assert {single.serial_number for single in singles} == {question.cert_id.serial_number}
    assert [single.certificate_status.name for single in singles] == ["GOOD", "REVOKED"]


def test_an_impostor_has_the_right_names(question: Question) -> None:
    """The impostor's issuer is named as the CA, and the signature on it is not the CA's."""
    response = ocsp.load_der_ocsp_response(answer(Behaviour.IMPOSTOR, question))
    (signer,) = response.certificates
    authority = question.authority.certificate
    assert signer.issuer == authority.subject
    with pytest.raises(InvalidSignature):
        signer.verify_directly_issued_by(authority)
    signer.public_key().verify(response.signature, response.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))


def test_a_wrong_nonce_differs_in_every_byte(question: Question) -> None:
    """A wrong nonce is as long as the right one; where none was asked for there is one all the same."""
    (extension,) = ocsp.load_der_ocsp_response(answer(Behaviour.WRONG_NONCE, question)).extensions
    assert extension.value.nonce == bytes(0xFF ^ byte for byte in question.nonce or b"")
    unasked = Question(question.authority, question.cert_id)
    (extension,) = ocsp.load_der_ocsp_response(answer(Behaviour.WRONG_NONCE, unasked)).extensions
    assert len(extension.value.nonce) == 32


def test_without_a_nonce_asked_for_none_comes(question: Question) -> None:
    """A question without a nonce gets an answer without one."""
    unasked = Question(question.authority, question.cert_id)
    assert len(list(ocsp.load_der_ocsp_response(answer(Behaviour.GOOD, unasked)).extensions)) == 0


def test_only_the_huge_answer_is_over_the_limit(question: Question) -> None:
    """No other answer is near the size at which bodies are refused."""
    sizes = {behaviour: len(answer(behaviour, question)) for behaviour in Behaviour}
    assert [behaviour for behaviour, size in sizes.items() if size > MAX_RESPONSE / 8] == [Behaviour.HUGE]
    assert sizes[Behaviour.HUGE] > MAX_RESPONSE


@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519"])
def test_answers_are_good_whatever_key_the_ca_has(kind: str) -> None:
    """A CA with any kind of key answers well, by itself and by a delegate."""
    ca = CertificateAuthority(key=kind, now=CertificateAuthority().now())
    leaf = ca.issue("example.org")
    question = Question(ca, ca.cert_id(leaf))
    for behaviour in (Behaviour.GOOD, Behaviour.DELEGATED, Behaviour.PSS, Behaviour.BY_KEY_HASH):
        assert isinstance(judge(answer(behaviour, question), question, leaf), Staple)
