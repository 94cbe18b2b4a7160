"""A certificate authority for tests: leaves, intermediates, OCSP signers, and responses good and bad.

Nothing here reads a clock but `staplesrv.sources`, and that only where `now` was not handed in.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from staplesrv import sources
from staplesrv.ocsp.certid import CertID
from staplesrv.testing.keys import KeyKind, PrivateKey, make_key
from staplesrv.testing.response import (
    WEEK,
    HashName,
    Signer,
    Single,
    Status,
    cert_id_of,
    make_response,
)
from staplesrv.testing.signature import SignatureKind

Now: TypeAlias = datetime | Callable[[], datetime]
"""An aware datetime, or what tells it."""


class LeafFiles(NamedTuple):
    """Where a leaf was written to."""

    certificate: Path
    private_key: Path


@dataclass(frozen=True, slots=True)
class Leaf:
    """An end-entity certificate with its key and the way up.

    `chain` has the issuer first and ends before the root, except that a root that issued the leaf itself is in it: a
    stapler needs the issuer.
    """

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def issuer(self) -> x509.Certificate:
        """The certificate of the CA that issued it."""
        return self.chain[0]

    @property
    def fingerprint(self) -> bytes:
        """The SHA-256 of the certificate's DER."""
        return hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).digest()

    @property
    def fullchain_pem(self) -> bytes:
        """The leaf and its chain, leaf first."""
        return b"".join(_pem(certificate) for certificate in (self.certificate, *self.chain))

    def key_pem(self, passphrase: bytes | None = None) -> bytes:
        """The private key as PKCS#8 PEM, encrypted if a passphrase is given."""
        return _key_pem(self.key, passphrase)

    def write(self, directory: Path | str, *, prefix: str = "", passphrase: bytes | None = None) -> LeafFiles:
        """Write `fullchain.pem` and `privkey.pem`, each replaced at once.

        Args:
            directory: Where to; it must exist.
            prefix: Stands before both names, to tell several leaves in one directory apart.
            passphrase: Encrypts the key.

        Returns:
            Both paths; the key has mode 0600.
        """
        files = LeafFiles(Path(directory) / f"{prefix}fullchain.pem", Path(directory) / f"{prefix}privkey.pem")
        _replace(files.certificate, self.fullchain_pem, 0o644)
        _replace(files.private_key, self.key_pem(passphrase), 0o600)
        return files


Subject: TypeAlias = Leaf | x509.Certificate | int | CertID
"""What a response is about: a leaf, a certificate, a serial number, or a CertID taken as it is."""


