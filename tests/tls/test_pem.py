"""Reading PEM files."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from staplesrv.errors import OperatorError
from staplesrv.testing import CertificateAuthority
from staplesrv.tls.pem import MAX_FILE, parse_certificates, parse_private_key, read

CA = CertificateAuthority()
LEAF = CA.issue("example.org")
RSA_KEY = rsa.generate_private_key(65537, 2048)


def pem(key: object, form: str = "PKCS8", passphrase: bytes | None = None) -> bytes:
    """Write a key as PEM."""
    encryption = (
        serialization.NoEncryption() if passphrase is None else serialization.BestAvailableEncryption(passphrase)
    )
    return key.private_bytes(  # type: ignore[attr-defined,no-any-return]
        serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), encryption
    )


def error_of(call: object, *args: object) -> str:
    """Return the one line that a call ends in."""
    with pytest.raises(OperatorError) as caught:
        call(*args)  # type: ignore[operator]
    text = str(caught.value)
    assert "\n" not in text
    return text


class TestRead:
    def test_whole(self, tmp_path: Path) -> None:
        """A file is read whole."""
        (tmp_path / "a.pem").write_bytes(b"x" * 5000)
        assert read(tmp_path / "a.pem") == b"x" * 5000

    def test_missing(self, tmp_path: Path) -> None:
        """A missing file is named."""
        assert error_of(read, tmp_path / "a.pem").startswith(f"{tmp_path}/a.pem: there is no such file")

    def test_directory(self, tmp_path: Path) -> None:
        """A directory in a file's place is called one."""
        assert "is a directory" in error_of(read, tmp_path)

    def test_fifo(self, tmp_path: Path) -> None:
        """A FIFO is refused, not waited for."""
        os.mkfifo(tmp_path / "pipe")
        assert "not a regular file" in error_of(read, tmp_path / "pipe")

    def test_file_as_directory(self, tmp_path: Path) -> None:
        """A path that leads through a file can't be read."""
        (tmp_path / "a").write_bytes(b"x")
        assert "can't be read" in error_of(read, tmp_path / "a" / "b")

    def test_name_with_nul(self) -> None:
        """A path with a NUL byte is an operator's error."""
        assert "can't be read" in error_of(read, Path("a\0b"))

    def test_permission(self, tmp_path: Path) -> None:
        """A file that may not be read says so."""
        path = tmp_path / "a.pem"
        path.write_bytes(b"x")
        path.chmod(0)
        me = os.geteuid()
        if me == 0:
            # Root may read everything; nobody may not.
            os.seteuid(65534)
        try:
            assert "permission denied" in error_of(read, path)
        finally:
            os.seteuid(me)

    def test_permission_of_the_system(self) -> None:
        """What the kernel keeps to itself can't be read, by root neither."""
        path = Path("/proc/self/mem")
        if not (path.exists() and stat.S_ISREG(path.stat().st_mode)):
            pytest.skip("no such file here")
        assert "can't be read" in error_of(read, path)

    def test_empty(self, tmp_path: Path) -> None:
        """An empty file says so."""
        (tmp_path / "a.pem").touch()
        assert "is empty" in error_of(read, tmp_path / "a.pem")

    @pytest.mark.parametrize(("size", "fine"), [(MAX_FILE, True), (MAX_FILE + 1, False)])
    def test_cap(self, tmp_path: Path, size: int, fine: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
        """A file of 1 MiB is read, a larger one is not."""
        (tmp_path / "a.pem").write_bytes(b"x" * size)
        if fine:
            assert len(read(tmp_path / "a.pem")) == size
        else:
            assert "larger than" in error_of(read, tmp_path / "a.pem")


class TestCertificates:
    def test_in_order(self) -> None:
        """Certificates come out in the order of the file."""
        assert parse_certificates("a", LEAF.fullchain_pem) == (LEAF.certificate, CA.certificate)

    def test_between_other_things(self) -> None:
        """Text and other blocks around the certificates are passed over."""
        data = b"Bag Attributes\n" + LEAF.key_pem() + b"\nsubject=x\r\n" + CA.pem.replace(b"\n", b"\r\n") + b"end"
        assert parse_certificates("a", data) == (CA.certificate,)

    def test_key_file(self) -> None:
        """A key given as certificate is recognised."""
        assert error_of(parse_certificates, "a", LEAF.key_pem()).startswith("a: is a private key, not a certificate")

    def test_der(self) -> None:
        """DER is recognised."""
        der = LEAF.certificate.public_bytes(serialization.Encoding.DER)
        assert "looks like DER" in error_of(parse_certificates, "a", der)

    def test_something_else(self) -> None:
        """Any other file says what it lacks."""
        assert "no PEM certificate in it" in error_of(parse_certificates, "a", b"hello")

    def test_damaged(self) -> None:
        """A damaged certificate is named by its number."""
        damaged = CA.pem.replace(b"MII", b"MIX", 1)
        assert "certificate 2 in it can't be read" in error_of(parse_certificates, "a", _leaf() + damaged)

    def test_name_that_is_none(self) -> None:
        """A certificate whose name can't be read can't be read itself."""
        der = LEAF.certificate.public_bytes(serialization.Encoding.DER)
        broken = der.replace(b"\x55\x04\x03\x0c\x0bexample.org", b"\x55\x04\x03\x0c\x0bex\xffmple.org")
        assert broken != der
        text = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(broken) + b"-----END CERTIFICATE-----\n"
        assert "certificate 1 in it can't be read" in error_of(parse_certificates, "a", text)

    def test_unfinished(self) -> None:
        """A file that ends in the middle of a block has what came before it."""
        assert parse_certificates("a", _leaf() + CA.pem[:200]) == (LEAF.certificate,)

    def test_other_end(self) -> None:
        """A block must end as it began."""
        data = _leaf().replace(b"END CERTIFICATE", b"END X509 CRL")
        assert "no PEM certificate in it" in error_of(parse_certificates, "a", data)

    def test_many_beginnings(self) -> None:
        """A file of nothing but BEGIN lines takes no more than linear time."""
        assert "no PEM" in error_of(parse_certificates, "a", b"-----BEGIN CERTIFICATE-----\n" * (MAX_FILE // 28))

    def test_strange_certificate(self) -> None:
        """A certificate with a serial number of zero is read; the library's warning about it is not ours."""
        der = CA.issue("example.org", serial_number=1).certificate.public_bytes(serialization.Encoding.DER)
        zero = der.replace(b"\x02\x01\x01", b"\x02\x01\x00", 1)
        text = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(zero) + b"-----END CERTIFICATE-----\n"
        (certificate,) = parse_certificates("a", text)
        assert certificate.public_bytes(serialization.Encoding.DER) == zero


def _leaf() -> bytes:
    return LEAF.certificate.public_bytes(serialization.Encoding.PEM)


KEYS = [
    RSA_KEY,
    ec.generate_private_key(ec.SECP256R1()),
    ec.generate_private_key(ec.SECP384R1()),
    ec.generate_private_key(ec.SECP521R1()),
    ed25519.Ed25519PrivateKey.generate(),
    ed448.Ed448PrivateKey.generate(),
]


class TestPrivateKey:
    @pytest.mark.parametrize("key", KEYS)
    def test_pkcs8(self, key: object) -> None:
        """Every kind of key that TLS knows is read as PKCS#8."""
        assert type(parse_private_key("a", pem(key))) is type(key)

    @pytest.mark.parametrize("key", KEYS[:2])
    def test_traditional(self, key: object) -> None:
        """PKCS#1 and SEC 1 are read too."""
        assert type(parse_private_key("a", pem(key, "TraditionalOpenSSL"))) is type(key)

    def test_with_parameters(self) -> None:
        """The EC PARAMETERS block that `openssl ecparam -genkey` writes is passed over."""
        parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        data = parameters + pem(KEYS[1], "TraditionalOpenSSL")
        assert isinstance(parse_private_key("a", data), ec.EllipticCurvePrivateKey)

    @pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
    def test_encrypted(self, form: str) -> None:
        """An encrypted key wants a passphrase, and takes the right one."""
        data = pem(RSA_KEY, form, b"secret")
        assert "the private key is encrypted" in error_of(parse_private_key, "a", data)
        assert "the passphrase is wrong" in error_of(parse_private_key, "a", data, b"wrong")
        assert parse_private_key("a", data, b"secret").public_key() == RSA_KEY.public_key()

    def test_needless_passphrase(self) -> None:
        """A passphrase for a key that is not encrypted does no harm."""
        assert parse_private_key("a", pem(RSA_KEY), b"secret").public_key() == RSA_KEY.public_key()

    def test_certificate(self) -> None:
        """A certificate given as key is recognised, and the key told: its file may be the certificate's, too."""
        assert error_of(parse_private_key, "a", CA.pem).startswith("a: private_key: is a certificate, not a private")

    def test_two_keys(self) -> None:
        """Two keys in one file are one too many."""
        assert "holds 2 private keys" in error_of(parse_private_key, "a", pem(KEYS[0]) + pem(KEYS[1]))

    def test_short_rsa(self) -> None:
        """An RSA key of 1024 bits is too short."""
        assert "1024 bits is too short" in error_of(parse_private_key, "a", pem(rsa.generate_private_key(65537, 1024)))

    @pytest.mark.parametrize("curve", [ec.SECP256K1(), ec.BrainpoolP256R1(), ec.SECP224R1()])
    def test_curves(self, curve: ec.EllipticCurve) -> None:
        """A curve that TLS clients don't know is named."""
        text = error_of(parse_private_key, "a", pem(ec.generate_private_key(curve)))
        assert f"the curve {curve.name}" in text

    def test_dsa(self) -> None:
        """TLS has no use for DSA."""
        text = error_of(parse_private_key, "a", pem(dsa.generate_private_key(2048)))
        assert "TLS has no use for a DSA key" in text

    def test_openssh(self) -> None:
        """An OpenSSH key says how to convert it."""
        assert "is an OpenSSH key" in error_of(parse_private_key, "a", pem(KEYS[4], "OpenSSH"))

    def test_damaged(self) -> None:
        """A damaged key says so."""
        assert "the private key is damaged" in error_of(parse_private_key, "a", pem(KEYS[1]).replace(b"MIG", b"MIX"))

    @pytest.mark.parametrize("number", ["d", "dmp1", "dmq1", "iqmp"])
    def test_unsound_rsa(self, number: str) -> None:
        """An RSA key whose numbers don't belong together is damaged, though it parses."""
        numbers = RSA_KEY.private_numbers()
        parts = {name: getattr(numbers, name) for name in ("p", "q", "d", "dmp1", "dmq1", "iqmp", "public_numbers")}
        parts[number] += 2
        unsound = rsa.RSAPrivateNumbers(**parts).private_key(unsafe_skip_rsa_key_validation=True)
        assert "the private key is damaged" in error_of(parse_private_key, "a", pem(unsound))

    def test_nothing(self) -> None:
        """A file without a key says what it lacks."""
        assert "-----BEGIN PRIVATE KEY-----" in error_of(parse_private_key, "a", b"\xff\xfe-\0-\0")


WORDS = st.sampled_from(
    [
        *(b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----", b"-----BEGIN PRIVATE KEY-----"),
        *(b"-----END PRIVATE KEY-----", b"-----BEGIN RSA PRIVATE KEY-----", b"-----END RSA PRIVATE KEY-----"),
        *(b"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00", b"\n", b"\r\n", b"MIIB", b"-----BEGIN ", b"-----END "),
        *(_leaf(), CA.pem, LEAF.key_pem(), pem(RSA_KEY, "TraditionalOpenSSL"), pem(KEYS[1], "PKCS8", b"x")),
    ]
)
TEXTS = st.lists(st.one_of(WORDS, st.binary(max_size=20)), max_size=8).map(b"".join)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a good file with some bytes changed."""
    data = bytearray(draw(st.sampled_from([_leaf(), LEAF.key_pem(), pem(RSA_KEY), pem(KEYS[4])])))
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.sampled_from(b"AQz/+=09-\n "))
    return bytes(data)


@settings(deadline=None)
@example(b"")
@given(st.one_of(TEXTS, mutated()))
def test_any_text(data: bytes) -> None:
    """No PEM text ends in anything but a value or an operator's error, of one line."""
    for parse in (parse_certificates, parse_private_key):
        text = "a: "
        try:
            assert parse("a", data)
        except OperatorError as error:
            text = str(error)
        assert text.startswith("a: ")
        assert "\n" not in text
