"""What is done for one certificate: look into the store, ask the responder, keep the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import CancelledError, Deferred

from staplesrv.ocsp.response import ResponseRejected, Revoked, Staple, VerifiedResponse
from staplesrv.staples.asking.fetched import Conditional, Fetched
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.issuer import find_target, issuer_key, read_certificates
from staplesrv.staples.keeping.announcer import Announcer
from staplesrv.staples.keeping.case import Case, Phase
from staplesrv.staples.keeping.delivery import Delivery
from staplesrv.staples.keeping.judge import Judge
from staplesrv.staples.keeping.timing import Timing
from staplesrv.staples.stores.guarded import GuardedStore

OUTRUN_POLL = timedelta(seconds=1)
"""How often the store is looked at while another process fetches."""

OUTRUN_PATIENCE = timedelta(seconds=60)
"""So long another process may take while a staple is held: a little more than one attempt."""

OUTRUN_PATIENCE_EMPTY = timedelta(seconds=5)
"""The same with nothing to serve: two questions are better than a handshake without a staple."""


class Fetches(Protocol):
    """`attempt.Fetcher`, or a stand-in for it."""

    async def fetch(
        self, assignment: Assignment, *, held: VerifiedResponse | None = None, conditional: Conditional | None = None
    ) -> Fetched:
        """See `attempt.Fetcher.fetch`."""


class Errands:
    """Does what takes time; one at a time per certificate, whoever calls sees to that.

    Args:
        store: Where responses outlive this process.
        fetcher: Asks responders.
        judge: Verifies what comes out of the store.
        timing: When to ask again.
        delivery: Where outcomes go.
        announcer: Tells the operator.
    """

    def __init__(
        self,
        *,
        store: GuardedStore,
        fetcher: Fetches,
        judge: Judge,
        timing: Timing,
        delivery: Delivery,
        announcer: Announcer,
    ) -> None:
        self._store = store
        self._fetcher = fetcher
        self._judge = judge
        self._timing = timing
        self._delivery = delivery
        self._announcer = announcer

    async def load(self, cases: Sequence[Case]) -> Mapping[bytes, bytes]:
        """Ask the store for all that it has about many certificates; nobody has verified it."""
        keys = [case.assignment.fingerprint for case in cases]
        keys += [issuer_key(case.assignment.fingerprint) for case in cases if _lacks_issuer(case)]
        return await self._store.load_many(keys)

    def loaded(self, case: Case, found: Mapping[bytes, bytes]) -> None:
        """Take what the store had, for a start."""
        if _lacks_issuer(case):
            self._recall_issuer(case, found.get(issuer_key(case.assignment.fingerprint), b""))
        response, response_der = None, found.get(case.assignment.fingerprint)
        if response_der is not None and not case.unwanted:
            try:
                response = self._judged(case, response_der)
            except ResponseRejected as rejected:
                self._announcer.left_aside(case, str(rejected))
        now = self._delivery.now()
        case.loaded(response, now, self._timing)
        if case.held(now) is not None or case.verdict is not None:
            case.settle()

    async def ask(self, case: Case) -> None:
        """Get a new answer: from a process that was faster, or from the responder."""
        lease = await self._store.lease(case.assignment.fingerprint)
        try:
            if await self._take_stored(case) or (lease is None and self._lets_other_finish(case)):
                return
            await self._fetch(case)
            await self.keep(case)
        finally:
            if lease is not None:
                await self._store.release(lease)

    async def keep(self, case: Case) -> None:
        """Bring the store up to date."""
        await self._keep_issuer(case)
        key, response = case.assignment.fingerprint, case.unsaved
        if response is None:
            if case.unwanted:
                await self._store.remove(key)
            return
        saved = await self._store.save(key, response.response_der, expires=response.expires)
        if saved and case.unsaved is response:
            case.unsaved = None
        elif not saved and isinstance(response, Revoked):
            # A full disk can still be deleted from: no restart may find the staple from before.
            await self._store.remove(key)

    async def _keep_issuer(self, case: Case) -> None:
        # Without it the stored response could not be verified after a restart with the CA out of reach.
        issuer, assignment = case.unsaved_issuer, case.assignment
        if issuer is None:
            return
        key, der = issuer_key(assignment.fingerprint), issuer.public_bytes(Encoding.DER)
        if await self._store.save(key, der, expires=assignment.not_after):
            case.unsaved_issuer = None

    def _recall_issuer(self, case: Case, content: bytes) -> None:
        for issuer in read_certificates(content):
            if find_target(case.assignment.leaf, [issuer]) is not None:
                self._delivery.recognise(case, issuer)

    async def _fetch(self, case: Case) -> None:
        if case.called_off:
            self._cancelled(case)
            return
        now = self._delivery.now()
        held = case.held(now)
        conditional = case.conditional if held is not None else None
        fetch = self._fetcher.fetch(case.assignment, held=held or case.verdict, conditional=conditional)
        case.under_way = Deferred.fromCoroutine(fetch)
        try:
            fetched = await case.under_way
        except FetchFailed as failure:
            self._delivery.failed(case, failure)
        except CancelledError:
            self._cancelled(case)
        else:
            self._delivery.answered(case, fetched)
        finally:
            case.under_way = None

    def _cancelled(self, case: Case) -> None:
        if case.called_off:
            now = self._delivery.now()
            case.set_due(now, now)
        else:
            self._delivery.failed(case, FetchFailed(FailureKind.NETWORK, "the attempt was cancelled"))

    async def _take_stored(self, case: Case) -> bool:
        if case.unwanted or case.phase is Phase.GONE:
            return False
        response_der = await self._store.load(case.assignment.fingerprint)
        held, verdict = case.entry.held, case.verdict
        known = held.response_der if held is not None else verdict.response_der if verdict is not None else None
        if response_der is None or response_der == known:
            return False
        try:
            response = self._judged(case, response_der)
        except ResponseRejected:
            return False
        if response is None or not case.supersedes(response, self._delivery.now()):
            return False
        self._delivery.answered(case, Fetched(response, url=""))
        case.unsaved = None
        return True

    def _judged(self, case: Case, response_der: bytes) -> Staple | Revoked | None:
        target = case.assignment.target
        if target is None:
            return None
        response = self._judge.stored(response_der, target, self._delivery.now())
        return response if isinstance(response, Staple | Revoked) else None

    def _lets_other_finish(self, case: Case) -> bool:
        now = self._delivery.now()
        if case.outrun_since is None:
            case.outrun_since = now.timestamp()
        patience = OUTRUN_PATIENCE_EMPTY if case.held(now) is None else OUTRUN_PATIENCE
        # A clock that was set back makes no wait longer.
        waited = now.timestamp() - case.outrun_since
        if not 0 <= waited < patience.total_seconds():
            return False
        case.set_due(now + OUTRUN_POLL, now)
        return True


def _lacks_issuer(case: Case) -> bool:
    return case.assignment.target is None and bool(case.assignment.issuer_urls)
