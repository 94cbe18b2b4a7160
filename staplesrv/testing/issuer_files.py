"""The files that caIssuers URLs point to: the CA's certificate as DER, PEM and PKCS#7."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from staplesrv.testing.answers import HUGE
from staplesrv.testing.authority import CertificateAuthority
from staplesrv.testing.behaviour import Behaviour


@dataclass(frozen=True, slots=True)
class IssuerFile:
    """A file with certificates.

    Args:
        content: The bytes.
        content_type: The media type.
    """

    content: bytes
    content_type: str

    def behaving(self, behaviour: Behaviour) -> IssuerFile:
        """The file as a behaviour has it: one of those that change bytes, or else as it is."""
        match behaviour:
            case Behaviour.GARBAGE:
                return IssuerFile(b"<html></html>", "text/html")
            case Behaviour.EMPTY:
                return IssuerFile(b"", self.content_type)
            case Behaviour.HUGE:
                return IssuerFile(self.content + bytes(HUGE), self.content_type)
            case Behaviour.TRAILING_BYTES:
                return IssuerFile(self.content + b"\x00", self.content_type)
        return self


def issuer_files(authorities: Sequence[CertificateAuthority]) -> dict[bytes, IssuerFile]:
    """Make the files of some CAs.

    Args:
        authorities: The first one's files are `issuer.der`, `issuer.pem` and `issuer.p7c`, the second one's
            `issuer-2.der` and so on.

    Returns:
        The files by name.
    """
    files = {}
    for number, authority in enumerate(authorities, 1):
        name = b"issuer" if number == 1 else b"issuer-%d" % number
        certificate = authority.certificate
        der = certificate.public_bytes(Encoding.DER)
        bundle = pkcs7.serialize_certificates([certificate], Encoding.DER)
        files[name + b".der"] = IssuerFile(der, "application/pkix-cert")
        files[name + b".pem"] = IssuerFile(authority.pem, "application/x-pem-file")
        files[name + b".p7c"] = IssuerFile(bundle, "application/pkcs7-mime")
    return files
