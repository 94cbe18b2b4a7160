"""The service that keeps certificates and staples together, and hands out contexts that show them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from OpenSSL import SSL
from twisted.application.service import MultiService
from twisted.internet.interfaces import IOpenSSLContextFactory, IOpenSSLServerConnectionCreator
from zope.interface import implementer

from staplesrv import sources
from staplesrv.staples.settings import Settings
from staplesrv.tls.site import SiteCertificate


class Stapler(MultiService):
    """Keeps a fresh staple for every certificate of some sites. (Interface first; the body follows.)

    Args:
        sites: The first one is the default for unknown names and for clients that send none.
        settings: The `[staples]` table.
        state_dir: Where staples survive restarts; None keeps them in memory.
        reactor: The reactor; the global one by default, imported when it is needed.
        preset: Mozilla's name for a set of protocol versions and ciphers.
        wall_clock: Seconds since the epoch.
        uniform: Chance, for jitter.
    """

    def __init__(
        self,
        sites: Sequence[SiteCertificate],
        *,
        settings: Settings | None = None,
        state_dir: Path | None = None,
        reactor: Any = None,
        preset: Literal["modern", "intermediate"] = "intermediate",
        wall_clock: sources.WallClock = sources.wall_clock,
        uniform: sources.Uniform = sources.uniform,
    ) -> None:
        raise NotImplementedError

    def load(self) -> None:
        """Read and check every file now; nothing is fetched. Called by `startService` where it wasn't before.

        Raises:
            OperatorError: a file can't be used, or two sites have one name.
        """
        raise NotImplementedError

    async def ready(self) -> None:
        """Wait for the first staples: `start_wait` at most, 30 s for must-staple certificates. Then self-check."""
        raise NotImplementedError

    async def reload(self, sites: Sequence[SiteCertificate] | None = None) -> Reloaded:
        """Read the files again, perhaps for other sites, and swap each changed certificate together with its staple.

        Never raises `OperatorError`: what can't be read keeps what was there before, and is among the failures.
        """
        raise NotImplementedError

    def context_factory(self, protocols: Sequence[bytes] = ()) -> ContextFactory:
        """Return a context factory for `listenSSL`, `SSL4ServerEndpoint` and `startTLS`.

        Args:
            protocols: ALPN names, the preferred one first. Left out, the wrapped factory is asked (Twisted's
                `IProtocolNegotiationFactory`), as Twisted's own context factories do.
        """
        raise NotImplementedError


class Reloaded:
    """What a reload did: `.swapped` names of sites, `.failures` a tuple of `OperatorError`."""


@implementer(IOpenSSLServerConnectionCreator, IOpenSSLContextFactory)
class ContextFactory:
    """Makes server connections that staple."""

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Make the server side of one connection."""
        raise NotImplementedError

    def getContext(self) -> SSL.Context:
        """Return the context to make connections of, for old callers."""
        raise NotImplementedError
