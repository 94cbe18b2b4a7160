"""A certificate as one checked value: leaf, chain, key, and what the leaf says about names and staples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID, NameOID

from staplesrv.errors import OperatorError
from staplesrv.staples.issuer import shared
from staplesrv.tls import chain as chains
from staplesrv.tls.extensions import UnreadableExtensions, extensions
from staplesrv.tls.pem import PrivateKey, parse_certificates, parse_private_key

Extensions = Mapping[x509.ObjectIdentifier, x509.ExtensionType]


@dataclass(frozen=True, slots=True, eq=False)
class CertificateBundle:
    """A leaf with everything that goes with it. `parse_bundle` makes it and checks it.

    Args:
        leaf: The certificate that handshakes show.
        chain: The certificates sent after the leaf, its issuer first; empty where the file had the leaf alone.
        private_key: The leaf's key.
        issuers: More candidates for the issuer, for asking about the leaf; they are not sent.
        names: What the leaf is for: DNS names in lower case (A-labels, wildcards as they stand) and IP addresses.
        responder_urls: Its OCSP URLs in order, of any scheme.
        issuer_urls: Its caIssuers URLs in order, of any scheme.
        must_staple: TLS feature 5, status_request (RFC 7633).
        must_staple_v2: TLS feature 17, status_request_v2, which nobody can meet: OpenSSL has no such extension.
        fingerprint: SHA-256 of the leaf's DER.
    """

    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    private_key: PrivateKey
    issuers: tuple[x509.Certificate, ...]
    names: tuple[str, ...]
    responder_urls: tuple[str, ...]
    issuer_urls: tuple[str, ...]
    must_staple: bool
    must_staple_v2: bool
    fingerprint: bytes

    @property
    def pem(self) -> bytes:
        """The leaf and its chain as PEM, leaf first."""
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in (self.leaf, *self.chain))

    def with_issuer(self, issuer: x509.Certificate) -> CertificateBundle:
        """Return the same bundle with a chain of its issuer alone; one that has a chain stays as it is."""
        return self if self.chain else replace(self, chain=(shared(issuer),))


def fingerprint(certificate: x509.Certificate) -> bytes:
    """Return the SHA-256 of a certificate's DER, the key under which its staple is kept."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()


def parse_bundle(
    certificate: tuple[str, bytes],
    private_key: tuple[str, bytes],
    issuer: tuple[str, bytes] | None = None,
    passphrase: bytes | None = None,
) -> CertificateBundle:
    """Make a bundle of a certificate, its key and perhaps its issuer, each given as its file's name and PEM text.

    Args:
        certificate: The leaf, then its chain; the root may be there or not.
        private_key: The leaf's key; the same file may hold both.
        issuer: The issuer's certificate, for chains that lack it.
        passphrase: For an encrypted key.

    Raises:
        OperatorError: a text holds nothing of use, or doesn't fit the others. An expired leaf is no error.
    """
    leaf, *rest = parse_certificates(*certificate)
    key = parse_private_key(*private_key, passphrase)
    if not _fits(leaf, key):
        raise _unfit(certificate[0], private_key[0], (leaf, *rest), key)
    chains.check_order(certificate[0], (leaf, *rest))
    extra = () if issuer is None else parse_certificates(*issuer)
    if issuer is not None and not any(chains.issued(candidate, leaf) for candidate in extra):
        problem = f"no certificate in it issued {chains.name(leaf)}; that was {chains.readable(leaf.issuer)}"
        raise OperatorError(issuer[0], problem, "name the file of the CA that issued it")
    return _bundle(certificate[0], leaf, rest, key, extra)


def _bundle(
    where: str,
    leaf: x509.Certificate,
    rest: Sequence[x509.Certificate],
    key: PrivateKey,
    extra: Sequence[x509.Certificate],
) -> CertificateBundle:
    found = _extensions(where, leaf)
    features = _features(found)
    return CertificateBundle(
        leaf=leaf,
        # Issuers are shared: ten thousand leaves have a handful of them, at 7 KiB each.
        chain=tuple(shared(certificate) for certificate in rest),
        private_key=key,
        issuers=tuple(shared(certificate) for certificate in extra),
        names=_names(leaf, found),
        responder_urls=_urls(found, AuthorityInformationAccessOID.OCSP),
        issuer_urls=_urls(found, AuthorityInformationAccessOID.CA_ISSUERS),
        must_staple=x509.TLSFeatureType.status_request in features,
        must_staple_v2=x509.TLSFeatureType.status_request_v2 in features,
        fingerprint=fingerprint(leaf),
    )


def _extensions(where: str, leaf: x509.Certificate) -> Extensions:
    try:
        return extensions(leaf)
    except UnreadableExtensions as error:
        problem = f"the extensions of {chains.name(leaf)} can't be read: {error}"
        raise OperatorError(where, problem, "have the certificate issued again") from error


def _features(found: Extensions) -> Sequence[x509.TLSFeatureType]:
    features = found.get(ExtensionOID.TLS_FEATURE)
    return list(features) if isinstance(features, x509.TLSFeature) else ()


def _names(leaf: x509.Certificate, found: Extensions) -> tuple[str, ...]:
    alternative = found.get(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    if not isinstance(alternative, x509.SubjectAlternativeName):
        # RFC 6125 §6.4.4: the common name counts only where there is no alternative name at all.
        common = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return tuple(str(name.value).lower() for name in common)
    dns = [name.lower() for name in alternative.get_values_for_type(x509.DNSName)]
    addresses = [str(address) for address in alternative.get_values_for_type(x509.IPAddress)]
    return tuple(dict.fromkeys(dns + addresses))


def _urls(found: Extensions, method: x509.ObjectIdentifier) -> tuple[str, ...]:
    access = found.get(ExtensionOID.AUTHORITY_INFORMATION_ACCESS)
    if not isinstance(access, x509.AuthorityInformationAccess):
        return ()
    return tuple(
        description.access_location.value
        for description in access
        if description.access_method == method
        and isinstance(description.access_location, x509.UniformResourceIdentifier)
    )


def _fits(certificate: x509.Certificate, key: PrivateKey) -> bool:
    try:
        return certificate.public_key() == key.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def _unfit(where: str, key_file: str, certificates: Sequence[x509.Certificate], key: PrivateKey) -> OperatorError:
    leaf = chains.name(certificates[0])
    fitting = next((number for number, one in enumerate(certificates, 1) if _fits(one, key)), None)
    if fitting is not None:
        problem = (
            f"the leaf is not first: certificate 1 is {leaf}, "
            f"the key in {key_file} fits certificate {fitting}, {chains.name(certificates[fitting - 1])}"
        )
        return OperatorError(where, problem, "put the leaf first, then each certificate after the one it issued")
    problem = f"the private key does not fit the certificate in {where}, {leaf}"
    return OperatorError(key_file, problem, "name the key that the certificate was requested with")
