"""What a client's certificate says, read into what the HTTP room is told of it."""

from __future__ import annotations

import hashlib
import re
import warnings
from contextlib import suppress
from ssl import DER_cert_to_PEM_cert

from cryptography import x509
from cryptography.x509.oid import NameOID

from staplesrv.http.client_certificate import ClientCertificate
from staplesrv.ocsp.text import UNREADABLE

_LONGEST_COMMON_NAME = 64  # RFC 5280 appendix A.1
_UNSAFE = re.compile(rb"[^\x20-\x7e]")


def read_certificate(der: bytes) -> ClientCertificate:
    """Read a certificate that a handshake has verified. What can't be read of it is empty.

    Args:
        der: DER. OpenSSL takes more than cryptography does.
    """
    common_name = subject = issuer = serial = ""
    with warnings.catch_warnings():
        # About what breaks the standard; that is the CA's affair.
        warnings.simplefilter("ignore")
        with suppress(*UNREADABLE):
            certificate = x509.load_der_x509_certificate(der)
            serial = _digits(certificate.serial_number)
            issuer = _text(certificate.issuer)
            # The last one: a backend that lets people in by their names has none for what is odd in any other way.
            subject = _text(certificate.subject)
            names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            common_name = str(names[-1].value)[:_LONGEST_COMMON_NAME] if names else ""
    return ClientCertificate(
        common_name, subject, issuer, serial, hashlib.sha256(der).hexdigest(), DER_cert_to_PEM_cert(der).encode("ascii")
    )


def _digits(number: int) -> str:
    digits = f"{number:X}"
    return digits.zfill(len(digits) + len(digits) % 2)


def _text(name: x509.Name) -> str:
    # RFC 4514 §2.4 has a backslash and two digits for any byte, and so no line ever ends in the middle of a name.
    return _UNSAFE.sub(
        lambda match: b"\\%02X" % match[0][0], name.rfc4514_string().encode("utf-8", "surrogatepass")
    ).decode("ascii")
