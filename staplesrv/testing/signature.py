"""Sign a response with any key under any algorithm, weak ones included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from staplesrv.testing.der import NULL, PssParameters, algorithm
from staplesrv.testing.keys import PrivateKey

SignatureKind: TypeAlias = Literal["sha1", "sha256", "sha384", "sha512", "pss", "pss-sha1", "pss-sha384", "pss-sha512"]
"""The hash of a signature; `pss` is RSASSA-PSS with SHA-256, for RSA keys. Edwards keys take no notice."""

HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1(),  # noqa: S303  # CertIDs use it; a signature with it is made to be refused
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
HASH_OIDS: Final[Mapping[str, str]] = {
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
_RSA_OIDS: Final = {"sha1": 5, "sha256": 11, "sha384": 12, "sha512": 13}
_ECDSA_OIDS: Final = {"sha1": "1", "sha256": "3.2", "sha384": "3.3", "sha512": "3.4"}


def sign(key: PrivateKey, data: bytes, kind: SignatureKind = "sha256") -> tuple[asn1.TLV, bytes]:
    """Sign bytes.

    Args:
        key: The signer's private key.
        data: What is signed: the DER of ResponseData.
        kind: The hash, and for RSA keys the padding.

    Returns:
        The AlgorithmIdentifier and the signature.
    """
    if isinstance(key, rsa.RSAPrivateKey):
        if kind.startswith("pss"):
            return _sign_pss(key, data, kind[4:] or "sha256")
        signature = key.sign(data, padding.PKCS1v15(), HASHES[kind])
        return algorithm(f"1.2.840.113549.1.1.{_RSA_OIDS[kind]}", NULL), signature
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return algorithm(f"1.2.840.10045.4.{_ECDSA_OIDS[kind]}"), key.sign(data, ec.ECDSA(HASHES[kind]))
    return algorithm("1.3.101.112" if isinstance(key, ed25519.Ed25519PrivateKey) else "1.3.101.113"), key.sign(data)


def _sign_pss(key: rsa.RSAPrivateKey, data: bytes, hash_name: str) -> tuple[asn1.TLV, bytes]:
    chosen = HASHES[hash_name]
    signature = key.sign(data, padding.PSS(padding.MGF1(chosen), chosen.digest_size), chosen)
    return algorithm("1.2.840.113549.1.1.10", _pss_parameters(hash_name, chosen.digest_size)), signature


def _pss_parameters(hash_name: str, salt_length: int) -> bytes:
    # RFC 4055 §3.1: SHA-1 with 20 bytes of salt is the default of every field, and DER leaves defaults out.
    if hash_name == "sha1":
        return b"\x30\x00"
    digest = algorithm(HASH_OIDS[hash_name], NULL)
    mask = algorithm("1.2.840.113549.1.1.8", asn1.encode_der(digest))
    return asn1.encode_der(PssParameters(digest=digest, mask=mask, salt_length=salt_length))
