"""Certificate bundles: what belongs together, and what is said about what does not."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from staplesrv.errors import OperatorError
from staplesrv.testing import CertificateAuthority, Leaf
from staplesrv.tls.certificate import CertificateBundle, fingerprint, parse_bundle

ROOT = CertificateAuthority("root")
MIDDLE = ROOT.intermediate("middle")
LEAF = MIDDLE.issue("example.org", "*.example.org", "192.0.2.1", "::1")
OTHER = CertificateAuthority("elsewhere").issue("other.example")


def pem(*certificates: x509.Certificate) -> bytes:
    """Write certificates as PEM."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def bundle(*certificates: x509.Certificate, leaf: Leaf = LEAF, issuer: bytes | None = None) -> CertificateBundle:
    """Make a bundle of these certificates with the leaf's key."""
    return parse_bundle(
        ("cert.pem", pem(*certificates)),
        ("key.pem", leaf.key_pem()),
        None if issuer is None else ("issuer.pem", issuer),
    )


def problem(*certificates: x509.Certificate, leaf: Leaf = LEAF, issuer: bytes | None = None) -> str:
    """Return the one line that says why there is no such bundle."""
    with pytest.raises(OperatorError) as caught:
        bundle(*certificates, leaf=leaf, issuer=issuer)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestWhatALeafSays:
    def test_files(self, tmp_path: Path) -> None:
        """A certificate and its key are read from their files."""
        files = LEAF.write(tmp_path)
        loaded = parse_bundle(*((str(file), file.read_bytes()) for file in files))
        assert loaded.leaf == LEAF.certificate
        assert loaded.chain == (MIDDLE.certificate,)
        assert loaded.private_key.public_key() == LEAF.key.public_key()
        assert loaded.fingerprint == LEAF.fingerprint == fingerprint(LEAF.certificate)
        assert loaded.pem == LEAF.fullchain_pem

    def test_one_file(self, tmp_path: Path) -> None:
        """Certificate and key may be in one file."""
        path = tmp_path / "both.pem"
        path.write_bytes(LEAF.key_pem() + LEAF.fullchain_pem)
        assert parse_bundle((str(path), path.read_bytes()), (str(path), path.read_bytes())).chain == (
            MIDDLE.certificate,
        )

    def test_names(self) -> None:
        """Names are the alternative names: DNS names, wildcards, then IP addresses."""
        assert bundle(LEAF.certificate).names == ("example.org", "*.example.org", "192.0.2.1", "::1")

    def test_upper_case(self) -> None:
        """DNS names are kept in lower case."""
        leaf = ROOT.issue("WWW.Example.ORG")
        assert bundle(leaf.certificate, leaf=leaf).names == ("www.example.org",)

    def test_common_name(self) -> None:
        """The common name counts only where there is no alternative name."""
        leaf = ROOT.issue(common_name="Old.Example")
        assert bundle(leaf.certificate, leaf=leaf).names == ("old.example",)
        leaf = ROOT.issue("new.example", common_name="old.example")
        assert bundle(leaf.certificate, leaf=leaf).names == ("new.example",)

    def test_urls(self) -> None:
        """Responder and issuer URLs come in their order, whatever their scheme."""
        leaf = ROOT.issue("a", responder_urls=["http://a", "ldap://b"], issuer_urls=["http://c", "http://d"])
        loaded = bundle(leaf.certificate, leaf=leaf)
        assert loaded.responder_urls == ("http://a", "ldap://b")
        assert loaded.issuer_urls == ("http://c", "http://d")

    @pytest.mark.parametrize("five", [False, True])
    @pytest.mark.parametrize("seventeen", [False, True])
    def test_features(self, *, five: bool, seventeen: bool) -> None:
        """TLS features 5 and 17 are told apart."""
        leaf = ROOT.issue("a", must_staple=five, must_staple_v2=seventeen)
        loaded = bundle(leaf.certificate, leaf=leaf)
        assert (loaded.must_staple, loaded.must_staple_v2) == (five, seventeen)

    @pytest.mark.parametrize("key", ["rsa", "ec", "ed25519"])
    def test_kinds_of_key(self, key: str) -> None:
        """RSA, ECDSA and Ed25519 keys fit their certificates."""
        leaf = ROOT.issue("a", key=key)  # type: ignore[arg-type]
        assert bundle(leaf.certificate, leaf=leaf).private_key.public_key() == leaf.key.public_key()

    def test_expired(self) -> None:
        """An expired leaf is no error."""
        leaf = ROOT.issue("a", not_before=ROOT.now() - timedelta(days=9), not_after=ROOT.now() - timedelta(days=1))
        assert bundle(leaf.certificate, leaf=leaf).leaf == leaf.certificate

    def test_unreadable_extension(self) -> None:
        """An extension that can't be read is an operator's error."""
        broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30\x03broken")
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broken")])
        now = ROOT.now()
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        certificate = builder.add_extension(broken, critical=False).sign(key, hashes.SHA256())
        assert "can't be read" in problem(certificate, leaf=Leaf(certificate, key, ()))

    def test_issuers_are_shared(self) -> None:
        """Two bundles of one CA have the very same issuer object."""
        other = MIDDLE.issue("other.example")
        first = bundle(LEAF.certificate, MIDDLE.certificate)
        second = bundle(other.certificate, MIDDLE.certificate, leaf=other)
        assert first.chain[0] is second.chain[0]


