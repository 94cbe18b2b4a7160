"""Read PEM files: certificates and private keys, or one line about why that can't be."""

from __future__ import annotations

import re
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.utils import CryptographyDeprecationWarning

from staplesrv.errors import OperatorError
from staplesrv.ocsp.text import UNREADABLE

MAX_FILE = 1 << 20
"""Bytes of the largest file that is read; chains with their keys take a few thousand."""

MIN_RSA_BITS = 2048
"""What OpenSSL's default security level asks for, and every client."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----")
_END = b"-----END "
_DASHES = b"-----"
_CERTIFICATE = b"CERTIFICATE"
_KEY = b"PRIVATE KEY"
# RFC 8446 §4.2.3 has signature schemes for these three alone; other curves fail in the handshake, late and dimly.
_CURVES = ("secp256r1", "secp384r1", "secp521r1")


def read(path: Path) -> bytes:
    """Read a whole regular file of at most `MAX_FILE` bytes.

    Raises:
        OperatorError: it is missing, empty, too large, no file, or can't be read.
    """
    where = str(path)
    try:
        # Asked before opening: a FIFO would block for ever.
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            problem = "is a directory" if stat.S_ISDIR(mode) else "is not a regular file"
            raise OperatorError(where, problem, "name a PEM file")
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError as error:
        raise OperatorError(where, "there is no such file", "check the path") from error
    except PermissionError as error:
        raise OperatorError(where, "permission denied", "let the server's user read it") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OperatorError(where, f"can't be read: {reason}", "check the path and the disk") from error
    if not data:
        raise OperatorError(where, "is empty", "write the PEM into it again")
    if len(data) > MAX_FILE:
        raise OperatorError(where, f"is larger than {MAX_FILE} bytes", "check that it is the right file")
    return data


def parse_certificates(where: str, data: bytes) -> tuple[x509.Certificate, ...]:
    """Read every certificate of a PEM text, in its order. Blocks of other kinds are passed over.

    Args:
        where: What an error names as its place.
        data: The PEM text.

    Raises:
        OperatorError: there is no certificate, or one that can't be read.
    """
    found = tuple(_certificate(where, number, block) for number, block in enumerate(_blocks(data, _CERTIFICATE), 1))
    if found:
        return found
    if any(True for _ in _blocks(data, _KEY)):
        raise OperatorError(where, "is a private key, not a certificate", "name the certificate's file here")
    raise _no_pem(where, data, "certificate")


def parse_private_key(where: str, data: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """Read the one private key of a PEM text: PKCS#8, PKCS#1 or SEC 1; RSA, ECDSA, Ed25519 or Ed448.

    Args:
        where: What an error names as its place.
        data: The PEM text; certificates beside the key are passed over.
        passphrase: For an encrypted key; ignored for others.

    Raises:
        OperatorError: there is no key or more than one, it can't be read, or TLS has no use for it.
    """
    keys = list(_blocks(data, _KEY))
    if not keys:
        if any(True for _ in _blocks(data, _CERTIFICATE)):
            problem, advice = "is a certificate, not a private key", "name the key's file here"
            raise OperatorError(where, problem, advice, key="private_key")
        raise _no_pem(where, data, "private key")
    if len(keys) > 1:
        raise OperatorError(where, f"holds {len(keys)} private keys", "leave the one that fits the certificate")
    return _usable(where, _private_key(where, keys[0], passphrase))


def _blocks(data: bytes, kind: bytes) -> Iterator[bytes]:
    # By hand and not by one regular expression, which would take square time over a file of BEGIN lines alone.
    end = 0
    while begin := _BEGIN.search(data, end):
        end = data.find(_END, begin.end())
        if end < 0:
            return
        label = begin[1]
        last = _END + label + _DASHES
        if (label == kind or label.endswith(b" " + kind)) and data.startswith(last, end):
            yield data[begin.start() : end] + last + b"\n"


def _certificate(where: str, number: int, block: bytes) -> x509.Certificate:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            certificate = x509.load_pem_x509_certificate(block)
            # cryptography reads names and dates when they are asked for; whoever asks later may rely on them.
            _ = (
                certificate.subject,
                certificate.issuer,
                certificate.not_valid_before_utc,
                certificate.not_valid_after_utc,
            )
            return certificate
    except UNREADABLE as error:
        problem = f"certificate {number} in it can't be read"
        raise OperatorError(where, problem, "get the file again from where it was made") from error


def _private_key(where: str, block: bytes, passphrase: bytes | None) -> object:
    encrypted = b"ENCRYPTED" in block
    if encrypted and passphrase is None:
        raise OperatorError(where, "the private key is encrypted", "decrypt it with `openssl pkey -in OLD -out NEW`")
    if b"OPENSSH" in block:
        raise OperatorError(where, "is an OpenSSH key", "convert a copy with `ssh-keygen -p -m PEM`")
    try:
        # The full check of an RSA key takes 35 ms, six minutes for 10,000 sites; most of it asks whether p and q are
        # prime, which protects from keys that an attacker made. These are the operator's: `_is_sound` does the rest.
        return serialization.load_pem_private_key(
            block, passphrase if encrypted else None, unsafe_skip_rsa_key_validation=True
        )
    except UnsupportedAlgorithm as error:
        raise OperatorError(where, f"the private key is of no known kind ({error})", _USE) from error
    except (ValueError, TypeError) as error:
        problem = "the passphrase is wrong or the private key damaged" if encrypted else "the private key is damaged"
        raise OperatorError(where, problem, _CHECK) from error


_CHECK = "check it with `openssl pkey -check -noout -in FILE`"
_USE = "use RSA, ECDSA on P-256 or P-384, or Ed25519"


def _usable(where: str, key: object) -> PrivateKey:
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < MIN_RSA_BITS:
            raise OperatorError(where, f"an RSA key of {key.key_size} bits is too short", "use 2048 bits or more")
        if not _is_sound(key):
            raise OperatorError(where, "the private key is damaged", _CHECK)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.name not in _CURVES:
            raise OperatorError(where, f"TLS clients do not know the curve {key.curve.name}", _USE)
    elif not isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        name = type(key).__name__.removesuffix("PrivateKey")
        raise OperatorError(where, f"TLS has no use for a {name} key", _USE)
    return key


def _is_sound(key: rsa.RSAPrivateKey) -> bool:
    """Tell whether the numbers of an RSA key belong together (RFC 8017 §3.2), primes taken for granted."""
    numbers = key.private_numbers()
    p, q, d, public = numbers.p, numbers.q, numbers.d, numbers.public_numbers
    return (
        min(p, q) > 1
        and p * q == public.n
        and (public.e * d - 1) % (p - 1) == (public.e * d - 1) % (q - 1) == 0
        and (numbers.dmp1, numbers.dmq1) == (d % (p - 1), d % (q - 1))
        and numbers.iqmp * q % p == 1
    )


def _no_pem(where: str, data: bytes, wanted: str) -> OperatorError:
    if data[:1] == b"\x30":
        return OperatorError(where, f"looks like DER; no PEM {wanted} in it", "convert it to PEM with `openssl`")
    advice = f"it needs a block that starts with -----BEGIN {wanted.upper()}-----"
    return OperatorError(where, f"no PEM {wanted} in it", advice)
