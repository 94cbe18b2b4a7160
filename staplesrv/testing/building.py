"""The parts that throw-away certificates are built of."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from staplesrv.testing.keys import PrivateKey


def named(common_name: str) -> x509.Name:
    """A name of a common name alone, cut to the 64 characters that RFC 5280 appendix A allows."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def build(
    subject: x509.Name,
    key: PrivateKey,
    *,
    issuer: x509.Name,
    issuer_key: PrivateKey,
    not_before: datetime,
    not_after: datetime,
    serial_number: int | None,
    extensions: Iterable[x509.ExtensionType],
) -> x509.Certificate:
    """Build and sign a certificate.

    Args:
        subject: Whose it is.
        key: Their key.
        issuer: Who issues it.
        issuer_key: The key to sign with.
        not_before: Start of validity, aware.
        not_after: End of validity, aware.
        serial_number: A random one where None.
        extensions: Besides the key identifiers; basic constraints and key usage become critical.

    Returns:
        The certificate.
    """
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), serial_number or x509.random_serial_number())
    builder = builder.not_valid_before(not_before.astimezone(UTC)).not_valid_after(not_after.astimezone(UTC))
    for extension in (
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
        *extensions,
    ):
        critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage)
        builder = builder.add_extension(extension, critical=critical)
    hashed = isinstance(issuer_key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return builder.sign(issuer_key, hashes.SHA256() if hashed else None)


def key_usage(*, ca: bool = False, digital_signature: bool = True) -> x509.KeyUsage:
    """A CA's key usage, or that of one who signs (or, so that there is something, vouches)."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=not digital_signature,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def alternative_names(names: Sequence[str]) -> list[x509.ExtensionType]:
    """DNS names and IP addresses, as subjectAltName; nothing for none."""
    return [x509.SubjectAlternativeName([_general_name(name) for name in names])] if names else []


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def access(responder_urls: Sequence[str], issuer_urls: Sequence[str]) -> list[x509.ExtensionType]:
    """OCSP and caIssuers URLs, as authority information access; nothing for none."""
    methods = [(AuthorityInformationAccessOID.OCSP, url) for url in responder_urls]
    methods += [(AuthorityInformationAccessOID.CA_ISSUERS, url) for url in issuer_urls]
    descriptions = [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in methods]
    return [x509.AuthorityInformationAccess(descriptions)] if descriptions else []


def tls_features(*, must_staple: bool, must_staple_v2: bool) -> list[x509.ExtensionType]:
    """TLS features 5 and 17 (RFC 7633); nothing for none."""
    features = []
    if must_staple:
        features.append(x509.TLSFeatureType.status_request)
    if must_staple_v2:
        features.append(x509.TLSFeatureType.status_request_v2)
    return [x509.TLSFeature(features)] if features else []
