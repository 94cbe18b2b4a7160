"""The hashes that OCSP names certificates and makes signatures with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

SHA1: Final[hashes.HashAlgorithm] = hashes.SHA1()  # noqa: S303 - in a CertID it is a name and secures nothing; elsewhere it is asked for by option
SHA256: Final[hashes.HashAlgorithm] = hashes.SHA256()
SHA384: Final[hashes.HashAlgorithm] = hashes.SHA384()
SHA512: Final[hashes.HashAlgorithm] = hashes.SHA512()

HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = MappingProxyType(
    {algorithm.name: algorithm for algorithm in (SHA1, SHA256, SHA384, SHA512)}
)
"""By name: "sha1", "sha256", "sha384", "sha512"."""

HASH_OIDS: Final[Mapping[str, x509.ObjectIdentifier]] = MappingProxyType(
    {
        "sha1": x509.ObjectIdentifier("1.3.14.3.2.26"),
        "sha256": x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1"),
        "sha384": x509.ObjectIdentifier("2.16.840.1.101.3.4.2.2"),
        "sha512": x509.ObjectIdentifier("2.16.840.1.101.3.4.2.3"),
    }
)
"""Their names in an AlgorithmIdentifier (RFC 4055 §2.1)."""


def digest(data: bytes, hash_name: str) -> bytes:
    """Hash bytes.

    Args:
        data: The bytes.
        hash_name: A key of `HASHES`.
    """
    context = hashes.Hash(HASHES[hash_name])
    context.update(data)
    return context.finalize()