class CertificateAuthority:
    """A CA, root or intermediate, with a key of its own.

    Args:
        name: The common name.
        key: The kind of key, or a key.
        parent: The CA above; None makes a self-signed root.
        now: What time it is, for every default date: an aware datetime or a callable; the wall clock where None.
        not_before: Start of the CA's own validity; a year ago where None.
        not_after: Its end; in ten years where None.
        issuer_urls: caIssuers URLs of an intermediate.
        responder_urls: OCSP URLs of an intermediate.
    """

    def __init__(
        self,
        name: str = "staplesrv test CA",
        *,
        key: KeyKind | PrivateKey = "ec",
        parent: CertificateAuthority | None = None,
        now: Now | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        responder_urls: Sequence[str] = (),
        issuer_urls: Sequence[str] = (),
    ) -> None:
        self._now: Now | None = now if now is not None or parent is None else parent.now
        self.parent = parent
        self.key: Final = make_key(key)
        builder = self._builder(
            _name(name),
            self.key,
            not_before or self.now() - timedelta(days=365),
            not_after or self.now() + timedelta(days=3650),
            issuer=parent,
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(ca=True), critical=True)
        builder = _add_access(builder, responder_urls, issuer_urls)
        self.certificate: Final = builder.sign(*_signing(parent.key if parent else self.key))

    def now(self) -> datetime:
        """What time this CA takes it to be, aware."""
        if self._now is None:
            return sources.utc(sources.wall_clock())
        return self._now if isinstance(self._now, datetime) else self._now()

    @property
    def signer(self) -> Signer:
        """The CA itself as the signer of responses."""
        return Signer(self.certificate, self.key)

    @property
    def pem(self) -> bytes:
        """The CA's certificate, PEM."""
        return _pem(self.certificate)

    @property
    def root(self) -> CertificateAuthority:
        """The CA at the top, which clients trust."""
        return self if self.parent is None else self.parent.root

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """This CA and those above it, this one first, without the root (unless it is this one)."""
        chain = [self.certificate]
        above = self.parent
        while above is not None and above.parent is not None:
            chain.append(above.certificate)
            above = above.parent
        return tuple(chain)

    def intermediate(self, name: str = "staplesrv test intermediate CA", **options: Any) -> CertificateAuthority:
        """Make a CA below this one; the options are those of the constructor."""
        return CertificateAuthority(name, parent=self, **options)

    def issue(
        self,
        *names: str,
        key: KeyKind | PrivateKey = "ec",
        responder_urls: Sequence[str] = (),
        issuer_urls: Sequence[str] = (),
        must_staple: bool = False,
        must_staple_v2: bool = False,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        serial_number: int | None = None,
        common_name: str | None = None,
        client: bool = False,
    ) -> Leaf:
        """Issue a leaf.

        Args:
            names: DNS names (A-labels; wildcards too) and IP addresses, for subjectAltName.
            key: The kind of key, or a key.
            responder_urls: OCSP URLs, in order.
            issuer_urls: caIssuers URLs, in order.
            must_staple: Add TLS feature 5, status_request (RFC 7633).
            must_staple_v2: Add TLS feature 17, status_request_v2.
            not_before: Start of validity, aware; a day ago where None.
            not_after: End of validity, aware; 90 days after `not_before` where None.
            serial_number: A random one where None.
            common_name: The subject; the first name where None, `leaf` without names.
            client: For client authentication instead of a server's.

        Returns:
            The leaf with its key and chain.
        """
        leaf_key = make_key(key)
        start = not_before or self.now() - timedelta(days=1)
        end = not_after or start + timedelta(days=90)
        subject = _name(common_name or next(iter(names), "leaf"))
        builder = self._builder(subject, leaf_key, start, end, issuer=self, serial_number=serial_number)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(ca=False), critical=True)
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = _add_names(builder, names)
        builder = _add_access(builder, responder_urls, issuer_urls)
        builder = _add_features(builder, must_staple=must_staple, must_staple_v2=must_staple_v2)
        return Leaf(builder.sign(*_signing(self.key)), leaf_key, self.chain)

    def delegate(
        self,
        name: str = "staplesrv test OCSP signer",
        *,
        key: KeyKind | PrivateKey = "ec",
        eku: bool = True,
        digital_signature: bool | None = True,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> Signer:
        """Issue a certificate that may sign responses in this CA's place (RFC 6960 §4.2.2.2).

        Args:
            name: The common name.
            key: The kind of key, or a key.
            eku: Whether it has the OCSP-signing extended key usage; without it must be refused.
            digital_signature: What its key usage says of it; None leaves the key usage out.
            not_before: Start of validity, aware; a day ago where None.
            not_after: End of validity, aware; 30 days after `not_before` where None.

        Returns:
            The certificate and its key.
        """
        signer_key = make_key(key)
        start = not_before or self.now() - timedelta(days=1)
        builder = self._builder(_name(name), signer_key, start, not_after or start + timedelta(days=30), issuer=self)
        if digital_signature is not None:
            builder = builder.add_extension(_key_usage(ca=False, digital_signature=digital_signature), critical=True)
        usage = ExtendedKeyUsageOID.OCSP_SIGNING if eku else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
        return Signer(builder.sign(*_signing(self.key)), signer_key)

    def cert_id(self, subject: Subject, hash_name: HashName = "sha1") -> CertID:
        """The CertID of one of this CA's certificates; one that is a CertID already is left as it is."""
        if isinstance(subject, Leaf):
            subject = subject.certificate
        if isinstance(subject, x509.Certificate):
            subject = subject.serial_number
        if isinstance(subject, int):
            return cert_id_of(subject, self.certificate, hash_name)
        return subject

    def single(
        self,
        subject: Subject,
        status: Status = "good",
        *,
        this_update: datetime | None = None,
        next_update: datetime | timedelta | None = WEEK,
        hash_name: HashName = "sha1",
        revoked_at: datetime | None = None,
        revocation_reason: str | None = None,
        extensions: Sequence[x509.Extension[Any]] = (),
    ) -> Single:
        """Say one thing about one certificate; `respond` tells of the arguments."""
        return Single(
            self.cert_id(subject, hash_name),
            status,
            this_update or self.now(),
            next_update,
            revoked_at,
            revocation_reason,
            extensions,
        )

    def respond(
        self,
        subject: Subject,
        status: Status = "good",
        *,
        this_update: datetime | None = None,
        next_update: datetime | timedelta | None = WEEK,
        hash_name: HashName = "sha1",
        revoked_at: datetime | None = None,
        revocation_reason: str | None = None,
        single_extensions: Sequence[x509.Extension[Any]] = (),
        singles: Sequence[Single] | None = None,
        also: Sequence[Single] = (),
        signer: Signer | None = None,
        certificates: Sequence[x509.Certificate] | None = None,
        responder_id: Literal["name", "key"] = "name",
        responder: x509.Certificate | None = None,
        produced_at: datetime | None = None,
        nonce: bytes | None = None,
        extensions: Sequence[x509.Extension[Any]] = (),
        signature: SignatureKind = "sha256",
        corrupt_signature: bool = False,
        trailing: bytes = b"",
    ) -> bytes:
        """Make a response, sound unless an argument makes it otherwise.

        Args:
            subject: The certificate it is about.
            status: `good`, `revoked` or `unknown`.
            this_update: T, aware; now where None.
            next_update: An aware time, or that long after `this_update`, or None to leave it out.
            hash_name: The hash of the CertID.
            revoked_at: For `revoked`; one day before `this_update` where None.
            revocation_reason: A name of RFC 5280 §5.3.1 in snake_case, or None to leave it out.
            single_extensions: Extensions of the single response.
            singles: Takes the place of everything said so far; may be empty.
            also: Further single responses, after the first.
            signer: Who signs; the CA itself where None.
            certificates: The certificates to send along; where None the signer's, unless that is the CA.
            responder_id: Whether the responder is named by its subject or by the SHA-1 of its key.
            responder: Whom the response names as its responder; the signer where None.
            produced_at: producedAt, aware; `this_update` where None.
            nonce: The nonce to send back.
            extensions: Extensions of the response.
            signature: The hash, and for RSA keys the padding.
            corrupt_signature: Flip one bit of the signature.
            trailing: Bytes after the end.

        Returns:
            The response, DER.
        """
        first = self.single(
            subject,
            status,
            this_update=this_update,
            next_update=next_update,
            hash_name=hash_name,
            revoked_at=revoked_at,
            revocation_reason=revocation_reason,
            extensions=single_extensions,
        )
        chosen = signer or self.signer
        if certificates is None:
            certificates = () if chosen.certificate == self.certificate else (chosen.certificate,)
        response = make_response(
            [first, *also] if singles is None else singles,
            chosen,
            produced_at=produced_at or first.this_update,
            certificates=certificates,
            responder_id=responder_id,
            responder=responder,
            nonce=nonce,
            extensions=extensions,
            signature=signature,
            corrupt_signature=corrupt_signature,
        )
        return response + trailing

    def _builder(
        self,
        subject: x509.Name,
        key: PrivateKey,
        not_before: datetime,
        not_after: datetime,
        *,
        issuer: CertificateAuthority | None,
        serial_number: int | None = None,
    ) -> x509.CertificateBuilder:
        authority_key = key if issuer is None else issuer.key
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if issuer is None else issuer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(serial_number or x509.random_serial_number())
            .not_valid_before(not_before.astimezone(UTC))
            .not_valid_after(not_after.astimezone(UTC))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )


