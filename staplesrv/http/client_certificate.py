"""The certificate that a client showed in the handshake, and how applications and backends are told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote_from_bytes

from staplesrv.http.fields import Fields

VERIFIED = "SUCCESS"
NONE = "NONE"
"""Apache's and nginx's words for what became of it. There is no third one: a handshake with a bad one fails."""

_PREFIX = b"x-client-cert"
# RFC 9440 §3.2: whoever sets these or takes them for true removes those of clients.
_STANDARD = frozenset({b"client-cert", b"client-cert-chain"})


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A client's certificate, which the handshake has verified.

    Texts are printable ASCII, whatever is in the certificate, but for the common name.

    Args:
        common_name: The last one, at most 64 characters; empty where there is none.
        subject: RFC 4514; empty where it can't be read.
        issuer: The same of its issuer.
        serial: The serial number, hexadecimal, two upper-case digits for each byte.
        fingerprint: SHA-256 of the DER, in lower-case hexadecimal digits.
        pem: The certificate itself.
    """

    common_name: str
    subject: str
    issuer: str
    serial: str
    fingerprint: str
    pem: bytes


@lru_cache(maxsize=1024)
def claims_one(name: bytes) -> bool:
    """Tell whether a request's field says something of a client's certificate, which is never the client's to say.

    Args:
        name: In lower case.
    """
    # To an application that thinks in CGI's variables an underscore is a hyphen.
    plain = name.replace(b"_", b"-")
    return plain in _STANDARD or plain == _PREFIX or plain.startswith(_PREFIX + b"-")


def without_claims(fields: Fields) -> Fields:
    """Return a request's fields but for those of `claims_one`; as a rule the same ones."""
    if any(claims_one(name) for name, _ in fields):
        return tuple(field for field in fields if not claims_one(field[0]))
    return fields


@lru_cache(maxsize=1024)
def lines(certificate: ClientCertificate | None) -> tuple[bytes, ...]:
    """Return the fields, as lines without their ends, that tell a backend of the client of a site that asks for one.

    Args:
        certificate: None where the client showed none.
    """
    if certificate is None:
        return (b"X-Client-Cert-Verified: " + NONE.encode(),)
    return (
        b"X-Client-Cert-Verified: " + VERIFIED.encode(),
        b"X-Client-Cert-Subject: " + certificate.subject.encode("ascii"),
        b"X-Client-Cert-Issuer: " + certificate.issuer.encode("ascii"),
        b"X-Client-Cert-Serial: " + certificate.serial.encode("ascii"),
        b"X-Client-Cert-Fingerprint: " + certificate.fingerprint.encode("ascii"),
        b"X-Client-Cert: " + quote_from_bytes(certificate.pem, safe="").encode("ascii"),
    )


def variables(certificate: ClientCertificate | None) -> Mapping[str, str]:
    """Return the same as variables of CGI, under the names that Apache gives them.

    Args:
        certificate: None where the client showed none.
    """
    if certificate is None:
        return {"SSL_CLIENT_VERIFY": NONE}
    return {
        "SSL_CLIENT_VERIFY": VERIFIED,
        "SSL_CLIENT_S_DN": certificate.subject,
        "SSL_CLIENT_I_DN": certificate.issuer,
        "SSL_CLIENT_M_SERIAL": certificate.serial,
        "SSL_CLIENT_FINGERPRINT": certificate.fingerprint,
        "SSL_CLIENT_CERT": certificate.pem.decode("ascii"),
    }
