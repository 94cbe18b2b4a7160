"""Whether a certificate may sign responses in its issuer's place (RFC 6960 §4.2.2.2)."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from staplesrv.ocsp.issued import check_algorithm, is_issued_by
from staplesrv.ocsp.rejection import RejectReason, ResponseRejected
from staplesrv.ocsp.signature import WeakAlgorithm
from staplesrv.ocsp.text import UNREADABLE, moment, name_text

_E = TypeVar("_E", bound=x509.ExtensionType)


def check_delegation(signer: x509.Certificate, issuer: x509.Certificate, *, allow_sha1: bool) -> None:
    """Check that a certificate may sign for an issuer; its dates are not looked at.

    Args:
        signer: The certificate, from inside the response.
        issuer: Who issued the certificate that was asked about.
        allow_sha1: Whether SHA-1 counts in the signer's own certificate.

    Raises:
        ResponseRejected: it may not.
    """
    # RFC 6960 §4.2.2.2: "issued directly by the CA that is identified in the request". Cheapest for a hostile
    # response, and nothing else of a certificate is read before its issuer has vouched for it.
    if not is_issued_by(signer, issuer):
        raise _refused(signer, f"is not issued and signed by {name_text(issuer)}")
    try:
        check_algorithm(signer, allow_sha1=allow_sha1)
    except WeakAlgorithm as weak:
        detail = f"the certificate of {name_text(signer)} is signed with {weak}"
        raise ResponseRejected(RejectReason.WEAK_SIGNATURE, detail) from weak
    _check_usage(signer)


def check_dates(signer: x509.Certificate, now: datetime) -> None:
    """Check that a signer's certificate is within its dates.

    Raises:
        ResponseRejected: it is not.
    """
    start, end = signer.not_valid_before_utc, signer.not_valid_after_utc
    if start <= now <= end:
        return
    detail = f"{name_text(signer)} is valid from {moment(start)} to {moment(end)}"
    raise ResponseRejected(RejectReason.SIGNER_EXPIRED, detail)


def _check_usage(signer: x509.Certificate) -> None:
    try:
        extensions = signer.extensions
    except UNREADABLE as error:
        raise _refused(signer, "has extensions that can't be read") from error
    # RFC 6960 §4.2.2.2: id-kp-OCSPSigning itself; anyExtendedKeyUsage does not stand in for it.
    usage = _extension(extensions, x509.ExtendedKeyUsage)
    if usage is None or ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
        raise _refused(signer, "has no extended key usage OCSPSigning")
    # RFC 5280 §4.2.1.3: digitalSignature is for signatures on what is neither certificate nor CRL.
    key_usage = _extension(extensions, x509.KeyUsage)
    if key_usage is not None and not key_usage.digital_signature:
        raise _refused(signer, "has a key usage without digitalSignature")
    # RFC 5280 §4.2: with a critical extension that is not understood a certificate must not be used.
    for extension in extensions:
        if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            raise _refused(signer, f"has the unknown critical extension {extension.oid.dotted_string}")


def _extension(extensions: x509.Extensions, kind: type[_E]) -> _E | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _refused(signer: x509.Certificate, problem: str) -> ResponseRejected:
    return ResponseRejected(RejectReason.SIGNER_NOT_AUTHORIZED, f"{name_text(signer)} {problem}")
