"""All that is said to one responder about one certificate in one attempt: GET, then POST, then the other CertID hash.

Responders differ in what they understand. Some sit behind a cache that takes no POST, or behind a firewall that takes
no GET; most look certificates up under SHA-1 alone, new ones under SHA-256 alone, and say "unauthorized" to the other.
"""

from __future__ import annotations

from typing import Final

from staplesrv import sources
from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.request import encode_request, get_url
from staplesrv.ocsp.response import RejectReason, ResponseRejected, VerifiedResponse, verify_response
from staplesrv.sources import RandomBytes, WallClock
from staplesrv.staples.asking.fetched import Conditional, Fetched
from staplesrv.staples.asking.url import WebURL
from staplesrv.staples.failure import FailureKind, FetchFailed, most_telling
from staplesrv.staples.responder import Answer, Method, ResponderClient
from staplesrv.staples.settings import AUTO, Settings

NONCE_LENGTH = 32
"""Bytes, as RFC 9654 §2.1 recommends."""

_HASHES: Final = ("sha1", "sha256")
_ERROR_STATUSES: Final = range(400, 600)
_ASKED_TO_WAIT: Final = frozenset({429, 503})

_KINDS: Final = {
    RejectReason.MALFORMED: FailureKind.BAD_RESPONSE,
    RejectReason.TOO_LARGE: FailureKind.BAD_RESPONSE,
    RejectReason.NOT_BASIC: FailureKind.BAD_RESPONSE,
    RejectReason.TRY_LATER: FailureKind.TRY_LATER,
    RejectReason.INTERNAL_ERROR: FailureKind.TRY_LATER,
    RejectReason.MALFORMED_REQUEST: FailureKind.MALFORMED_REQUEST,
    RejectReason.SIG_REQUIRED: FailureKind.REFUSED,
    RejectReason.UNAUTHORIZED: FailureKind.UNAUTHORIZED,
    RejectReason.FUTURE: FailureKind.FUTURE,
    RejectReason.STALE: FailureKind.STALE,
}


class Dialogue:
    """Asks one responder at a time, in the ways it may understand, and verifies what comes back.

    Args:
        client: The way to the responder.
        settings: For CertID hash, nonce and the rules of verification.
        wall_clock: What responses' times are compared with.
        random_bytes: For nonces.
    """

    def __init__(
        self, client: ResponderClient, settings: Settings, wall_clock: WallClock, random_bytes: RandomBytes
    ) -> None:
        self._client = client
        self._settings = settings
        self._wall_clock = wall_clock
        self._random_bytes = random_bytes
        self._understood: dict[str, str] = {}

    async def consult(self, url: str, target: Target, *, young: bool, conditional: Conditional | None) -> Fetched:
        """Ask one responder about one certificate.

        Args:
            url: The responder's, as in an assignment.
            target: The certificate and its issuer.
            young: The certificate is so new that "unauthorized" means "not yet".
            conditional: What came with the answer held; None where nothing is held.

        Raises:
            FetchFailed: no verified answer came; of several failures the most telling one.
        """
        failures: list[FetchFailed] = []
        host = WebURL.parse(url).host
        for hash_name in self._hash_names(host):
            try:
                fetched = await self._ask_under(hash_name, url, target, conditional)
            except FetchFailed as failure:
                failures.append(failure)
                if not _another_hash_may_help(failure, young=young):
                    break
            else:
                self._understood[host] = hash_name
                return fetched
        raise most_telling(failures)

    def _hash_names(self, host: str) -> tuple[str, ...]:
        if self._settings.certid != AUTO:
            return (self._settings.certid,)
        first = self._understood.get(host, _HASHES[0])
        return (first, *(name for name in _HASHES if name != first))

    async def _ask_under(self, hash_name: str, url: str, target: Target, conditional: Conditional | None) -> Fetched:
        nonce = self._random_bytes(NONCE_LENGTH) if self._settings.nonce else None
        request_der = encode_request(target.cert_id(hash_name), nonce)
        asked = get_url(url, request_der)
        methods: tuple[Method, ...] = ("POST",) if asked is None else ("GET", "POST")
        # A validator says something about the very URL it came from, and about no other.
        known = conditional if conditional is not None and conditional.url == asked else None
        failures: list[FetchFailed] = []
        for method in methods:
            try:
                answer = await self._ask(url, request_der, method, known)
                return self._judge(answer, url, target, nonce, known)
            except FetchFailed as failure:
                failures.append(failure)
                if not _post_may_help(failure):
                    break
        raise most_telling(failures)

    async def _ask(self, url: str, request_der: bytes, method: Method, known: Conditional | None) -> Answer:
        if method == "POST" or known is None:
            return await self._client.ask(url, request_der, method=method)
        return await self._client.ask(url, request_der, etag=known.etag, last_modified=known.last_modified)

    def _judge(
        self, answer: Answer, url: str, target: Target, nonce: bytes | None, known: Conditional | None
    ) -> Fetched:
        if answer.body is None:
            # A 304 need not repeat the validators: those that it answers to are still good.
            return Fetched(None, url, _validators(answer) or known, answer.max_age)
        return Fetched(self._verify(answer.body, url, target, nonce), url, _validators(answer), answer.max_age)

    def _verify(self, body: bytes, url: str, target: Target, nonce: bytes | None) -> VerifiedResponse:
        now = sources.utc(self._wall_clock())
        try:
            return verify_response(body, target, now=now, rules=self._settings.rules, nonce=nonce)
        except ResponseRejected as rejected:
            # Whatever is not listed is about the signature, the signer or the certificate that was meant.
            kind = _KINDS.get(rejected.reason, FailureKind.VERIFY_FAILED)
            raise FetchFailed(kind, f"{rejected.reason}: {rejected.detail}", url=url) from rejected


def _validators(answer: Answer) -> Conditional | None:
    if answer.etag is None and answer.last_modified is None:
        return None
    return Conditional(answer.url, answer.etag, answer.last_modified)


def _post_may_help(failure: FetchFailed) -> bool:
    if failure.status is not None:
        return failure.status in _ERROR_STATUSES and failure.status not in _ASKED_TO_WAIT
    return failure.kind == FailureKind.MALFORMED_REQUEST


def _another_hash_may_help(failure: FetchFailed, *, young: bool) -> bool:
    if failure.kind == FailureKind.UNAUTHORIZED:
        return not young
    return failure.kind == FailureKind.MALFORMED_REQUEST
