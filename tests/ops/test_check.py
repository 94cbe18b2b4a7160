"""The judgement over what a server's handshakes showed; no sockets."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from staplesrv.ocsp.response import RejectReason, Rules
from staplesrv.ops.check import Observation, Trouble, judge
from staplesrv.ops.report import Finding, Report, Verdict, VersionReport
from staplesrv.ops.trust import Trust
from staplesrv.testing import CertificateAuthority, Leaf
from staplesrv.tls.client import Seen

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CA = CertificateAuthority(now=NOW)
LEAF = CA.issue("example.org", responder_urls=["http://ocsp.example/"])
BARE = CA.issue("example.org")
MUST = CA.issue("example.org", responder_urls=["http://ocsp.example/"], must_staple=True)
GOOD = CA.respond(LEAF, this_update=NOW - DAY, next_update=timedelta(days=4))
NOT_SPOKEN = Observation("TLSv1.2", None, Trouble.NOT_SPOKEN, "not spoken: alert protocol_version")
SILENT = Observation("TLSv1.2", None, Trouble.UNREACHED, "no handshake within 10 s")


def seen(
    staple: bytes = GOOD,
    leaf: Leaf = LEAF,
    *,
    version: str = "TLSv1.3",
    chain: tuple[x509.Certificate, ...] | None = None,
    problems: tuple[str, ...] = (),
) -> Observation:
    """A handshake with `leaf` that brought `staple`."""
    sent = leaf.chain if chain is None else chain
    return Observation(
        version, Seen(version, "CIPHER", staple, (leaf.certificate, *sent), b"h2", False, None, problems)
    )


def judged(*observations: Observation, trust: Trust | None = None, host: str = "example.org") -> Report:
    """The report over observations as of `NOW`."""
    return judge(observations, NOW, host=host, trust=trust)


def respond(next_update: timedelta, *, this_update: datetime = NOW - 4 * DAY) -> bytes:
    """A good response that ends so long after it began."""
    return CA.respond(LEAF, this_update=this_update, next_update=next_update)


def test_a_fresh_good_staple_in_both_versions_is_well() -> None:
    """The headline tells how long the staple has to live."""
    report = judged(seen(), seen(version="TLSv1.2"))
    assert report.verdict is Verdict.OK
    assert report.verdict.exit_status == 0
    assert report.headline == "good staple, 3 d left of 4 d"


def test_none_where_none_is_to_be_had_is_well() -> None:
    """A certificate that names no responder is normal today."""
    report = judged(seen(b"", BARE))
    assert report.verdict is Verdict.OK
    assert "none to be had" in report.headline


def test_none_where_one_was_to_be_had_is_a_warning() -> None:
    """The certificate names a responder, and the server did not ask it."""
    report = judged(seen(b""))
    assert report.verdict is Verdict.WARNING
    assert report.verdict.exit_status == 1
    assert "http://ocsp.example/" in report.headline


def test_none_on_a_must_staple_certificate_is_critical() -> None:
    """Clients that know the extension refuse the connection."""
    report = judged(seen(b"", MUST))
    assert report.verdict is Verdict.CRITICAL
    assert report.verdict.exit_status == 2
    assert "must-staple" in report.headline


def test_must_staple_is_asked_of_certificates_without_a_responder_too() -> None:
    """Where the staple should come from is the operator's worry."""
    assert judged(seen(b"", CA.issue("example.org", must_staple=True))).verdict is Verdict.CRITICAL


@pytest.mark.parametrize(
    ("lifetime", "verdict"),
    [
        (timedelta(days=5, hours=8), Verdict.OK),  # exactly a quarter is left
        (timedelta(days=5, hours=8, seconds=-1), Verdict.WARNING),
        (timedelta(days=4, seconds=1), Verdict.WARNING),
        (timedelta(days=4), Verdict.CRITICAL),
        (timedelta(days=4, seconds=-1), Verdict.CRITICAL),
    ],
)
def test_the_life_left_of_a_staple_decides(lifetime: timedelta, verdict: Verdict) -> None:
    """Under a quarter warns; the end itself is critical."""
    assert judged(seen(respond(lifetime))).verdict is verdict


