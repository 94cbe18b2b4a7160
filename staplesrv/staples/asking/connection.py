"""Connections to responders: to all addresses of a name, in bounded time, under guard, and none left behind."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol
from twisted.web.client import URI, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from staplesrv.staples.asking.deadline import within
from staplesrv.staples.asking.guard import Guard, GuardFactory
from staplesrv.staples.failure import FailureKind, FetchFailed

HEADER_ALLOWANCE = 32 * 1024
"""Bytes of a response beyond twice the cap of its body: headers, and what chunked encoding adds."""


class IResponderReactor(IReactorTCP, IReactorTime, IReactorPluggableNameResolver):
    """What asking a responder uses of a reactor."""


@implementer(IAgentEndpointFactory)
class Connections:
    """Makes the endpoints that an agent connects with, and knows every connection that came of them.

    Args:
        reactor: Where connections are made.
        policy: How https servers are verified.
        connect_timeout: For the name look-up and all addresses together.
        max_response: Bytes of a body; the cap for all bytes of a response follows from it.
    """

    def __init__(
        self, reactor: IResponderReactor, policy: IPolicyForHTTPS, connect_timeout: timedelta, max_response: int
    ) -> None:
        self._reactor = reactor
        self._policy = policy
        self._seconds = connect_timeout.total_seconds()
        self._most = 2 * max_response + HEADER_ALLOWANCE
        self._open: set[Guard] = set()

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Make the endpoint for a URL's scheme, host and port."""
        # HostnameEndpoint tries all addresses of the name, IPv6 and IPv4, a little after each other (RFC 8305).
        host = HostnameEndpoint(self._reactor, uri.host.decode("ascii"), uri.port, timeout=self._seconds)
        if uri.scheme != b"https":
            return GuardedEndpoint(self, host, tls=False)
        return GuardedEndpoint(self, wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), host), tls=True)

    async def connect(self, endpoint: IStreamClientEndpoint, factory: IProtocolFactory, *, tls: bool) -> IProtocol:
        """Connect a protocol, under guard.

        Raises:
            FetchFailed: there was no connection in time.
            ConnectError: and its kin: there was none at all.
        """
        guarded = GuardFactory(factory, self._open, self._most, tls=tls)
        return await within(self._seconds, _connected(endpoint, guarded), self._reactor, self._late)

    async def close(self) -> None:
        """Abort what is open, and wait until it is closed."""
        guards = list(self._open)
        for guard in guards:
            guard.abortConnection()
        await gatherResults([guard.lost for guard in guards])

    def _late(self) -> FetchFailed:
        return FetchFailed(FailureKind.NETWORK, f"no connection within {self._seconds:g} s")


class Pool(HTTPConnectionPool):
    """Keeps connections for the next question.

    A body that is not wanted may turn out to have come already while its connection is being closed. Twisted would take
    that for a connection to keep, and the next question would go into the void.
    """

    def _putConnection(self, key: object, connection: Protocol) -> None:
        if not cast("Guard", connection.transport).disconnecting:
            super()._putConnection(key, connection)  # type: ignore[no-untyped-call]


@implementer(IStreamClientEndpoint)
class GuardedEndpoint:
    """An endpoint whose connections are guarded.

    Args:
        connections: To which they belong.
        endpoint: Where to.
        tls: Whether it is TLS.
    """

    def __init__(self, connections: Connections, endpoint: IStreamClientEndpoint, *, tls: bool) -> None:
        self._connections = connections
        self._endpoint = endpoint
        self._tls = tls

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; fires with the factory's protocol."""
        return Deferred.fromCoroutine(self._connections.connect(self._endpoint, protocolFactory, tls=self._tls))


async def _connected(endpoint: IStreamClientEndpoint, factory: GuardFactory) -> IProtocol:
    guard = cast("Guard", await endpoint.connect(factory))
    return guard.wrappedProtocol
