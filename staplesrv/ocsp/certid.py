"""CertID: how OCSP names a certificate, by the hash of its issuer's name and key and by its serial number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat import asn1

from staplesrv.errors import NotIssuedBy
from staplesrv.ocsp.asn1 import TBSCertificate
from staplesrv.ocsp.hashing import HASHES, digest
from staplesrv.ocsp.issued import is_issued_by
from staplesrv.ocsp.text import name_text

SHARED_ISSUERS: Final = 1024
"""Issuers whose names and hashes are kept: ten thousand leaves have a handful of them."""


@dataclass(frozen=True, slots=True)
class CertID:
    """The name of a certificate in OCSP (RFC 6960 §4.1.1).

    Args:
        hash_name: A key of `HASHES`.
        issuer_name_hash: Hash of the issuer's name, DER.
        issuer_key_hash: Hash of the issuer's public key: the bits, without tag and length.
        serial_number: The certificate's serial number.

    Raises:
        ValueError: no such hash, or not its length.
    """

    hash_name: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int

    def __post_init__(self) -> None:
        if self.hash_name not in HASHES:
            raise ValueError(f"no such hash: {self.hash_name}")
        size = HASHES[self.hash_name].digest_size
        if len(self.issuer_name_hash) != size or len(self.issuer_key_hash) != size:
            raise ValueError(f"a {self.hash_name} hash has {size} bytes")


@dataclass(frozen=True, slots=True)
class Target:
    """The certificate that is asked about. Made by `for_leaf` or `for_serial`.

    Args:
        serial_number: Its serial number.
        issuer: The certificate of the CA that issued it.
        leaf: The certificate itself, where it is at hand.
    """

    serial_number: int
    issuer: x509.Certificate
    leaf: x509.Certificate | None

    @classmethod
    def for_leaf(cls, leaf: x509.Certificate, issuer: x509.Certificate) -> Target:
        """Ask about a certificate.

        Neither dates nor extensions of the two are looked at.

        Raises:
            NotIssuedBy: `issuer` is not the one who issued and signed `leaf`.
        """
        if not is_issued_by(leaf, issuer):
            raise NotIssuedBy(name_text(leaf), name_text(issuer))
        return cls(leaf.serial_number, issuer, leaf)

    @classmethod
    def for_serial(cls, serial_number: int, issuer: x509.Certificate) -> Target:
        """Ask about a serial number of an issuer, without the certificate."""
        return cls(serial_number, issuer, None)

    def cert_id(self, hash_name: str) -> CertID:
        """Name the certificate under a hash.

        Args:
            hash_name: A key of `HASHES`.
        """
        return CertID(hash_name, *_issuer_hashes(self.issuer, hash_name), self.serial_number)


@dataclass(frozen=True, slots=True)
class Entity:
    """What makes an issuer or signer the same one from certificate to certificate.

    Args:
        name: Its name as it stands in the DER: encoding it anew may choose other string types, and so another hash.
        key_bits: Its public key: the bits, without tag and length.
    """

    name: bytes
    key_bits: bytes

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Entity:
        """Read the subject of a certificate.

        Raises:
            ValueError: the certificate can't be read.
        """
        tbs = asn1.decode_der(TBSCertificate, certificate.tbs_certificate_bytes)
        return cls(asn1.encode_der(tbs.subject), tbs.public_key.bits.as_bytes())

    @property
    def key_hash(self) -> bytes:
        """The SHA-1 of the key, by which a response may name its signer (RFC 6960 §4.2.1)."""
        return digest(self.key_bits, "sha1")


@lru_cache(maxsize=SHARED_ISSUERS)
def issuer_entity(issuer: x509.Certificate) -> Entity:
    """Read the subject of an issuer, once: it is looked at with every response. Not for what strangers send."""
    return Entity.of(issuer)


@lru_cache(maxsize=SHARED_ISSUERS)
def _issuer_hashes(issuer: x509.Certificate, hash_name: str) -> tuple[bytes, bytes]:
    # A leaf's own issuer name is the same bytes, or it would not have been taken for issued by this one.
    entity = issuer_entity(issuer)
    return digest(entity.name, hash_name), digest(entity.key_bits, hash_name)