class TestKey:
    def test_other_key(self) -> None:
        """A key that fits nothing names the certificate that it doesn't fit."""
        text = problem(LEAF.certificate, MIDDLE.certificate, leaf=OTHER)
        assert text.startswith("key.pem: the private key does not fit the certificate in cert.pem, CN=example.org")

    def test_key_of_another_in_the_chain(self) -> None:
        """A key that fits a later certificate means that the leaf is not first."""
        text = problem(MIDDLE.certificate, LEAF.certificate)
        assert "the leaf is not first: certificate 1 is CN=middle" in text
        assert "fits certificate 2, CN=example.org" in text

    def test_other_kind(self) -> None:
        """An RSA key doesn't fit an ECDSA certificate."""
        assert "does not fit" in problem(LEAF.certificate, leaf=ROOT.issue("a", key="rsa"))


class TestChain:
    def test_alone(self) -> None:
        """A leaf may come alone."""
        assert bundle(LEAF.certificate).chain == ()

    def test_with_root(self) -> None:
        """A root at the end is fine, and sent as it stands there."""
        assert bundle(LEAF.certificate, MIDDLE.certificate, ROOT.certificate).chain == (
            MIDDLE.certificate,
            ROOT.certificate,
        )

    def test_cross_signed(self) -> None:
        """Two certificates of one CA, by two roots, may stand side by side."""
        crossed = CertificateAuthority("other root").intermediate("middle", key=MIDDLE.key)
        assert len(bundle(LEAF.certificate, MIDDLE.certificate, crossed.certificate, ROOT.certificate).chain) == 3

    def test_out_of_order(self) -> None:
        """A root before its intermediate is named with what should stand before it."""
        text = problem(LEAF.certificate, ROOT.certificate, MIDDLE.certificate)
        assert "out of order: certificate 2 is CN=root" in text
        assert "CN=middle, comes after it as number 3" in text

    def test_unrelated(self) -> None:
        """A certificate that issued none of the others is named."""
        text = problem(LEAF.certificate, MIDDLE.certificate, OTHER.issuer)
        assert "certificate 3 (CN=elsewhere) issued none of those before it" in text

    def test_leaf_last(self) -> None:
        """A chain upside down says that the leaf belongs first."""
        assert "the leaf is not first" in problem(ROOT.certificate, MIDDLE.certificate, LEAF.certificate)

    def test_ca_first_with_its_own_key(self) -> None:
        """A CA's certificate before one that it issued is out of order also where the key is the CA's."""
        ca = Leaf(MIDDLE.certificate, MIDDLE.key, ())
        assert "which issued number 2, CN=example.org" in problem(MIDDLE.certificate, LEAF.certificate, leaf=ca)

    def test_twice(self) -> None:
        """A certificate that is there twice is named with both places."""
        text = problem(LEAF.certificate, LEAF.certificate, MIDDLE.certificate)
        assert "certificate 2 (CN=example.org) is there twice, first as number 1" in text

    def test_same_name_other_key(self) -> None:
        """A CA of the same name with another key did not issue the leaf."""
        impostor = ROOT.intermediate("middle")
        assert "issued none of those before it" in problem(LEAF.certificate, impostor.certificate)

    def test_names_stay_on_the_line(self) -> None:
        """Control characters in a certificate's name get neither into the line nor to the terminal."""
        odd = CertificateAuthority("new\nline \x1b[31mred").certificate
        text = problem(LEAF.certificate, odd)
        assert "\x1b" not in text
        assert "new" in text

    def test_nameless(self) -> None:
        """A certificate without a subject is named by its serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = ROOT.now()
        builder = x509.CertificateBuilder(ROOT.certificate.subject, x509.Name([]), key.public_key(), 0xABC, now, now)
        nameless = builder.sign(ROOT.key, hashes.SHA256())  # type: ignore[arg-type]
        assert "serial number abc" in problem(LEAF.certificate, nameless)


class TestIssuer:
    def test_extra_file(self) -> None:
        """An issuer from its own file helps in asking, and is not sent."""
        loaded = bundle(LEAF.certificate, issuer=pem(ROOT.certificate, MIDDLE.certificate))
        assert loaded.chain == ()
        assert loaded.issuers == (ROOT.certificate, MIDDLE.certificate)

    def test_wrong_file(self) -> None:
        """An issuer file without the issuer says who issued the leaf."""
        text = problem(LEAF.certificate, issuer=ROOT.pem)
        assert text.startswith("issuer.pem: no certificate in it issued CN=example.org; that was CN=middle")

    def test_found_later(self) -> None:
        """An issuer that was found completes a chain that lacks it, and leaves another one alone."""
        alone = bundle(LEAF.certificate)
        assert alone.with_issuer(MIDDLE.certificate).chain == (MIDDLE.certificate,)
        whole = bundle(LEAF.certificate, MIDDLE.certificate, ROOT.certificate)
        assert whole.with_issuer(MIDDLE.certificate) is whole


LEAF_DER = LEAF.certificate.public_bytes(serialization.Encoding.DER)
CHAIN_DER = MIDDLE.certificate.public_bytes(serialization.Encoding.DER)


def armour(der: bytes) -> bytes:
    """Write any bytes as PEM."""
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


@st.composite
def mutated(draw: st.DrawFn, der: bytes) -> bytes:
    """Draw a certificate with some bytes changed."""
    data = bytearray(der)
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


# A serial number below zero is only warned about, by whoever reads the certificate again.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(deadline=None, max_examples=300)
@given(mutated(LEAF_DER), mutated(CHAIN_DER))
def test_any_certificates(leaf: bytes, issuer: bytes) -> None:
    """Certificates with any bytes changed end in a bundle or in an operator's error of one line."""
    text = "cert: "
    for certificate, extra in ((armour(leaf) + armour(issuer), None), (armour(leaf), ("cert", armour(issuer)))):
        try:
            made = parse_bundle(("cert", certificate), ("cert", LEAF.key_pem()), extra)
        except OperatorError as error:
            text = str(error)
        else:
            assert made.private_key.public_key() == LEAF.key.public_key()
        assert text.startswith("cert: ")
        assert "\n" not in text