def test_a_staple_between_its_cut_off_and_its_end_is_old_and_no_more() -> None:
    """A stapler stops 5 minutes early; a client still accepts it, so it is no failure of the foreign server."""
    report = judged(seen(respond(timedelta(days=4, seconds=30))))
    assert report.verdict is Verdict.WARNING
    assert report.headline == "the staple is old: 30 s left of 4 d"


def test_a_short_lived_staple_is_looked_at_to_its_very_end() -> None:
    """The cut-off of a response that lives 20 s is its last second."""
    young = respond(timedelta(seconds=20), this_update=NOW - timedelta(seconds=20) + timedelta(milliseconds=500))
    assert judged(seen(young)).headline.startswith("the staple ")
    assert (
        judged(seen(respond(timedelta(seconds=21), this_update=NOW - timedelta(seconds=20)))).verdict is Verdict.WARNING
    )


def test_an_expired_staple_is_named_so() -> None:
    """The word is in the headline."""
    assert "expired" in judged(seen(respond(timedelta(days=3)))).headline


def test_a_revoked_certificate_is_critical_and_tells_since_when_and_why() -> None:
    """OpenSSL-based servers staple that answer without a look at it."""
    revoked = CA.respond(LEAF, "revoked", revoked_at=NOW - 2 * DAY, revocation_reason="key_compromise")
    report = judged(seen(revoked))
    assert report.verdict is Verdict.CRITICAL
    assert report.headline == "the certificate is revoked since 2026-05-02 12:00:00 UTC, key_compromise"


def test_an_unknown_certificate_is_critical() -> None:
    """The responder has never heard of it."""
    assert judged(seen(CA.respond(LEAF, "unknown"))).verdict is Verdict.CRITICAL


@pytest.mark.parametrize(
    ("staple", "reason"),
    [
        (CA.respond(LEAF, corrupt_signature=True), RejectReason.BAD_SIGNATURE),
        (CA.respond(BARE), RejectReason.NO_MATCHING_RESPONSE),
        (CertificateAuthority("other", now=NOW).respond(CA.cert_id(LEAF)), RejectReason.SIGNER_NOT_AUTHORIZED),
        (CA.respond(LEAF, signer=CA.delegate(eku=False)), RejectReason.SIGNER_NOT_AUTHORIZED),
        (CA.respond(LEAF, this_update=NOW + DAY), RejectReason.FUTURE),
        (b"no DER at all", RejectReason.MALFORMED),
        (b"\x30\x03\x0a\x01\x03", RejectReason.TRY_LATER),
    ],
)
def test_a_staple_that_does_not_verify_is_critical(staple: bytes, reason: RejectReason) -> None:
    """The report keeps the reason."""
    report = judged(seen(staple))
    assert report.verdict is Verdict.CRITICAL
    assert f"does not verify: {reason.value}" in report.headline
    found = report.versions[0].staple
    assert found is not None
    assert found.rejected is not None
    assert found.rejected.reason is reason


def test_rules_may_be_loosened() -> None:
    """A private CA without nextUpdate is judged by the same settings as in the server."""
    endless = CA.respond(LEAF, next_update=None)
    assert judge([seen(endless)], NOW, host="example.org").verdict is Verdict.CRITICAL
    loose = Rules(missing_next_update=DAY)
    assert judge([seen(endless)], NOW, host="example.org", rules=loose).verdict is Verdict.OK


def test_a_delegated_signer_is_named() -> None:
    """Who signed is in the report."""
    staple = judged(seen(CA.respond(LEAF, signer=CA.delegate("Signer 7")))).versions[0].staple
    assert staple is not None
    assert staple.response is not None
    assert staple.response.signer == "CN=Signer 7"


def test_an_issuer_that_is_not_sent_is_taken_from_the_trusted_ones() -> None:
    """That the server does not send it is noted."""
    report = judged(seen(chain=()), trust=Trust((CertificateAuthority("x", now=NOW).certificate, CA.certificate)))
    assert report.verdict is Verdict.OK
    assert report.versions[0].issuer == CA.certificate
    assert "does not send" in report.versions[0].findings[-1].text


def test_a_trusted_certificate_of_the_same_name_is_not_enough() -> None:
    """It has to have signed the leaf."""
    twin = CertificateAuthority(now=NOW)
    assert judged(seen(chain=()), trust=Trust((twin.certificate,))).versions[0].issuer is None


