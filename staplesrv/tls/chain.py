"""The order of a certificate chain, and what is wrong with it in the operator's words."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID

from staplesrv.errors import OperatorError
from staplesrv.tls.extensions import UnreadableExtensions, extensions

_ORDER = "put the leaf first, then each certificate after the one it issued"


def issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Tell whether `issuer` issued `certificate`, by its name and its key.

    Where both certificates name the key, that is enough to find mistakes in a file, at a tenth of the cost of a
    signature. Whether the signature holds is checked before a responder is asked, and by clients.
    """
    if issuer.subject != certificate.issuer:
        return False
    key, signed_with = _key_identifiers(issuer)[0], _key_identifiers(certificate)[1]
    if key and signed_with:
        return key == signed_with
    try:
        certificate.verify_directly_issued_by(issuer)
    except UnsupportedAlgorithm:
        # Of a kind that can't be checked here; the names fit.
        return True
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def check_order(where: str, certificates: Sequence[x509.Certificate]) -> None:
    """Check that each certificate after the leaf issued one that stands before it.

    RFC 8446 §4.4.2 wants each to certify the one directly before; a second certificate for the same CA (a
    cross-signed one) beside it harms nobody and is common. A root at the end is fine.

    Args:
        where: The file, for the error.
        certificates: Leaf first, as in the file.

    Raises:
        OperatorError: it says which certificate stands where.
    """
    for at in range(1, len(certificates)):
        one, before = certificates[at], certificates[:at]
        if one in before:
            problem = f"certificate {at + 1} ({name(one)}) is there twice, first as number {before.index(one) + 1}"
            raise OperatorError(where, problem, "take one of them out")
        if not any(issued(one, other) for other in before):
            raise _misplaced(where, certificates, at)


def name(certificate: x509.Certificate) -> str:
    """Return the subject for a person to read, or the serial number where there is none."""
    return readable(certificate.subject) or f"serial number {certificate.serial_number:x}"


def readable(distinguished_name: x509.Name) -> str:
    """Return a distinguished name as RFC 4514 text of one printable ASCII line."""
    # Control characters in a name must neither reach the terminal nor split the line.
    return distinguished_name.rfc4514_string().encode("unicode_escape").decode("ascii")


def _key_identifiers(certificate: x509.Certificate) -> tuple[bytes | None, bytes | None]:
    """Return the certificate's own key identifier and its issuer's (RFC 5280 §4.2.1.1 and §4.2.1.2)."""
    try:
        found = extensions(certificate)
    except UnreadableExtensions:
        return None, None
    own = found.get(ExtensionOID.SUBJECT_KEY_IDENTIFIER)
    above = found.get(ExtensionOID.AUTHORITY_KEY_IDENTIFIER)
    return (
        own.digest if isinstance(own, x509.SubjectKeyIdentifier) else None,
        above.key_identifier if isinstance(above, x509.AuthorityKeyIdentifier) else None,
    )


def _misplaced(where: str, certificates: Sequence[x509.Certificate], at: int) -> OperatorError:
    one = certificates[at]
    later = next((i for i in range(at + 1, len(certificates)) if issued(one, certificates[i])), None)
    if later is not None:
        problem = (
            f"the chain is out of order: certificate {at + 1} is {name(one)}, but what it issued, "
            f"{name(certificates[later])}, comes after it as number {later + 1}"
        )
        return OperatorError(where, problem, _ORDER)
    first = certificates[0]
    if issued(first, one):
        problem = f"the leaf is not first: certificate 1 is {name(first)}, which issued number {at + 1}, {name(one)}"
        return OperatorError(where, problem, _ORDER)
    problem = f"certificate {at + 1} ({name(one)}) issued none of those before it; {name(first)} stands first"
    return OperatorError(where, problem, "take it out, or put the right intermediate in its place")
