"""The ASN.1 of an OCSP response (RFC 6960 §4.2.1), for encoding only.

The builder in `cryptography` makes sound answers about one certificate. What a stapler must refuse is mostly what that
builder does not offer, so the structures are spelled out here with `cryptography.hazmat.asn1`: once more than in
`ocsp.asn1`, so that a slip in what judges a response is not repeated in what makes one.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat import asn1

NULL: Final = b"\x05\x00"


def raw(der: bytes) -> asn1.TLV:
    """Take one DER element as it is, to stand in a structure."""
    return asn1.decode_der(asn1.TLV, der)


def enumerated(value: int) -> asn1.TLV:
    """Encode an ENUMERATED from 0 to 127, which the declarative types don't have."""
    return raw(bytes((0x0A, 1, value)))


@asn1.sequence
class _Algorithm:
    oid: x509.ObjectIdentifier


@asn1.sequence
class _AlgorithmWith:
    oid: x509.ObjectIdentifier
    parameters: asn1.TLV


def algorithm(oid: str, parameters: bytes | None = None) -> asn1.TLV:
    """Encode an AlgorithmIdentifier.

    Args:
        oid: The dotted object identifier.
        parameters: The DER of the parameters; None leaves them out.
    """
    identifier = x509.ObjectIdentifier(oid)
    if parameters is None:
        return raw(asn1.encode_der(_Algorithm(oid=identifier)))
    return raw(asn1.encode_der(_AlgorithmWith(oid=identifier, parameters=raw(parameters))))


@asn1.sequence
class PssParameters:
    """RSASSA-PSS-params, RFC 4055 §3.1."""

    digest: Annotated[asn1.TLV, asn1.Explicit(0)]
    mask: Annotated[asn1.TLV, asn1.Explicit(1)]
    salt_length: Annotated[int, asn1.Explicit(2)]


@asn1.sequence
class PublicKeyInfo:
    """SubjectPublicKeyInfo, RFC 5280 §4.1: its bits, without tag and length, are what a CertID hashes."""

    algorithm: asn1.TLV
    bits: asn1.BitString


@asn1.sequence
class Extension:
    """Extension, RFC 5280 §4.1."""

    oid: x509.ObjectIdentifier
    critical: Annotated[bool, asn1.Default(False)]
    value: bytes


@asn1.sequence
class CertID:
    """CertID, RFC 6960 §4.1.1."""

    hash_algorithm: asn1.TLV
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int


@asn1.sequence
class RevokedInfo:
    """RevokedInfo without a reason."""

    revocation_time: asn1.GeneralizedTime


@asn1.sequence
class RevokedInfoWithReason:
    """RevokedInfo with a reason, a CRLReason."""

    revocation_time: asn1.GeneralizedTime
    reason: Annotated[asn1.TLV, asn1.Explicit(0)]


CertStatus: TypeAlias = (
    Annotated[asn1.Variant[asn1.Null, Literal["good"]], asn1.Implicit(0)]
    | Annotated[asn1.Variant[RevokedInfo, Literal["revoked"]], asn1.Implicit(1)]
    | Annotated[asn1.Variant[RevokedInfoWithReason, Literal["reasoned"]], asn1.Implicit(1)]
    | Annotated[asn1.Variant[asn1.Null, Literal["unknown"]], asn1.Implicit(2)]
)


@asn1.sequence
class SingleResponse:
    """SingleResponse, RFC 6960 §4.2.1."""

    cert_id: CertID
    status: CertStatus
    this_update: asn1.GeneralizedTime
    next_update: Annotated[asn1.GeneralizedTime | None, asn1.Explicit(0)]
    extensions: Annotated[list[Extension] | None, asn1.Explicit(1)]


ResponderID: TypeAlias = (
    Annotated[asn1.Variant[asn1.TLV, Literal["name"]], asn1.Explicit(1)]
    | Annotated[asn1.Variant[bytes, Literal["key"]], asn1.Explicit(2)]
)


@asn1.sequence
class ResponseData:
    """ResponseData, RFC 6960 §4.2.1: what is signed."""

    responder_id: ResponderID
    produced_at: asn1.GeneralizedTime
    responses: list[SingleResponse]
    extensions: Annotated[list[Extension] | None, asn1.Explicit(1)]


@asn1.sequence
class BasicOCSPResponse:
    """BasicOCSPResponse, RFC 6960 §4.2.1."""

    data: asn1.TLV
    signature_algorithm: asn1.TLV
    signature: asn1.BitString
    certificates: Annotated[list[x509.Certificate] | None, asn1.Explicit(0)]


@asn1.sequence
class ResponseBytes:
    """ResponseBytes, RFC 6960 §4.2.1."""

    kind: x509.ObjectIdentifier
    response: bytes


@asn1.sequence
class OCSPResponse:
    """OCSPResponse, RFC 6960 §4.2.1; without bytes where the status is an error."""

    status: asn1.TLV
    response: Annotated[ResponseBytes | None, asn1.Explicit(0)]
