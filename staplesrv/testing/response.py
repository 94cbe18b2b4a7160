"""Make OCSP responses: sound ones, and every kind that must be refused.

`Single` is what is said about one certificate, `make_response` wraps any number of them and signs, and
`make_error` makes an answer that is an error status alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import OCSPExtensionOID

from staplesrv.ocsp.certid import CertID
from staplesrv.testing import der
from staplesrv.testing.keys import PrivateKey
from staplesrv.testing.signature import HASH_OIDS, HASHES, SignatureKind, sign

Status: TypeAlias = Literal["good", "revoked", "unknown"]
HashName: TypeAlias = Literal["sha1", "sha256", "sha384", "sha512"]
ErrorStatus: TypeAlias = Literal["malformed-request", "internal-error", "try-later", "sig-required", "unauthorized"]

WEEK: Final = timedelta(days=7)
CRITICAL_UNKNOWN: Final = x509.Extension(
    x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"),
    critical=True,
    value=x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), der.NULL),
)
"""A critical extension that nobody knows: a response with it must be refused."""

_BASIC: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.1")
_ERRORS: Final = {
    "malformed-request": 1,
    "internal-error": 2,
    "try-later": 3,
    "sig-required": 5,
    "unauthorized": 6,
}
# RFC 5280 §5.3.1; 7 is not used.
_REASONS: Final = {
    "unspecified": 0,
    "key_compromise": 1,
    "ca_compromise": 2,
    "affiliation_changed": 3,
    "superseded": 4,
    "cessation_of_operation": 5,
    "certificate_hold": 6,
    "remove_from_crl": 8,
    "privilege_withdrawn": 9,
    "aa_compromise": 10,
}


def cert_id_of(serial_number: int, issuer: x509.Certificate, hash_name: str = "sha1") -> CertID:
    """Compute the CertID of a serial number under an issuer."""
    public_key = issuer.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    bits = asn1.decode_der(der.PublicKeyInfo, public_key).bits.as_bytes()
    return CertID(hash_name, _digest(hash_name, issuer.subject.public_bytes()), _digest(hash_name, bits), serial_number)


def _digest(hash_name: str, data: bytes) -> bytes:
    digest = hashes.Hash(HASHES[hash_name])
    digest.update(data)
    return digest.finalize()


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs: a certificate and its key, and nothing says that they may."""

    certificate: x509.Certificate
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class Single:
    """What a response says about one certificate (SingleResponse, RFC 6960 §4.2.1).

    Args:
        cert_id: The certificate meant.
        status: `good`, `revoked` or `unknown`.
        this_update: T, aware; whole seconds are sent.
        next_update: An aware time, or that long after `this_update`, or None to leave it out.
        revoked_at: For `revoked`; one day before `this_update` where None.
        revocation_reason: A name of RFC 5280 §5.3.1 in snake_case, or None to leave it out.
        extensions: Extensions of this single response.
    """

    cert_id: CertID
    status: Status
    this_update: datetime
    next_update: datetime | timedelta | None = WEEK
    revoked_at: datetime | None = None
    revocation_reason: str | None = None
    extensions: Sequence[x509.Extension[x509.ExtensionType]] = ()

    def encode(self) -> der.SingleResponse:
        """Turn it into its ASN.1."""
        next_update = self.next_update
        if isinstance(next_update, timedelta):
            next_update = self.this_update + next_update
        return der.SingleResponse(
            cert_id=der.CertID(
                hash_algorithm=der.algorithm(HASH_OIDS[self.cert_id.hash_name], der.NULL),
                issuer_name_hash=self.cert_id.issuer_name_hash,
                issuer_key_hash=self.cert_id.issuer_key_hash,
                serial_number=self.cert_id.serial_number,
            ),
            status=self._status(),
            this_update=_time(self.this_update),
            next_update=None if next_update is None else _time(next_update),
            extensions=_extensions(self.extensions),
        )

    def _status(self) -> der.CertStatus:
        if self.status != "revoked":
            return asn1.Variant(asn1.Null(), self.status)
        revoked_at = _time(self.revoked_at or self.this_update - timedelta(days=1))
        if self.revocation_reason is None:
            return asn1.Variant(der.RevokedInfo(revocation_time=revoked_at), "revoked")
        reason = der.enumerated(_REASONS[self.revocation_reason])
        return asn1.Variant(der.RevokedInfoWithReason(revocation_time=revoked_at, reason=reason), "reasoned")


