"""Who signed a response: the issuer, or whom the issuer made a certificate for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509 import ocsp

from staplesrv.ocsp.asn1 import BasicResponse
from staplesrv.ocsp.certid import Entity, issuer_entity
from staplesrv.ocsp.delegation import check_dates, check_delegation
from staplesrv.ocsp.rejection import RejectReason, ResponseRejected
from staplesrv.ocsp.signature import Scheme, WeakAlgorithm, response_scheme
from staplesrv.ocsp.text import UNREADABLE, name_line, name_text


@dataclass(frozen=True, slots=True)
class SignerSearch:
    """Finds the certificate that signed a response, among the issuer's and those that came along.

    Args:
        response: A successful response.
        basic: The same, in our own shape.
        issuer: Who issued the certificate that was asked about.
        now: When the signer has to be valid.
        allow_sha1: Whether SHA-1 counts.
    """

    response: ocsp.OCSPResponse
    basic: BasicResponse
    issuer: x509.Certificate
    now: datetime
    allow_sha1: bool

    def find(self) -> x509.Certificate:
        """Find the signer and verify the signature.

        Returns:
            The issuer's certificate, or that of a delegated signer.

        Raises:
            ResponseRejected: signer, ResponderID or signature is not in order.
        """
        candidates = self._candidates()
        named = [certificate for certificate, entity in candidates if self._is_named(certificate, entity)]
        if not named:
            raise self._nobody_named([certificate for certificate, _ in candidates])
        allowed, refusals = self._allowed(named)
        if not allowed:
            raise refusals[0]
        signer = self._signer(allowed)
        if signer is None:
            raise ResponseRejected(RejectReason.BAD_SIGNATURE, f"it was not made by {name_text(allowed[0])}")
        return signer

    def _candidates(self) -> list[tuple[x509.Certificate, Entity]]:
        issuer = issuer_entity(self.issuer)
        candidates = [(self.issuer, issuer)]
        for certificate in self.response.certificates:
            entity = _entity(certificate)
            # An issuer may be re-issued or cross-signed: with the same name and key it is the same signer, and what
            # counts is the certificate that the operator trusts, not the one that came along.
            if entity is not None and entity != issuer:
                candidates.append((certificate, entity))
        return candidates

    def _is_named(self, certificate: x509.Certificate, entity: Entity) -> bool:
        # RFC 6960 §4.2.2.3: the ResponderID must correspond to the key that signed.
        responder = self.basic.data.responder_id.value
        if isinstance(responder, bytes):
            return responder == entity.key_hash
        return asn1.encode_der(responder) == entity.name or self._is_named_alike(certificate)

    def _is_named_alike(self, certificate: x509.Certificate) -> bool:
        # RFC 5280 §7.1: the same name in other string types is the same name.
        try:
            return certificate.subject == self.response.responder_name
        except UNREADABLE:
            return False

    def _nobody_named(self, candidates: Sequence[x509.Certificate]) -> ResponseRejected:
        # Two things look alike here: a sound signer under a wrong ResponderID, and a stranger who sent no certificate.
        claimed = self._claimed()
        allowed, _ = self._allowed(candidates)
        try:
            signer = self._signer(allowed) if allowed else None
        except ResponseRejected:
            # The algorithm is weak, and whose signature that is nobody can tell.
            signer = None
        if signer is not None:
            detail = f"signed by {name_text(signer)}, and says that it is by {claimed}"
            return ResponseRejected(RejectReason.RESPONDER_ID_MISMATCH, detail)
        detail = f"{claimed} is neither the issuer {name_text(self.issuer)} nor a certificate in the response"
        return ResponseRejected(RejectReason.SIGNER_NOT_AUTHORIZED, detail)

    def _claimed(self) -> str:
        try:
            name = self.response.responder_name
        except UNREADABLE:
            return "a name that can't be read"
        return f"key {(self.response.responder_key_hash or b'').hex()}" if name is None else name_line(name)

    def _allowed(self, candidates: Sequence[x509.Certificate]) -> tuple[list[x509.Certificate], list[ResponseRejected]]:
        allowed, refusals = [], []
        for candidate in candidates:
            try:
                if candidate is not self.issuer:
                    check_delegation(candidate, self.issuer, allow_sha1=self.allow_sha1)
                check_dates(candidate, self.now)
            except ResponseRejected as refusal:
                refusals.append(refusal)
            else:
                allowed.append(candidate)
        return allowed, refusals

    def _signer(self, allowed: Sequence[x509.Certificate]) -> x509.Certificate | None:
        scheme = self._scheme(allowed[0])
        signature, data = self.response.signature, self.response.tbs_response_bytes
        return next((signer for signer in allowed if scheme.fits(_public_key(signer), signature, data)), None)

    def _scheme(self, signer: x509.Certificate) -> Scheme:
        oid, algorithm = self.response.signature_algorithm_oid, self.basic.signature_algorithm
        try:
            return response_scheme(oid, algorithm, allow_sha1=self.allow_sha1)
        except WeakAlgorithm as weak:
            detail = f"{name_text(signer)} signed with {weak}"
            raise ResponseRejected(RejectReason.WEAK_SIGNATURE, detail) from weak


def _entity(certificate: x509.Certificate) -> Entity | None:
    try:
        return Entity.of(certificate)
    except ValueError:
        return None


def _public_key(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except UNREADABLE:
        return None
