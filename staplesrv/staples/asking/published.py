"""Issuers' certificates that no chain file holds: fetched from where the leaf says its CA publishes them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from cryptography import x509

from staplesrv.ocsp.certid import Target
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.failure import FailureKind, FetchFailed, most_telling
from staplesrv.staples.issuer import find_target, shared
from staplesrv.staples.responder import ResponderClient

MAX_URLS = 3
"""URLs that are tried in one attempt."""

REMEMBERED = 256
"""Issuers kept, one for each URL. A server has certificates of a handful."""


class PublishedIssuers:
    """Finds issuers by the leaf's caIssuers URLs, and remembers them.

    Args:
        client: The way to the CA's server.
    """

    def __init__(self, client: ResponderClient) -> None:
        self._client = client
        self._known: OrderedDict[str, x509.Certificate] = OrderedDict()

    async def find(self, assignment: Assignment) -> Target:
        """Find the certificate that issued and signed the leaf.

        Raises:
            FetchFailed: `no-issuer`, whatever the reason.
        """
        urls = assignment.issuer_urls[:MAX_URLS]
        remembered = find_target(assignment.leaf, (self._known[url] for url in urls if url in self._known))
        if remembered is not None:
            return remembered
        if not urls:
            raise FetchFailed(
                FailureKind.NO_ISSUER, "not in the chain file, and the certificate does not say where to fetch it"
            )
        failures: list[FetchFailed] = []
        for url in urls:
            try:
                return await self._fetch(assignment.leaf, url)
            except FetchFailed as failure:
                failures.append(failure)
        worst = most_telling(failures)
        raise FetchFailed(
            FailureKind.NO_ISSUER, f"{worst.kind}: {worst.detail}", url=worst.url, retry_after=worst.retry_after
        )

    async def _fetch(self, leaf: x509.Certificate, url: str) -> Target:
        target = find_target(leaf, await self._client.fetch_certificates(url))
        if target is None:
            raise FetchFailed(FailureKind.VERIFY_FAILED, "what is published there did not issue the leaf", url=url)
        issuer = self._known[url] = shared(target.issuer)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return replace(target, issuer=issuer)
