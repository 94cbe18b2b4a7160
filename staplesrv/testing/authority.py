"""A certificate authority for tests: leaves, intermediates, OCSP signers, and responses good and bad.

Nothing here reads a clock but `staplesrv.sources`, and that only where `now` was not handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from staplesrv import sources
from staplesrv.ocsp.certid import CertID
from staplesrv.testing import building
from staplesrv.testing.keys import KeyKind, PrivateKey, make_key
from staplesrv.testing.leaf import Leaf, pem
from staplesrv.testing.response import WEEK, HashName, Signer, Single, Status, cert_id_of, make_response
from staplesrv.testing.signature import SignatureKind

Now: TypeAlias = datetime | Callable[[], datetime]
"""An aware datetime, or what tells it."""

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
        self.certificate: Final[x509.Certificate] = building.build(
            building.named(name),
            self.key,
            issuer=parent.certificate.subject if parent else building.named(name),
            issuer_key=parent.key if parent else self.key,
            not_before=not_before or self.now() - timedelta(days=365),
            not_after=not_after or self.now() + timedelta(days=3650),
            serial_number=None,
            extensions=[
                x509.BasicConstraints(ca=True, path_length=None),
                building.key_usage(ca=True),
                *building.access(responder_urls, issuer_urls),
            ],
        )

    @property
    def name(self) -> str:
        """The common name."""
        return str(self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

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
        return pem(self.certificate)

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
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        certificate = self._build(
            common_name or next(iter(names), "leaf"),
            leaf_key,
            start,
            not_after or start + timedelta(days=90),
            serial_number=serial_number,
            extensions=[
                x509.BasicConstraints(ca=False, path_length=None),
                building.key_usage(),
                x509.ExtendedKeyUsage([usage]),
                *building.alternative_names(names),
                *building.access(responder_urls, issuer_urls),
                *building.tls_features(must_staple=must_staple, must_staple_v2=must_staple_v2),
            ],
        )
        return Leaf(certificate, leaf_key, self.chain)

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
        usage = ExtendedKeyUsageOID.OCSP_SIGNING if eku else ExtendedKeyUsageOID.SERVER_AUTH
        extensions = [x509.ExtendedKeyUsage([usage]), x509.OCSPNoCheck()]
        if digital_signature is not None:
            extensions.append(building.key_usage(digital_signature=digital_signature))
        end = not_after or start + timedelta(days=30)
        return Signer(self._build(name, signer_key, start, end, extensions=extensions), signer_key)

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

    def _build(
        self,
        name: str,
        key: PrivateKey,
        not_before: datetime,
        not_after: datetime,
        *,
        serial_number: int | None = None,
        extensions: Sequence[x509.ExtensionType],
    ) -> x509.Certificate:
        return building.build(
            building.named(name),
            key,
            issuer=self.certificate.subject,
            issuer_key=self.key,
            not_before=not_before,
            not_after=not_after,
            serial_number=serial_number,
            extensions=extensions,
        )
