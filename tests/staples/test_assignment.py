"""One leaf to keep stapled, as read from its certificate."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import LogLevel, globalLogPublisher

from staplesrv.errors import OperatorError
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.settings import Settings
from staplesrv.testing import CertificateAuthority, Leaf

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CA = CertificateAuthority(now=NOW)
OTHER_CA = CertificateAuthority(now=NOW)
KEY = ec.generate_private_key(ec.SECP256R1())
URL = "http://ocsp.example/"


def assign(leaf: Leaf | x509.Certificate, **options: Any) -> Assignment:
    """Make an assignment, with the leaf's own chain if it has one."""
    certificate, chain = (leaf.certificate, leaf.chain) if isinstance(leaf, Leaf) else (leaf, ())
    return Assignment.for_leaf(certificate, chain, **{"settings": Settings(), **options})


def odd_leaf(*extensions: x509.ExtensionType) -> x509.Certificate:
    """A certificate with any extensions."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd.example")])
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), 77, NOW, NOW + timedelta(days=90))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEY, hashes.SHA256())


def raw(oid: x509.ObjectIdentifier, value: bytes) -> x509.UnrecognizedExtension:
    """An extension with any bytes."""
    return x509.UnrecognizedExtension(oid, value)


@pytest.fixture
def warnings() -> Any:
    """The warnings that are logged."""
    logged: list[Any] = []

    def observe(event: Any) -> None:
        if event["log_level"] >= LogLevel.warn:
            logged.append(event)

    globalLogPublisher.addObserver(observe)
    yield logged
    globalLogPublisher.removeObserver(observe)


class TestUrls:
    """Whom to ask comes from the certificate, and from the overrides."""

    def test_the_certificates_own(self) -> None:
        """Responder and issuer URLs are read in order, each once, in their canonical form."""
        leaf = CA.issue(
            responder_urls=["http://b.example", URL, "HTTP://B.EXAMPLE/"], issuer_urls=["http://ca.example/ca"]
        )
        assignment = assign(leaf)
        assert assignment.responder_urls == ("http://b.example/", URL)
        assert assignment.issuer_urls == ("http://ca.example/ca",)
        assert not assignment.disabled

    def test_none_is_no_fault(self) -> None:
        """A certificate without URLs has none, and nobody has disabled anything."""
        assignment = assign(CA.issue())
        assert (assignment.responder_urls, assignment.issuer_urls, assignment.disabled) == ((), (), False)

    def test_other_schemes_are_left_out(self, warnings: list[Any]) -> None:
        """An ldap URL and whatever else a certificate may name is left out, which is nothing to warn of."""
        leaf = CA.issue(
            responder_urls=["ldap://x/", "file:///etc/passwd", "http://u@x/", URL], issuer_urls=["ldap://x/"]
        )
        assignment = assign(leaf)
        assert (assignment.responder_urls, assignment.issuer_urls) == ((URL,), ())
        assert not warnings

    def test_the_sites_responder_takes_their_place(self) -> None:
        """`responder` is asked instead of all that the certificate names, and also where it names none."""
        for leaf in (CA.issue(responder_urls=[URL]), CA.issue()):
            assert assign(leaf, responder="http://ocsp.internal").responder_urls == ("http://ocsp.internal/",)

    def test_the_sites_responder_may_be_nobody(self) -> None:
        """An empty `responder` means never ask."""
        assignment = assign(CA.issue(responder_urls=[URL]), responder="")
        assert (assignment.responder_urls, assignment.disabled) == ((), True)

    def test_a_bad_responder_is_the_operators_error(self) -> None:
        """`responder` is configuration: what is wrong there is said."""
        with pytest.raises(OperatorError, match="neither http nor https"):
            assign(CA.issue(), responder="ftp://ocsp.internal")

    def test_overrides_by_host(self) -> None:
        """`responders` replaces the URLs of the hosts it names, and leaves the others."""
        leaf = CA.issue(responder_urls=["http://OCSP.example:8080/a", "http://other.example/"])
        settings_ = Settings(responders={"ocsp.example": "http://ocsp.internal"})
        assert assign(leaf, settings=settings_).responder_urls == ("http://ocsp.internal/", "http://other.example/")

    def test_a_host_that_is_never_asked(self) -> None:
        """An empty override takes the host out; where nobody is left that is called disabled."""
        settings_ = Settings(responders={"ocsp.example": ""})
        both = assign(CA.issue(responder_urls=[URL, "http://other.example/"]), settings=settings_)
        assert (both.responder_urls, both.disabled) == (("http://other.example/",), False)
        one = assign(CA.issue(responder_urls=[URL]), settings=settings_)
        assert (one.responder_urls, one.disabled) == ((), True)


class TestTarget:
    """The issuer is the one that verifies the leaf, wherever it stands."""

    def test_it_is_found_in_the_chain(self) -> None:
        """The leaf itself, strangers and doubles beside it don't matter."""
        leaf = CA.issue()
        chain = [leaf.certificate, OTHER_CA.certificate, CA.certificate, CA.certificate]
        target = Assignment.for_leaf(leaf.certificate, chain, settings=Settings()).target
        assert target is not None
        assert target.issuer == CA.certificate
        assert target.leaf == leaf.certificate

    def test_the_name_alone_does_not_do(self) -> None:
        """A CA of the same name that did not sign the leaf is not its issuer."""
        assert OTHER_CA.certificate.subject == CA.certificate.subject
        leaf = CA.issue().certificate
        assert Assignment.for_leaf(leaf, [OTHER_CA.certificate], settings=Settings()).target is None

    def test_it_may_come_later(self) -> None:
        """`with_issuer` completes an assignment that had no issuer."""
        leaf = CA.issue()
        complete = Assignment.for_leaf(leaf.certificate, settings=Settings()).with_issuer(CA.certificate)
        assert complete.target is not None
        assert complete.chain == (CA.certificate,)

    def test_leaves_share_their_issuer(self) -> None:
        """Equal issuer certificates of different chain files are one object in memory."""
        copies = [x509.load_der_x509_certificate(CA.certificate.public_bytes(Encoding.DER)) for _ in range(2)]
        leaves = [Assignment.for_leaf(CA.issue().certificate, [copy], settings=Settings()) for copy in copies]
        assert leaves[0].chain[0] is leaves[1].chain[0]


