"""The extensions of a response and of the single responses in it: critical ones, and the nonce."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from cryptography import x509
from cryptography.hazmat import asn1

from staplesrv.ocsp.asn1 import NONCE, BasicResponse, Extension
from staplesrv.ocsp.rejection import RejectReason, ResponseRejected

KNOWN_IN_RESPONSE: Final = frozenset({NONCE})
"""What may be critical in a response."""

KNOWN_IN_SINGLE: Final = frozenset(
    {
        x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.3"),  # CRL references, RFC 6960 §4.4.2
        x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.6"),  # archive cutoff, RFC 6960 §4.4.4
        x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.5"),  # certificate timestamps, RFC 6962 §3.3
        x509.ObjectIdentifier("2.5.29.21"),  # CRL reason, RFC 6960 §4.4.5
        x509.ObjectIdentifier("2.5.29.24"),  # invalidity date, the same
    }
)
"""What may be critical in a single response: none of these changes what its status means."""


def check_critical(basic: BasicResponse, signer: str) -> None:
    """Check that no critical extension is unknown, in the response and in every single response of it.

    Args:
        basic: The response.
        signer: Its signer's name, for the refusal.

    Raises:
        ResponseRejected: one is.
    """
    _check(basic.data.extensions, KNOWN_IN_RESPONSE, signer)
    for single in basic.data.responses:
        _check(single.extensions, KNOWN_IN_SINGLE, signer)


def check_nonce(basic: BasicResponse, nonce: bytes | None, signer: str) -> None:
    """Check that a nonce, where one was asked for and one came, is the one that was asked for.

    Args:
        basic: The response.
        nonce: The nonce of the request; None where there was none, and then none is looked at.
        signer: The signer's name, for the refusal.

    Raises:
        ResponseRejected: it is another one.
    """
    if nonce is None:
        return
    # RFC 9654 §2.1 has an OCTET STRING in the extension, RFC 2560 had the bytes alone. Responders that sign beforehand
    # send none.
    accepted = (asn1.encode_der(nonce), nonce)
    for extension in basic.data.extensions or ():
        if extension.oid == NONCE and extension.value not in accepted:
            raise ResponseRejected(RejectReason.NONCE_MISMATCH, f"{signer} answered another request")


def _check(extensions: list[Extension] | None, known: Collection[x509.ObjectIdentifier], signer: str) -> None:
    for extension in extensions or ():
        # RFC 6960 §4.4 with RFC 5280 §4.2: what is critical and not understood must not be passed over.
        if extension.critical and extension.oid not in known:
            raise ResponseRejected(
                RejectReason.CRITICAL_EXTENSION, f"{extension.oid.dotted_string} in a response of {signer}"
            )
