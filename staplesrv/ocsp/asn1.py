"""The ASN.1 that cryptography reads but does not show (RFC 6960 §4, RFC 5280 §4.1, RFC 4055 §3.1).

`cryptography.x509` parses responses and certificates. It has no attribute for the parameters of a response's
signature, for the extensions of any single response but the first, and for a name as it stands in the DER. These
shapes, decoded by `cryptography.hazmat.asn1`, fill those gaps. An element that nothing here looks into is a `TLV`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat import asn1

ENUMERATED: Final = b"\x0a"
"""The tag of the response status, a type that the declarative parser does not know."""

BASIC_RESPONSE: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.1")
"""id-pkix-ocsp-basic, RFC 6960 §4.2.1."""

NONCE: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.2")
"""id-pkix-ocsp-nonce, RFC 9654 §2.1."""


@asn1.sequence
class Extension:
    """Extension, RFC 5280 §4.1."""

    oid: x509.ObjectIdentifier
    critical: Annotated[bool, asn1.Default(False)]
    value: bytes


@asn1.sequence
class HashAlgorithm:
    """AlgorithmIdentifier of a hash: parameters are NULL or absent (RFC 4055 §2.1)."""

    oid: x509.ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class CertID:
    """CertID, RFC 6960 §4.1.1."""

    hash_algorithm: HashAlgorithm
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int


@asn1.sequence
class SingleRequest:
    """Request without extensions of its own, RFC 6960 §4.1.1."""

    cert_id: CertID


@asn1.sequence
class RequestData:
    """TBSRequest, RFC 6960 §4.1.1; the requestor's name is left out."""

    requests: list[SingleRequest]
    extensions: Annotated[list[Extension] | None, asn1.Explicit(2)]


@asn1.sequence
class Request:
    """OCSPRequest without a signature, RFC 6960 §4.1.1."""

    data: RequestData


@asn1.sequence
class SingleResponse:
    """SingleResponse, RFC 6960 §4.2.1: here for its extensions."""

    cert_id: asn1.TLV
    status: asn1.TLV
    this_update: asn1.TLV
    next_update: Annotated[asn1.GeneralizedTime | None, asn1.Explicit(0)]
    extensions: Annotated[list[Extension] | None, asn1.Explicit(1)]


ResponderID: TypeAlias = (
    Annotated[asn1.Variant[asn1.TLV, Literal["name"]], asn1.Explicit(1)]
    | Annotated[asn1.Variant[bytes, Literal["key"]], asn1.Explicit(2)]
)
"""ResponderID, RFC 6960 §4.2.1: a name, or the SHA-1 of the key."""


@asn1.sequence
class ResponseData:
    """ResponseData, RFC 6960 §4.2.1: what is signed."""

    version: Annotated[int, asn1.Default(0), asn1.Explicit(0)]
    responder_id: ResponderID
    produced_at: asn1.TLV
    responses: list[SingleResponse]
    extensions: Annotated[list[Extension] | None, asn1.Explicit(1)]


@asn1.sequence
class BasicResponse:
    """BasicOCSPResponse, RFC 6960 §4.2.1."""

    data: ResponseData
    signature_algorithm: asn1.TLV
    signature: asn1.BitString
    certificates: Annotated[list[asn1.TLV] | None, asn1.Explicit(0)]


@asn1.sequence
class ResponseBytes:
    """ResponseBytes, RFC 6960 §4.2.1."""

    kind: x509.ObjectIdentifier
    response: bytes


@asn1.sequence
class Response:
    """OCSPResponse, RFC 6960 §4.2.1."""

    status: asn1.TLV
    response: Annotated[ResponseBytes | None, asn1.Explicit(0)]


@asn1.sequence
class MaskAlgorithm:
    """MaskGenAlgorithm, RFC 4055 §2.2: MGF1 under a hash."""

    oid: x509.ObjectIdentifier
    hash_algorithm: HashAlgorithm


@asn1.sequence
class PSSParameters:
    """RSASSA-PSS-params, RFC 4055 §3.1; what is absent has its default there: SHA-1, MGF1 with SHA-1, 20 bytes, 1."""

    hash_algorithm: Annotated[HashAlgorithm | None, asn1.Explicit(0)]
    mask_algorithm: Annotated[MaskAlgorithm | None, asn1.Explicit(1)]
    salt_length: Annotated[int, asn1.Default(20), asn1.Explicit(2)]
    trailer: Annotated[int, asn1.Default(1), asn1.Explicit(3)]


@asn1.sequence
class PSSAlgorithm:
    """AlgorithmIdentifier of an RSASSA-PSS signature."""

    oid: x509.ObjectIdentifier
    parameters: PSSParameters | None


@asn1.sequence
class PublicKeyInfo:
    """SubjectPublicKeyInfo, RFC 5280 §4.1: the hash of its bits is what a CertID names."""

    algorithm: asn1.TLV
    bits: asn1.BitString


@asn1.sequence
class TBSCertificate:
    """TBSCertificate, RFC 5280 §4.1: here for the names in their own DER."""

    version: Annotated[int, asn1.Default(0), asn1.Explicit(0)]
    serial_number: int
    signature: asn1.TLV
    issuer: asn1.TLV
    validity: asn1.TLV
    subject: asn1.TLV
    public_key: PublicKeyInfo
    issuer_unique_id: Annotated[asn1.BitString | None, asn1.Implicit(1)]
    subject_unique_id: Annotated[asn1.BitString | None, asn1.Implicit(2)]
    extensions: Annotated[list[asn1.TLV] | None, asn1.Explicit(3)]
