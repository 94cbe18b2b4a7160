"""A leaf certificate with its key, and the files that servers read."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from staplesrv.testing.keys import PrivateKey


class LeafFiles(NamedTuple):
    """Where a leaf was written to."""

    certificate: Path
    private_key: Path


@dataclass(frozen=True, slots=True)
class Leaf:
    """An end-entity certificate with its key and the way up.

    `chain` has the issuer first and ends before the root, except that a root that issued the leaf itself is in it: a
    stapler needs the issuer.
    """

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def issuer(self) -> x509.Certificate:
        """The certificate of the CA that issued it."""
        return self.chain[0]

    @property
    def fingerprint(self) -> bytes:
        """The SHA-256 of the certificate's DER."""
        return hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).digest()

    @property
    def fullchain_pem(self) -> bytes:
        """The leaf and its chain, leaf first."""
        return b"".join(pem(certificate) for certificate in (self.certificate, *self.chain))

    def key_pem(self, passphrase: bytes | None = None) -> bytes:
        """The private key as PKCS#8 PEM, encrypted if a passphrase is given."""
        return _key_pem(self.key, passphrase)

    def write(self, directory: Path | str, *, prefix: str = "", passphrase: bytes | None = None) -> LeafFiles:
        """Write `fullchain.pem` and `privkey.pem`, each replaced at once.

        Args:
            directory: Where to; it must exist.
            prefix: Stands before both names, to tell several leaves in one directory apart.
            passphrase: Encrypts the key.

        Returns:
            Both paths; the key has mode 0600.
        """
        files = LeafFiles(Path(directory) / f"{prefix}fullchain.pem", Path(directory) / f"{prefix}privkey.pem")
        _replace(files.certificate, self.fullchain_pem, 0o644)
        _replace(files.private_key, self.key_pem(passphrase), 0o600)
        return files


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: PrivateKey, passphrase: bytes | None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _replace(path: Path, content: bytes, mode: int) -> None:
    # A watch on the files must see the old file or the new one, and a key is never readable for others.
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    temporary.replace(path)
