"""Signatures of responses: which algorithms count, and whether one fits a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import SignatureAlgorithmOID as OID

from staplesrv.ocsp.asn1 import HashAlgorithm, PSSAlgorithm, PSSParameters

SHA1: Final = hashes.SHA1()  # noqa: S303 - to tell it from the others, and for operators who allow it

RSA: Final[dict[x509.ObjectIdentifier, hashes.HashAlgorithm]] = {
    OID.RSA_WITH_SHA1: SHA1,
    x509.ObjectIdentifier("1.3.14.3.2.29"): SHA1,
    OID.RSA_WITH_SHA256: hashes.SHA256(),
    OID.RSA_WITH_SHA384: hashes.SHA384(),
    OID.RSA_WITH_SHA512: hashes.SHA512(),
}
ECDSA: Final[dict[x509.ObjectIdentifier, hashes.HashAlgorithm]] = {
    OID.ECDSA_WITH_SHA1: SHA1,
    OID.ECDSA_WITH_SHA256: hashes.SHA256(),
    OID.ECDSA_WITH_SHA384: hashes.SHA384(),
    OID.ECDSA_WITH_SHA512: hashes.SHA512(),
}
EDDSA: Final = frozenset({OID.ED25519, OID.ED448})
HASH_OIDS: Final[dict[x509.ObjectIdentifier, hashes.HashAlgorithm]] = {
    x509.ObjectIdentifier("1.3.14.3.2.26"): SHA1,
    x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1"): hashes.SHA256(),
    x509.ObjectIdentifier("2.16.840.1.101.3.4.2.2"): hashes.SHA384(),
    x509.ObjectIdentifier("2.16.840.1.101.3.4.2.3"): hashes.SHA512(),
}
MGF1: Final = x509.ObjectIdentifier("1.2.840.113549.1.1.8")
MAX_SALT: Final = 512
"""Bytes of salt in a PSS signature: more fits into no RSA key up to 4096 bits."""


class WeakAlgorithm(Exception):  # noqa: N818
    """An algorithm that is too weak, or none that counts here. Its text says which; never leaves this room."""


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
            case ed25519.Ed25519PublicKey() if self.oid == OID.ED25519:
                key.verify(signature, data)
            case ed448.Ed448PublicKey() if self.oid == OID.ED448:
                key.verify(signature, data)
            case _:
                raise InvalidSignature


def read_scheme(oid: x509.ObjectIdentifier, algorithm: asn1.TLV, *, allow_sha1: bool) -> Scheme:
    """Read how a response was signed.

    Args:
        oid: The algorithm.
        algorithm: The whole AlgorithmIdentifier, for the parameters of PSS.
        allow_sha1: Whether SHA-1 counts.

    Raises:
        WeakAlgorithm: it does not count, or can't be read.
    """
    if oid == OID.RSASSA_PSS:
        return _read_pss(algorithm, allow_sha1=allow_sha1)
    if oid in EDDSA:
        return Scheme(oid, None, None)
    digest = RSA.get(oid) or ECDSA.get(oid)
    _check_hash(digest, f"algorithm {oid.dotted_string}", allow_sha1=allow_sha1)
    return Scheme(oid, digest, padding.PKCS1v15() if oid in RSA else None)


def check_certificate_algorithm(certificate: x509.Certificate, *, allow_sha1: bool) -> None:
    """Hold a delegated signer's certificate to the rule for responses.

    Raises:
        WeakAlgorithm: it is signed with an algorithm that does not count.
    """
    oid = certificate.signature_algorithm_oid
    if oid in EDDSA:
        return
    if oid != OID.RSASSA_PSS and oid not in RSA and oid not in ECDSA:
        raise WeakAlgorithm(f"algorithm {oid.dotted_string}")
    try:
        digest = certificate.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError) as error:
        raise WeakAlgorithm(f"algorithm {oid.dotted_string}") from error
    named = next((known for known in HASH_OIDS.values() if digest is not None and known.name == digest.name), None)
    _check_hash(named, f"algorithm {oid.dotted_string}", allow_sha1=allow_sha1)


def _read_pss(algorithm: asn1.TLV, *, allow_sha1: bool) -> Scheme:
    try:
        parameters = algorithm.parse(PSSAlgorithm).parameters
    except ValueError as error:
        raise WeakAlgorithm("RSASSA-PSS with parameters that can't be read") from error
    # RFC 4055 §3.1: absent fields mean SHA-1, MGF1 with SHA-1, a salt of 20 bytes.
    if parameters is None:
        digest = mask = SHA1
        salt = 20
    else:
        digest, mask, salt = _pss_fields(parameters)
    _check_hash(digest, "RSASSA-PSS with an unknown hash", allow_sha1=allow_sha1)
    _check_hash(mask, "RSASSA-PSS with an unknown mask", allow_sha1=allow_sha1)
    return Scheme(OID.RSASSA_PSS, digest, padding.PSS(padding.MGF1(mask), salt))


def _pss_fields(
    parameters: PSSParameters,
) -> tuple[hashes.HashAlgorithm | None, hashes.HashAlgorithm | None, int]:
    mask = parameters.mask_algorithm
    if (mask is not None and mask.oid != MGF1) or parameters.trailer != 1:
        raise WeakAlgorithm("RSASSA-PSS with a mask other than MGF1 or another trailer")
    if not 0 <= parameters.salt_length <= MAX_SALT:
        raise WeakAlgorithm(f"RSASSA-PSS with a salt of {parameters.salt_length} bytes")
    return (
        _hash(parameters.hash_algorithm),
        _hash(None if mask is None else mask.hash_algorithm),
        parameters.salt_length,
    )


def _hash(algorithm: HashAlgorithm | None) -> hashes.HashAlgorithm | None:
    return SHA1 if algorithm is None else HASH_OIDS.get(algorithm.oid)


def _check_hash(digest: hashes.HashAlgorithm | None, unknown: str, *, allow_sha1: bool) -> None:
    if digest is None:
        raise WeakAlgorithm(unknown)
    if digest is SHA1 and not allow_sha1:
        raise WeakAlgorithm("SHA-1")
