"""Server endpoints that staple: an object around a stapler, and the `staple:` endpoint string."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from staplesrv.errors import OperatorError
from staplesrv.tls.bound_ports import BoundPorts
from staplesrv.tls.connections import Connections
from staplesrv.tls.context_factory import ContextFactory
from staplesrv.tls.limits import Limits
from staplesrv.tls.memory_tls import MemoryTLSFactory
from staplesrv.tls.preset import PresetName
from staplesrv.tls.stapler import Stapler


@implementer(IStreamServerEndpoint)
class StapleServerEndpoint:
    """Listens with TLS once the first staples are there.

    Args:
        reactor: The reactor.
        endpoint: What to listen on: an endpoint description, which is bound first and listens later, or an endpoint,
            which is not touched until then. TLS is straight on the socket for a description alone; an endpoint brings
            a transport of its own, and Twisted's TLS goes on that.
        stapler: Has the certificates.
        protocols: ALPN names; without any the factory's own (`IProtocolNegotiationFactory`).
        preset: Mozilla's name for protocol versions and ciphers; the stapler's where None.
        own_stapler: Whether the stapler starts when this endpoint listens, and stops with its port. Otherwise it is a
            service that somebody else has started.
        limits: What clients may take; the defaults where None.

    Attributes:
        connections: What is open now, and what became of the rest.
    """

    def __init__(
        self,
        reactor: Any,
        endpoint: str | IStreamServerEndpoint,
        stapler: Stapler,
        *,
        protocols: Sequence[bytes] = (),
        preset: PresetName | None = None,
        own_stapler: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._stapler = stapler
        self._protocols = tuple(protocols)
        self._preset = preset
        self._own_stapler = own_stapler
        self._bound: BoundPorts | None = None
        self.connections = Connections(limits or Limits(), reactor)

    def bind(self) -> None:
        """Bind the sockets and read the certificates, which may need privileges; nothing listens yet.

        `listen` does so itself, in the turn in which it is called, where this was not called before.

        Raises:
            OperatorError: a socket can't be bound, or a certificate not be used. Nothing is left bound then.
        """
        self._stapler.load()
        if self._bound is None and isinstance(self._endpoint, str):
            self._bound = BoundPorts.bind(self._reactor, self._endpoint)

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen, once the first staples are there or were waited for long enough.

        Returns:
            A Deferred of the port; of an `OperatorError` where that can't be. Cancelling it closes everything.
        """
        try:
            self.bind()
            if self._own_stapler:
                self._stapler.startService()
        except OperatorError:
            self._close()
            return fail()
        return Deferred.fromCoroutine(self._listen(protocolFactory))

    async def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        context_factory = self._stapler.context_factory(self._protocols, preset=self._preset)
        try:
            await self._stapler.ready()
            port = await self._open(factory, context_factory)
        except BaseException:
            self._close()
            if self._own_stapler:
                await self._stapler.stopService()
            raise
        return _OwningPort(port, self._stapler, self._reactor) if self._own_stapler else port

    async def _open(self, factory: IProtocolFactory, context_factory: ContextFactory) -> IListeningPort:
        bound, self._bound = self._bound, None
        if bound is None:
            assert not isinstance(self._endpoint, str)  # noqa: S101 - bind() saw to it
            wrapped = MemoryTLSFactory(context_factory, factory, self.connections, self._reactor)
            port: IListeningPort = await self._endpoint.listen(wrapped)
            return port
        bound.listen_tls(factory, context_factory, self.connections)
        return bound

    def _close(self) -> None:
        bound, self._bound = self._bound, None
        if bound is not None:
            bound.close()


@implementer(IListeningPort)
class _OwningPort:
    """A port whose stapler stops with it, and with the reactor."""

    def __init__(self, port: IListeningPort, stapler: Stapler, reactor: Any) -> None:
        self._port = port
        self._stapler = stapler
        self._reactor = reactor
        self._trigger = reactor.addSystemEventTrigger("before", "shutdown", self._shutdown)

    def startListening(self) -> None:
        """Start again; see `IListeningPort`."""
        self._port.startListening()

    def getHost(self) -> IAddress:
        """Return the address of the port."""
        return self._port.getHost()

    def stopListening(self) -> Deferred[Any]:
        """Close the port, then stop the stapler; the Deferred fires after both."""
        if self._trigger is not None:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._trigger = None
        return Deferred.fromCoroutine(self._stop())

    def _shutdown(self) -> Deferred[Any]:
        self._trigger = None
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await maybeDeferred(self._port.stopListening)
        if self._stapler.running:
            await self._stapler.stopService()
