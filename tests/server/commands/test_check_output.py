"""What a check prints, over whatever a server may have shown; no sockets."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import click
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from staplesrv.ops.check import Observation, Trouble, judge
from staplesrv.ops.report import Report, Verdict
from staplesrv.ops.trust import Trust
from staplesrv.server.commands import check_output, output
from staplesrv.testing import CertificateAuthority
from staplesrv.tls.client import Seen

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
CA = CertificateAuthority("Bücher-CA", now=NOW)
LEAF = CA.issue("example.org", responder_urls=["http://ocsp.example/"], must_staple=True)
LEAF_DER = LEAF.certificate.public_bytes(Encoding.DER)
CA_DER = CA.certificate.public_bytes(Encoding.DER)
GOOD = CA.respond(LEAF, this_update=NOW - timedelta(days=1), next_update=timedelta(days=4))


def report(staple: bytes, *chain: x509.Certificate, other: Observation | None = None) -> Report:
    """What is said of one handshake."""
    seen = Seen("TLSv1.3", "CIPHER", staple, chain, b"h2", resumed=False, verified=False, problems=("p",))
    observations = [Observation("TLSv1.3", seen), *([other] if other else [])]
    return judge(observations, NOW, host="example.org", trust=Trust((CA.certificate,)))


def printed(found: Report, charset: str = "utf-8") -> str:
    """The lines as a terminal of that character set gets them."""

    @click.command()
    def show() -> None:
        output.lines(check_output.lines(found, "example.org:443"))

    return CliRunner(charset=charset).invoke(show, catch_exceptions=False).stdout


def test_the_lines_of_a_good_staple() -> None:
    """As the documentation shows them."""
    silent = Observation("TLSv1.2", None, Trouble.NOT_SPOKEN, "not spoken: no")
    found = report(GOOD, LEAF.certificate, CA.certificate, other=silent)
    assert printed(found).splitlines() == [
        "OK - example.org:443: good staple, 3 d left of 4 d",
        "",
        "  TLSv1.3       CIPHER, h2",
        "  TLSv1.2       not spoken: no",
        "  certificate   CN=example.org, until 2026-08-01 12:00:00 UTC, must-staple",
        "  issuer        CN=Bücher-CA",
        "  staple        good staple, 3 d left of 4 d",
        "  signer        CN=Bücher-CA",
        "  thisUpdate    2026-05-03 12:00:00 UTC, 1 d ago",
        "  nextUpdate    2026-05-07 12:00:00 UTC, in 3 d",
        "  note          the chain does not verify: p",
    ]


def test_an_end_before_next_update_is_shown() -> None:
    """A signer's certificate that ends first ends the staple."""
    signer = CA.delegate(not_after=NOW + timedelta(days=2))
    assert "  expires " not in printed(report(GOOD, LEAF.certificate, CA.certificate))
    shown = printed(report(CA.respond(LEAF, signer=signer), LEAF.certificate, CA.certificate))
    assert "  expires       2026-05-06 12:00:00 UTC, in 2 d" in shown


def test_a_terminal_without_a_letter_gets_an_escape() -> None:
    """No name ends in a UnicodeEncodeError."""
    assert r"CN=B\xfccher-CA" in printed(report(GOOD, LEAF.certificate, CA.certificate), "ascii")


def test_a_server_without_a_certificate_is_told_in_the_first_line() -> None:
    """There is nothing to put below it."""
    shown = printed(report(b"")).splitlines()
    assert shown == ["UNKNOWN - example.org:443: the server showed no certificate", "", "  TLSv1.3   CIPHER, h2"]


def changed(sound: bytes) -> st.SearchStrategy[bytes]:
    """Bytes with up to three of them replaced."""
    places = st.lists(st.tuples(st.integers(0, len(sound) - 1), st.integers(0, 255)), max_size=3)

    def change(replaced: list[tuple[int, int]]) -> bytes:
        whole = bytearray(sound)
        for at, byte in replaced:
            whole[at] = byte
        return bytes(whole)

    return places.map(change)


def load(der: bytes) -> x509.Certificate:
    """A certificate, if OpenSSL and cryptography would get past it in a handshake."""
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion):
        assume(False)
        raise


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # as the command itself does
@settings(deadline=None, max_examples=200)
@given(staple=changed(GOOD) | st.binary(min_size=1), leaf=changed(LEAF_DER), issuer=changed(CA_DER))
def test_whatever_a_server_shows_there_is_a_verdict(staple: bytes, leaf: bytes, issuer: bytes) -> None:
    """Damaged staples and certificates are judged and printed; nothing is raised, nothing is not printable."""
    found = report(staple, load(leaf), load(issuer))
    assert found.verdict in Verdict
    assert all(line.isprintable() for line in printed(found).splitlines())
    assert json.loads(json.dumps(check_output.json_object(found), default=str))["versions"]