class TestFacts:
    """What else is read from the leaf."""

    def test_fingerprint_and_dates(self) -> None:
        """The fingerprint is the SHA-256 of the DER; the dates are aware."""
        leaf = CA.issue(not_before=NOW, not_after=NOW + timedelta(days=90))
        assignment = assign(leaf, staple_file=Path("response.der"))
        assert assignment.fingerprint == hashlib.sha256(leaf.certificate.public_bytes(Encoding.DER)).digest()
        assert (assignment.not_before, assignment.not_after) == (NOW, NOW + timedelta(days=90))
        assert assignment.staple_file == Path("response.der")

    @pytest.mark.parametrize(("life", "short"), [(timedelta(days=7), True), (timedelta(days=7, seconds=1), False)])
    def test_short_lived(self, life: timedelta, short: bool) -> None:  # noqa: FBT001 - a parameter
        """Seven days are short, a second more is not."""
        assert assign(CA.issue(not_before=NOW, not_after=NOW + life)).short_lived is short

    def test_must_staple(self) -> None:
        """TLS feature 5 is must-staple; 17 is another thing, and none is none."""
        assert assign(CA.issue(must_staple=True)).must_staple
        assert not assign(CA.issue(must_staple_v2=True)).must_staple
        assert not assign(CA.issue()).must_staple


class TestHostileExtensions:
    """Extensions that can't be read count as absent, and never raise."""

    @pytest.mark.parametrize(
        "extension",
        [
            raw(x509.TLSFeature.oid, b"garbage"),
            raw(x509.TLSFeature.oid, b"\x30\x03\x02\x01\x09"),
            raw(x509.AuthorityInformationAccess.oid, b""),
            raw(x509.AuthorityInformationAccess.oid, b"\x30\x80"),
            raw(x509.SubjectAlternativeName.oid, b"\x30\x02\x87\x00"),
        ],
    )
    def test_it_is_said_once(self, extension: x509.UnrecognizedExtension, warnings: list[Any]) -> None:
        """One warning, and an assignment without URLs."""
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(URL))
        others = (
            [] if extension.oid == x509.AuthorityInformationAccess.oid else [x509.AuthorityInformationAccess([access])]
        )
        assignment = assign(odd_leaf(extension, *others))
        assert (assignment.responder_urls, assignment.must_staple) == ((), False)
        assert len(warnings) == 1

    def test_a_name_that_is_no_url(self) -> None:
        """An access description may name anything; only URLs are of use."""
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.DNSName("ocsp.example"))
        assert assign(odd_leaf(x509.AuthorityInformationAccess([access]))).responder_urls == ()

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from([x509.TLSFeature.oid, x509.AuthorityInformationAccess.oid]), st.binary(max_size=60))
    def test_no_bytes_raise(self, oid: x509.ObjectIdentifier, value: bytes) -> None:
        """Whatever is in these extensions, there is an assignment."""
        assert assign(odd_leaf(raw(oid, value))).fingerprint
