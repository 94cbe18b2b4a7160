"""One leaf to keep stapled: whom to ask about it, and what its certificate says about stapling."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID
from twisted.logger import Logger

from staplesrv.errors import OperatorError
from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.text import UNREADABLE
from staplesrv.staples.asking.url import BadURL, WebURL
from staplesrv.staples.issuer import find_target, shared
from staplesrv.staples.settings import Settings

SHORT_LIVED = timedelta(days=7)
"""CA/Browser Forum BR 4.9.10: such certificates need no revocation information, and often have none."""

_log = Logger()


@dataclass(frozen=True, slots=True)
class Assignment:
    """One leaf to keep stapled. `for_leaf` builds it.

    Args:
        leaf: The certificate that handshakes show.
        fingerprint: SHA-256 of the leaf's DER.
        chain: Candidates for the issuer, in the order they were given.
        target: The question: the leaf with its issuer out of `chain`; None where no candidate verifies the leaf.
        responder_urls: Whom to ask, in order, after overrides; http and https only.
        issuer_urls: Where the leaf says its issuer's certificate is published; http and https only.
        must_staple: Whether the leaf says that it must not be shown without a staple (RFC 7633, feature 5).
        disabled: The leaf names responders, and the operator said never to ask them.
        staple_file: A file to take the response from, instead of asking.
    """

    leaf: x509.Certificate
    fingerprint: bytes
    chain: tuple[x509.Certificate, ...] = ()
    target: Target | None = None
    responder_urls: tuple[str, ...] = ()
    issuer_urls: tuple[str, ...] = ()
    must_staple: bool = False
    disabled: bool = False
    staple_file: Path | None = None

    @classmethod
    def for_leaf(
        cls,
        leaf: x509.Certificate,
        chain: Iterable[x509.Certificate] = (),
        *,
        responder: str | None = None,
        staple_file: Path | None = None,
        settings: Settings,
    ) -> Assignment:
        """Read from a certificate what keeping it stapled needs.

        Extensions that can't be read count as absent, with a warning in the log.

        Args:
            leaf: The certificate.
            chain: Candidates for its issuer.
            responder: The site's own responder URL, in place of the certificate's; "" means never ask.
            staple_file: The site's own response file.
            settings: For `responders`, the overrides per host.

        Raises:
            OperatorError: `responder` is no http or https URL.
        """
        extensions = _extensions(leaf)
        named = _access_urls(extensions, AuthorityInformationAccessOID.OCSP)
        asked = _overridden(named, settings) if responder is None else _site_responder(responder)
        candidates = tuple(shared(certificate) for certificate in chain)
        return cls(
            leaf=leaf,
            fingerprint=hashlib.sha256(leaf.public_bytes(Encoding.DER)).digest(),
            chain=candidates,
            target=find_target(leaf, candidates),
            responder_urls=asked,
            issuer_urls=tuple(map(str, _access_urls(extensions, AuthorityInformationAccessOID.CA_ISSUERS))),
            must_staple=_must_staple(extensions),
            disabled=not asked and (bool(named) or responder is not None),
            staple_file=staple_file,
        )

    def with_issuer(self, issuer: x509.Certificate) -> Assignment:
        """The same assignment, with one more candidate for the issuer."""
        chain = (*self.chain, shared(issuer))
        return replace(self, chain=chain, target=find_target(self.leaf, chain))

    @property
    def not_before(self) -> datetime:
        """The start of the leaf's validity."""
        return self.leaf.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """The end of the leaf's validity."""
        return self.leaf.not_valid_after_utc

    @property
    def short_lived(self) -> bool:
        """Whether the leaf lives 7 days or less."""
        return self.not_after - self.not_before <= SHORT_LIVED


def _extensions(leaf: x509.Certificate) -> x509.Extensions:
    try:
        return leaf.extensions
    except UNREADABLE as error:
        _log.warn(
            "The extensions of certificate {serial:x} can't be read, so it counts as having none: {problem}",
            serial=leaf.serial_number,
            problem=ascii(str(error)),
        )
        return x509.Extensions([])


def _access_urls(extensions: x509.Extensions, method: x509.ObjectIdentifier) -> tuple[WebURL, ...]:
    try:
        access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return ()
    urls: dict[WebURL, None] = {}
    for description in access:
        location = description.access_location
        if description.access_method != method or not isinstance(location, x509.UniformResourceIdentifier):
            continue
        try:
            urls[WebURL.parse(location.value)] = None
        except BadURL as error:
            # RFC 5280 §4.2.2.1 allows ldap and others here: nothing is wrong, it is just of no use.
            _log.info("A certificate's URL is left out: {problem}", problem=str(error))
    return tuple(urls)


def _overridden(named: Sequence[WebURL], settings: Settings) -> tuple[str, ...]:
    urls = (settings.responders.get(url.host, str(url)) for url in named)
    return tuple(dict.fromkeys(url for url in urls if url))


def _site_responder(responder: str) -> tuple[str, ...]:
    if not responder:
        return ()
    try:
        return (str(WebURL.parse(responder)),)
    except BadURL as error:
        raise OperatorError("responder", str(error), "use an http or https URL") from error


def _must_staple(extensions: x509.Extensions) -> bool:
    try:
        features = extensions.get_extension_for_class(x509.TLSFeature).value
    except x509.ExtensionNotFound:
        return False
    return x509.TLSFeatureType.status_request in features
