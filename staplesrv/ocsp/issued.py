"""Whether a certificate was issued and signed by another one."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509.oid import SignatureAlgorithmOID

from staplesrv.ocsp.hashing import SHA1
from staplesrv.ocsp.signature import Scheme, WeakAlgorithm, check_hash, plain_scheme
from staplesrv.ocsp.text import UNREADABLE


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` issued and signed a certificate; SHA-1 counts here. Dates and extensions are not looked at."""
    # cryptography refuses every certificate over SHA-1. Private CAs have them still, and a leaf is what it is: whether
    # SHA-1 may vouch for a response is the caller's question.
    if _hash_name(certificate) == SHA1.name:
        return _is_issued_with_sha1(certificate, issuer)
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def check_algorithm(certificate: x509.Certificate, *, allow_sha1: bool) -> None:
    """Hold the signature on a certificate to the rules for responses.

    Raises:
        WeakAlgorithm: its algorithm does not count, or can't be read.
    """
    check_hash(_scheme(certificate).digest, allow_sha1=allow_sha1)


def _scheme(certificate: x509.Certificate) -> Scheme:
    oid = certificate.signature_algorithm_oid
    if oid != SignatureAlgorithmOID.RSASSA_PSS:
        return plain_scheme(oid)
    try:
        parameters, digest = certificate.signature_algorithm_parameters, certificate.signature_hash_algorithm
    except UNREADABLE as error:
        raise WeakAlgorithm("RSASSA-PSS with parameters that can't be read") from error
    return Scheme(oid, digest, parameters if isinstance(parameters, padding.PSS) else None)


def _hash_name(certificate: x509.Certificate) -> str | None:
    try:
        digest = certificate.signature_hash_algorithm
    except UNREADABLE:
        return None
    return None if digest is None else digest.name


def _is_issued_with_sha1(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        scheme = _scheme(certificate)
        named = certificate.issuer.public_bytes() == issuer.subject.public_bytes()
        key = issuer.public_key()
    except (WeakAlgorithm, *UNREADABLE):
        return False
    return named and scheme.fits(key, certificate.signature, certificate.tbs_certificate_bytes)
