"""Who signed a response, and whether they may: the issuer, or whom the issuer made a certificate for it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from staplesrv.ocsp.asn1 import BasicResponse
from staplesrv.ocsp.certid import key_hash
from staplesrv.ocsp.rejection import RejectReason, ResponseRejected
from staplesrv.ocsp.signature import Scheme, WeakAlgorithm, check_certificate_algorithm, read_scheme
from staplesrv.ocsp.text import moment, one_line, subject

UNREADABLE: Final = (
    ValueError,
    TypeError,
    KeyError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises while an attribute of somebody's certificate is read."""


def find_signer(
    response: ocsp.OCSPResponse, basic: BasicResponse, issuer: x509.Certificate, *, now: datetime, allow_sha1: bool
) -> x509.Certificate:
    """Find the certificate that signed a response, and verify the signature.

    Args:
        response: A successful response.
        basic: The same, in our own shape.
        issuer: Who issued the certificate that was asked about.
        now: When it has to be valid.
        allow_sha1: Whether SHA-1 counts.

    Returns:
        The issuer's certificate, or that of a delegated signer.

    Raises:
        ResponseRejected: signer, ResponderID or signature is not in order.
    """
    candidates = [issuer, *(other for other in response.certificates if not _same_entity(other, issuer))]
    named = [candidate for candidate in candidates if _is_named(candidate, response)]
    if not named:
        raise _nobody_named(response, basic, candidates, now=now, allow_sha1=allow_sha1)
    allowed, refusals = _allowed(named, issuer, now=now, allow_sha1=allow_sha1)
    if not allowed:
        raise refusals[0]
    scheme = _scheme(response, basic, allowed[0], allow_sha1=allow_sha1)
    for signer in allowed:
        if _signed(response, scheme, signer):
            return signer
    raise ResponseRejected(RejectReason.BAD_SIGNATURE, f"the signature was not made by {subject(allowed[0])}")


def _nobody_named(
    response: ocsp.OCSPResponse,
    basic: BasicResponse,
    candidates: list[x509.Certificate],
    *,
    now: datetime,
    allow_sha1: bool,
) -> ResponseRejected:
    allowed, _ = _allowed(candidates, candidates[0], now=now, allow_sha1=allow_sha1)
    claimed = _responder_text(response)
    if allowed:
        scheme = _scheme(response, basic, allowed[0], allow_sha1=allow_sha1)
        for signer in allowed:
            if _signed(response, scheme, signer):
                return ResponseRejected(
                    RejectReason.RESPONDER_ID_MISMATCH, f"signed by {subject(signer)}, but says it is by {claimed}"
                )
    return ResponseRejected(
        RejectReason.SIGNER_NOT_AUTHORIZED,
        f"{claimed} is neither the issuer {subject(candidates[0])} nor a certificate in the response",
    )


def _allowed(
    candidates: list[x509.Certificate], issuer: x509.Certificate, *, now: datetime, allow_sha1: bool
) -> tuple[list[x509.Certificate], list[ResponseRejected]]:
    allowed, refusals = [], []
    for candidate in candidates:
        try:
            if candidate is not issuer:
                _check_delegation(candidate, issuer, allow_sha1=allow_sha1)
            _check_dates(candidate, now)
        except ResponseRejected as refusal:
            refusals.append(refusal)
        else:
            allowed.append(candidate)
    return allowed, refusals


def _check_delegation(signer: x509.Certificate, issuer: x509.Certificate, *, allow_sha1: bool) -> None:
    name = subject(signer)
    try:
        # RFC 6960 §4.2.2.2: "issued directly by the CA that is identified in the request".
        signer.verify_directly_issued_by(issuer)
        extensions = signer.extensions
    except InvalidSignature as error:
        raise _not_authorized(f"{name} is not signed by the issuer {subject(issuer)}") from error
    except UNREADABLE as error:
        raise _not_authorized(f"{name} is not issued by {subject(issuer)}, or can't be read") from error
    try:
        check_certificate_algorithm(signer, allow_sha1=allow_sha1)
    except WeakAlgorithm as weak:
        detail = f"the certificate of {name} is signed with {weak}"
        raise ResponseRejected(RejectReason.WEAK_SIGNATURE, detail) from weak
    _check_usage(extensions, name)


def _check_usage(extensions: x509.Extensions, name: str) -> None:
    # RFC 6960 §4.2.2.2: id-kp-OCSPSigning, and not anyExtendedKeyUsage in its place.
    usage = _extension(extensions, x509.ExtendedKeyUsage)
    if usage is None or ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
        raise _not_authorized(f"{name} has no extended key usage OCSPSigning")
    key_usage = _extension(extensions, x509.KeyUsage)
    if key_usage is not None and not key_usage.digital_signature:
        raise _not_authorized(f"{name} has a key usage without digitalSignature")
    # RFC 5280 §4.2: a certificate with a critical extension that is not understood must not be used.
    if any(extension.critical and isinstance(extension.value, x509.UnrecognizedExtension) for extension in extensions):
        raise _not_authorized(f"{name} has an unknown critical extension")


def _extension(extensions, kind):
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _check_dates(signer: x509.Certificate, now: datetime) -> None:
    try:
        start, end = signer.not_valid_before_utc, signer.not_valid_after_utc
    except ValueError as error:
        raise _not_authorized(f"{subject(signer)} has dates that can't be read") from error
    if now > end:
        raise ResponseRejected(RejectReason.SIGNER_EXPIRED, f"{subject(signer)} ended at {moment(end)}")
    if now < start:
        detail = f"{subject(signer)} is not valid before {moment(start)}"
        raise ResponseRejected(RejectReason.SIGNER_EXPIRED, detail)


def _scheme(response: ocsp.OCSPResponse, basic: BasicResponse, signer: x509.Certificate, *, allow_sha1: bool) -> Scheme:
    try:
        return read_scheme(response.signature_algorithm_oid, basic.signature_algorithm, allow_sha1=allow_sha1)
    except WeakAlgorithm as weak:
        detail = f"{subject(signer)} signed with {weak}"
        raise ResponseRejected(RejectReason.WEAK_SIGNATURE, detail) from weak


def _signed(response: ocsp.OCSPResponse, scheme: Scheme, signer: x509.Certificate) -> bool:
    key = _public_key(signer)
    return key is not None and scheme.fits(key, response.signature, response.tbs_response_bytes)


def _same_entity(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    key = _public_key(certificate)
    try:
        return key is not None and certificate.subject == issuer.subject and key == _public_key(issuer)
    except UNREADABLE:
        return False


def _public_key(certificate: x509.Certificate) -> CertificatePublicKeyTypes | None:
    try:
        return certificate.public_key()
    except UNREADABLE:
        return None


def _is_named(certificate: x509.Certificate, response: ocsp.OCSPResponse) -> bool:
    try:
        name = response.responder_name
        if name is not None:
            return certificate.subject == name
        return response.responder_key_hash == key_hash(certificate)
    except UNREADABLE:
        return False


def _responder_text(response: ocsp.OCSPResponse) -> str:
    try:
        name = response.responder_name
    except UNREADABLE:
        return "a responder whose name can't be read"
    if name is not None:
        return one_line(name.rfc4514_string())
    return f"the responder with key hash {(response.responder_key_hash or b'').hex()}"


def _not_authorized(detail: str) -> ResponseRejected:
    return ResponseRejected(RejectReason.SIGNER_NOT_AUTHORIZED, detail)