def make_response(
    singles: Sequence[Single],
    signer: Signer,
    *,
    produced_at: datetime,
    certificates: Sequence[x509.Certificate] = (),
    responder_id: Literal["name", "key"] = "name",
    responder: x509.Certificate | None = None,
    nonce: bytes | None = None,
    extensions: Sequence[x509.Extension[x509.ExtensionType]] = (),
    signature: SignatureKind = "sha256",
    corrupt_signature: bool = False,
) -> bytes:
    """Make and sign a response; nothing is checked, so that everything can be made.

    Args:
        singles: What it says; none, one or several.
        signer: Who signs.
        produced_at: When it was made, aware.
        certificates: The certificates to send along.
        responder_id: Whether the responder is named by its subject or by the SHA-1 of its key.
        responder: Whom the response names as its responder; the signer where None.
        nonce: The nonce to send back.
        extensions: More extensions of the response.
        signature: The hash, and for RSA keys the padding.
        corrupt_signature: Flip one bit of the signature.

    Returns:
        The response, DER.
    """
    if nonce is not None:
        nonce_extension = x509.Extension(OCSPExtensionOID.NONCE, critical=False, value=x509.OCSPNonce(nonce))
        extensions = (nonce_extension, *extensions)
    data = asn1.encode_der(
        der.ResponseData(
            responder_id=_responder_id(responder or signer.certificate, responder_id),
            produced_at=_time(produced_at),
            responses=[single.encode() for single in singles],
            extensions=_extensions(extensions),
        )
    )
    algorithm, bits = sign(signer.key, data, signature)
    if corrupt_signature:
        bits = bits[:-1] + bytes((bits[-1] ^ 1,))
    basic = der.BasicOCSPResponse(
        data=der.raw(data),
        signature_algorithm=algorithm,
        signature=asn1.BitString(bits, 0),
        certificates=list(certificates) or None,
    )
    return wrap(asn1.encode_der(basic))


def wrap(basic: bytes, kind: x509.ObjectIdentifier = _BASIC) -> bytes:
    """Wrap the DER of a basic response, or of any other kind, into a successful OCSPResponse."""
    response = der.ResponseBytes(kind=kind, response=basic)
    return asn1.encode_der(der.OCSPResponse(status=der.enumerated(0), response=response))


def make_error(status: ErrorStatus) -> bytes:
    """Make an answer that is an error status alone (RFC 6960 §2.3), DER."""
    return asn1.encode_der(der.OCSPResponse(status=der.enumerated(_ERRORS[status]), response=None))


def _responder_id(certificate: x509.Certificate, kind: Literal["name", "key"]) -> der.ResponderID:
    if kind == "name":
        return asn1.Variant(der.raw(certificate.subject.public_bytes()), "name")
    return asn1.Variant(cert_id_of(0, certificate, "sha1").issuer_key_hash, "key")


def _extensions(extensions: Sequence[x509.Extension[x509.ExtensionType]]) -> list[der.Extension] | None:
    encoded = [
        der.Extension(oid=extension.oid, critical=extension.critical, value=extension.value.public_bytes())
        for extension in extensions
    ]
    return encoded or None


def _time(moment: datetime) -> asn1.GeneralizedTime:
    # RFC 6960 §4.2.2.1: GeneralizedTime in UTC, without fractions of a second.
    return asn1.GeneralizedTime(moment.astimezone(UTC).replace(microsecond=0))
