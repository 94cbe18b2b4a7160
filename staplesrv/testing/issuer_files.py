"""The files that caIssuers URLs point to: the CA's certificate as DER, PEM and PKCS#7, or something else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from staplesrv.testing.answers import GARBAGE, HUGE
from staplesrv.testing.authority import CertificateAuthority
from staplesrv.testing.behaviour import Behaviour
from staplesrv.testing.leaf import pem

_NAME: Final = re.compile(rb"issuer(?:-([2-9]))?\.(der|pem|p7c)")


@dataclass(frozen=True, slots=True)
class IssuerFile:
    """A file with a certificate.

    Args:
        content: The bytes.
        content_type: The media type.
    """

    content: bytes
    content_type: str


def issuer_file(name: bytes, authorities: Sequence[CertificateAuthority], behaviour: Behaviour) -> IssuerFile | None:
    """Make the file of a name.

    Args:
        name: `issuer.der`, `issuer.pem` or `issuer.p7c` for the first CA, `issuer-2.der` for the second one and so on.
        authorities: The CAs.
        behaviour: Those about signers put another CA's certificate in the place of the right one, those about bytes
            change these; others leave the file as it should be.

    Returns:
        The file; None where there is none of that name.
    """
    matched = _NAME.fullmatch(name)
    number = int(matched[1] or 1) if matched else 0
    if matched is None or number > len(authorities):
        return None
    file = _encoded(_certificate(authorities[number - 1], behaviour), matched[2])
    match behaviour:
        case Behaviour.GARBAGE:
            return IssuerFile(GARBAGE, "text/html")
        case Behaviour.EMPTY:
            return replace(file, content=b"")
        case Behaviour.HUGE:
            return replace(file, content=file.content + bytes(HUGE))
        case Behaviour.TRAILING_BYTES:
            return replace(file, content=file.content + b"\x00")
    return file


def _certificate(authority: CertificateAuthority, behaviour: Behaviour) -> x509.Certificate:
    match behaviour:
        case Behaviour.FOREIGN_SIGNER:
            return CertificateAuthority("foreign CA", now=authority.now).certificate
        case Behaviour.IMPOSTOR:
            return CertificateAuthority(authority.name, now=authority.now).certificate
    return authority.certificate


def _encoded(certificate: x509.Certificate, form: bytes) -> IssuerFile:
    match form:
        case b"pem":
            return IssuerFile(pem(certificate), "application/x-pem-file")
        case b"p7c":
            return IssuerFile(pkcs7.serialize_certificates([certificate], Encoding.DER), "application/pkcs7-mime")
    return IssuerFile(certificate.public_bytes(Encoding.DER), "application/pkix-cert")
