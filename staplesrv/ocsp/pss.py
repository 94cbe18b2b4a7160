"""The parameters of an RSASSA-PSS signature (RFC 4055 §3.1): cryptography shows a certificate's, not a response's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from staplesrv.ocsp.asn1 import HashAlgorithm, PSSAlgorithm
from staplesrv.ocsp.hashing import HASH_OIDS, HASHES, SHA1

DIGESTS: Final = {HASH_OIDS[name]: algorithm for name, algorithm in HASHES.items()}
MGF1: Final = x509.ObjectIdentifier("1.2.840.113549.1.1.8")
TRAILER: Final = 1
DEFAULT_SALT: Final = 20
MAX_SALT: Final = 2048
"""Bytes: more fits into no key up to 16384 bits."""


class UnreadableParameters(Exception):
    """Parameters that mean nothing to us; its text says what is odd about them. It never leaves this room."""


@dataclass(frozen=True, slots=True)
class PSS:
    """How an RSASSA-PSS signature was made.

    Args:
        digest: The hash of the message.
        mask: The hash of MGF1.
        salt_length: Bytes of salt.
    """

    digest: hashes.HashAlgorithm
    mask: hashes.HashAlgorithm
    salt_length: int

    @property
    def padding(self) -> padding.PSS:
        """The same for cryptography."""
        return padding.PSS(padding.MGF1(self.mask), self.salt_length)


def read_pss(algorithm: asn1.TLV) -> PSS:
    """Read the parameters of RSASSA-PSS.

    Args:
        algorithm: The whole AlgorithmIdentifier.

    Raises:
        UnreadableParameters: they can't be read, or mean nothing to us.
    """
    try:
        parameters = algorithm.parse(PSSAlgorithm).parameters
    except (ValueError, OverflowError) as error:
        raise UnreadableParameters("parameters that can't be read") from error
    # RFC 4055 §3.1: what is absent has a default, and so has the whole.
    if parameters is None:
        return PSS(SHA1, SHA1, DEFAULT_SALT)
    mask = parameters.mask_algorithm
    if mask is not None and mask.oid != MGF1:
        raise UnreadableParameters("a mask that is not MGF1")
    if parameters.trailer != TRAILER:
        raise UnreadableParameters("an unknown trailer")
    if not 0 <= parameters.salt_length <= MAX_SALT:
        raise UnreadableParameters("an impossible length of salt")
    mask_hash = None if mask is None else mask.hash_algorithm
    return PSS(_hash(parameters.hash_algorithm), _hash(mask_hash), parameters.salt_length)


def _hash(algorithm: HashAlgorithm | None) -> hashes.HashAlgorithm:
    if algorithm is None:
        return SHA1
    if algorithm.oid not in DIGESTS:
        raise UnreadableParameters(f"hash {algorithm.oid.dotted_string}")
    return DIGESTS[algorithm.oid]