def test_a_staple_without_an_issuer_to_judge_it_by_is_critical() -> None:
    """Nothing is fetched; the report says what is missing."""
    report = judged(seen(chain=()))
    assert report.verdict is Verdict.CRITICAL
    assert "issuer" in report.headline


def test_an_issuer_that_is_sent_is_not_remarked_upon() -> None:
    """The staple is the only finding."""
    assert len(judged(seen()).versions[0].findings) == 1


def test_an_untrusted_chain_is_a_note() -> None:
    """It is the staple that is looked at."""
    report = judged(seen(problems=("certificate expired at depth 0",)), host="other.example")
    assert report.verdict is Verdict.OK
    assert [finding.text for finding in report.versions[0].findings[1:]] == [
        "the chain does not verify: certificate expired at depth 0",
        "the certificate is not for other.example",
    ]


@pytest.mark.parametrize(
    ("problems", "host"), [(("self signed cert at depth 0",), "example.org"), ((), "other.example")]
)
def test_with_trust_required_a_chain_or_a_name_that_does_not_fit_is_critical(
    problems: tuple[str, ...], host: str
) -> None:
    """Who names a CA file insists on it."""
    report = judged(seen(problems=problems), host=host, trust=Trust((CA.certificate,), required=True))
    assert report.verdict is Verdict.CRITICAL


def test_the_worse_version_counts_and_is_named() -> None:
    """A server may staple in one version and forget it in the other."""
    report = judged(seen(), seen(b"", version="TLSv1.2"))
    assert report.verdict is Verdict.WARNING
    assert report.headline.endswith("(TLSv1.2)")
    assert [version.verdict for version in report.versions] == [Verdict.OK, Verdict.WARNING]


def test_a_version_that_is_not_spoken_is_information() -> None:
    """As long as the other one works."""
    report = judged(seen(), NOT_SPOKEN)
    assert report.verdict is Verdict.OK
    assert report.headline == "good staple, 3 d left of 4 d"
    assert report.versions[1].findings[0].text == NOT_SPOKEN.detail


def test_a_finding_about_the_only_spoken_version_names_no_version() -> None:
    """There is nothing to tell apart."""
    assert not judged(seen(b""), NOT_SPOKEN).headline.endswith(")")


def test_no_version_spoken_is_not_reached() -> None:
    """Then nothing is known about the staple."""
    report = judged(replace(NOT_SPOKEN, version="TLSv1.3"), NOT_SPOKEN)
    assert report.verdict is Verdict.UNKNOWN
    assert report.verdict.exit_status == 3
    assert report.headline == NOT_SPOKEN.detail


def test_a_silent_version_is_not_passed_over() -> None:
    """A time-out is no version that is not spoken."""
    report = judged(seen(), SILENT)
    assert report.verdict is Verdict.UNKNOWN
    assert report.headline == "no handshake within 10 s (TLSv1.2)"


def test_a_critical_finding_outweighs_silence() -> None:
    """What is known to be broken is told before what is not known."""
    assert judged(seen(b"", MUST), SILENT).verdict is Verdict.CRITICAL


def test_a_server_without_a_certificate_is_not_judged() -> None:
    """No cipher that is offered allows it, but it is the server that chooses what it sends."""
    nobody = Observation("TLSv1.2", Seen("TLSv1.2", "NULL", b"", (), b"", False))
    assert judged(nobody).verdict is Verdict.UNKNOWN


def test_verdicts_have_an_order_of_their_own() -> None:
    """Unknown stands between warning and critical, though its exit status is the highest."""
    order = [Verdict.OK, Verdict.WARNING, Verdict.UNKNOWN, Verdict.CRITICAL]
    for at, verdict in enumerate(order):
        assert Verdict.worst(order[: at + 1]) is verdict
    assert [verdict.exit_status for verdict in order] == [0, 1, 3, 2]
    assert Verdict.worst([]) is Verdict.OK


def test_a_report_over_nothing_says_so() -> None:
    """There is no version without an observation."""
    assert Report((), NOW).headline == "nothing was looked at"


def test_of_several_findings_of_one_version_the_first_is_told() -> None:
    """Findings stand in the order of what they say about the staple."""
    critical = [Finding(Verdict.CRITICAL, text) for text in ("first", "second")]
    assert Report((VersionReport("TLSv1.3", tuple(critical)),), NOW).headline == "first"
