"""Signatures: which algorithms count, and whether one was made by the owner of a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import SignatureAlgorithmOID

from staplesrv.ocsp.hashing import SHA1, SHA256, SHA384, SHA512
from staplesrv.ocsp.pss import UnreadableParameters, read_pss

STRONG: Final = frozenset({SHA256.name, SHA384.name, SHA512.name})
"""The hashes that always count."""

RSA: Final[dict[x509.ObjectIdentifier, hashes.HashAlgorithm]] = {
    SignatureAlgorithmOID.RSA_WITH_SHA1: SHA1,
    x509.ObjectIdentifier("1.3.14.3.2.29"): SHA1,  # OIW's, which old responders still use
    SignatureAlgorithmOID.RSA_WITH_SHA256: SHA256,
    SignatureAlgorithmOID.RSA_WITH_SHA384: SHA384,
    SignatureAlgorithmOID.RSA_WITH_SHA512: SHA512,
}
ECDSA: Final[dict[x509.ObjectIdentifier, hashes.HashAlgorithm]] = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA1: SHA1,
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: SHA256,
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: SHA384,
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: SHA512,
}
EDDSA: Final = frozenset({SignatureAlgorithmOID.ED25519, SignatureAlgorithmOID.ED448})


class WeakAlgorithm(Exception):
    """An algorithm that is too weak, or none that counts here. Its text says which; it never leaves this room."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a signature was made.

    Args:
        oid: The algorithm.
        digest: Its hash; None for EdDSA.
        padding: RSA's; None for other keys.
    """

    oid: x509.ObjectIdentifier
    digest: hashes.HashAlgorithm | None
    padding: padding.PSS | padding.PKCS1v15 | None

    def fits(self, key: object, signature: bytes, data: bytes) -> bool:
        """Whether `signature` over `data` was made by the owner of a public key."""
        try:
            self._verify(key, signature, data)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            return False
        return True

    def _verify(self, key: object, signature: bytes, data: bytes) -> None:
        match key:
            case rsa.RSAPublicKey() if self.padding is not None and self.digest is not None:
                key.verify(signature, data, self.padding, self.digest)
            case ec.EllipticCurvePublicKey() if self.oid in ECDSA and self.digest is not None:
                key.verify(signature, data, ec.ECDSA(self.digest))
            case ed25519.Ed25519PublicKey() if self.oid == SignatureAlgorithmOID.ED25519:
                key.verify(signature, data)
            case ed448.Ed448PublicKey() if self.oid == SignatureAlgorithmOID.ED448:
                key.verify(signature, data)
            case _:
                raise InvalidSignature


def response_scheme(oid: x509.ObjectIdentifier, algorithm: asn1.TLV, *, allow_sha1: bool) -> Scheme:
    """Read how a response was signed.

    Args:
        oid: The algorithm.
        algorithm: The whole AlgorithmIdentifier, for the parameters of PSS.
        allow_sha1: Whether SHA-1 counts.

    Raises:
        WeakAlgorithm: it does not count, or can't be read.
    """
    if oid != SignatureAlgorithmOID.RSASSA_PSS:
        scheme = plain_scheme(oid)
        check_hash(scheme.digest, allow_sha1=allow_sha1)
        return scheme
    try:
        pss = read_pss(algorithm)
    except UnreadableParameters as error:
        raise WeakAlgorithm(f"RSASSA-PSS with {error}") from error
    # The mask is held to the same rule: a responder that has SHA-256 has it for both.
    for digest in (pss.digest, pss.mask):
        check_hash(digest, allow_sha1=allow_sha1)
    return Scheme(oid, pss.digest, pss.padding)


def plain_scheme(oid: x509.ObjectIdentifier) -> Scheme:
    """Tell how a signature was made whose algorithm needs no parameters.

    Raises:
        WeakAlgorithm: it is none that ever counts.
    """
    if oid in RSA:
        return Scheme(oid, RSA[oid], padding.PKCS1v15())
    if oid in ECDSA:
        return Scheme(oid, ECDSA[oid], None)
    if oid in EDDSA:
        return Scheme(oid, None, None)
    raise WeakAlgorithm(f"algorithm {oid.dotted_string}")


def check_hash(digest: hashes.HashAlgorithm | None, *, allow_sha1: bool) -> None:
    """Refuse a hash that is too weak; None is EdDSA's, which is part of the algorithm.

    Raises:
        WeakAlgorithm: it does not count.
    """
    if digest is None or digest.name in STRONG or (allow_sha1 and digest.name == SHA1.name):
        return
    raise WeakAlgorithm(digest.name.upper())