def _name(common_name: str) -> x509.Name:
    # RFC 5280 appendix A: a common name has at most 64 characters.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _signing(key: PrivateKey) -> tuple[PrivateKey, hashes.SHA256 | None]:
    return key, hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) else None


def _key_usage(*, ca: bool, digital_signature: bool = True) -> x509.KeyUsage:
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


def _add_names(builder: x509.CertificateBuilder, names: Sequence[str]) -> x509.CertificateBuilder:
    if not names:
        return builder
    return builder.add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _add_access(
    builder: x509.CertificateBuilder, responder_urls: Sequence[str], issuer_urls: Sequence[str]
) -> x509.CertificateBuilder:
    methods = [(AuthorityInformationAccessOID.OCSP, url) for url in responder_urls]
    methods += [(AuthorityInformationAccessOID.CA_ISSUERS, url) for url in issuer_urls]
    if not methods:
        return builder
    access = [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in methods]
    return builder.add_extension(x509.AuthorityInformationAccess(access), critical=False)


def _add_features(
    builder: x509.CertificateBuilder, *, must_staple: bool, must_staple_v2: bool
) -> x509.CertificateBuilder:
    features = []
    if must_staple:
        features.append(x509.TLSFeatureType.status_request)
    if must_staple_v2:
        features.append(x509.TLSFeatureType.status_request_v2)
    return builder.add_extension(x509.TLSFeature(features), critical=False) if features else builder


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: PrivateKey, passphrase: bytes | None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _replace(path: Path, content: bytes, mode: int) -> None:
    # A watch on the files must see the old file or the new one, and a key is never readable for others.
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    temporary.replace(path)
