"""A site's files, read and checked: the part of loading that may run in a thread."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from staplesrv.errors import OperatorError
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.settings import Settings
from staplesrv.tls.certificate import CertificateBundle, parse_bundle
from staplesrv.tls.client_policy import ClientPolicy, parse_policy
from staplesrv.tls.pem import PrivateKey, read
from staplesrv.tls.site import SiteCertificate


@dataclass(frozen=True, slots=True, eq=False)
class LoadedSite:
    """What a site's files say. `load_site` makes it.

    Args:
        certificate: What was loaded.
        digest: SHA-256 over the files' contents; equal for unchanged files.
        bundles: The certificates, one per kind of key.
        assignments: What keeping them stapled needs, in the same order.
        client: Whose certificates clients are asked for; None where they are not asked.
    """

    certificate: SiteCertificate
    digest: bytes
    bundles: tuple[CertificateBundle, ...]
    assignments: tuple[Assignment, ...]
    client: ClientPolicy | None = None


def load_site(certificate: SiteCertificate, settings: Settings, *, known: LoadedSite | None = None) -> LoadedSite:
    """Read a site's files.

    Args:
        certificate: The site.
        settings: For the overrides of responders.
        known: What was loaded before; the same object comes back where nothing changed.

    Raises:
        OperatorError: a file can't be used, or two certificates have the same kind of key.
    """
    contents = {path: read(path) for path in certificate.files}
    digest = _digest(contents.values())
    if known is not None and known.certificate == certificate and known.digest == digest:
        return known
    bundles = tuple(_bundle(certificate, contents, number) for number in range(len(certificate.certificate)))
    _check_kinds(certificate, bundles)
    assignments = tuple(_assignment(certificate, bundle, number, settings) for number, bundle in enumerate(bundles))
    return LoadedSite(certificate, digest, bundles, assignments, _client_policy(certificate, contents))


def kind(key: PrivateKey) -> str:
    """Name the kind of a key; a context holds one certificate of each."""
    if isinstance(key, rsa.RSAPrivateKey):
        return "RSA"
    return "ECDSA" if isinstance(key, ec.EllipticCurvePrivateKey) else type(key).__name__.removesuffix("PrivateKey")


def _digest(contents: Iterable[bytes]) -> bytes:
    whole = hashlib.sha256()
    for content in contents:
        whole.update(hashlib.sha256(content).digest())
    return whole.digest()


def _bundle(certificate: SiteCertificate, contents: dict[Path, bytes], number: int) -> CertificateBundle:
    def text(path: Path) -> tuple[str, bytes]:
        return str(path), contents[path]

    issuer = None if certificate.issuer is None else text(certificate.issuer)
    return parse_bundle(text(certificate.certificate[number]), text(certificate.private_key[number]), issuer)


def _client_policy(certificate: SiteCertificate, contents: dict[Path, bytes]) -> ClientPolicy | None:
    if certificate.client_auth == "off":
        return None
    files = [(str(path), contents[path]) for path in certificate.client_ca]
    return parse_policy(files, required=certificate.client_auth == "require")


def _check_kinds(certificate: SiteCertificate, bundles: Sequence[CertificateBundle]) -> None:
    seen: dict[str, int] = {}
    for number, bundle in enumerate(bundles):
        first = seen.setdefault(kind(bundle.private_key), number)
        if first != number:
            problem = f"has an {kind(bundle.private_key)} key, as {certificate.certificate[first]} of the same site has"
            raise OperatorError(
                str(certificate.certificate[number]), problem, "name one certificate per kind of key, or make two sites"
            )


def _assignment(certificate: SiteCertificate, bundle: CertificateBundle, number: int, settings: Settings) -> Assignment:
    staple_file = certificate.staple_file[number] if certificate.staple_file else None
    return Assignment.for_leaf(
        bundle.leaf,
        (*bundle.chain, *bundle.issuers),
        responder=certificate.responder,
        staple_file=staple_file,
        settings=settings,
    )
