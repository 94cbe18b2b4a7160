"""Server endpoints that staple: an object around a stapler, and the `staple:` endpoint string."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from staplesrv.errors import OperatorError
from staplesrv.tls.bound_ports import BoundPorts
from staplesrv.tls.preset import PresetName
from staplesrv.tls.stapler import Stapler


def with_tls(
    factory: IProtocolFactory, context_factory: IOpenSSLServerConnectionCreator, reactor: Any
) -> IProtocolFactory:
    """Put TLS under the protocols of a factory. The one place that decides which transport that is."""
    return TLSMemoryBIOFactory(context_factory, False, factory, reactor)


@implementer(IStreamServerEndpoint)
class StapleServerEndpoint:
    """Listens with TLS once the first staples are there.

    Args:
        reactor: The reactor.
        endpoint: What to listen on: an endpoint description, which is bound first and listens later, or an endpoint,
            which is not touched until then.
        stapler: Has the certificates.
        protocols: ALPN names; without any the factory's own (`IProtocolNegotiationFactory`).
        preset: Mozilla's name for protocol versions and ciphers; the stapler's where None.
        own_stapler: Whether the stapler starts when this endpoint listens, and stops with its port. Otherwise it is a
            service that somebody else has started.
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
    ) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._stapler = stapler
        self._protocols = tuple(protocols)
        self._preset = preset
        self._own_stapler = own_stapler
        self._bound: BoundPorts | None = None

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
            port = await self._open(with_tls(factory, context_factory, self._reactor))
        except BaseException:
            self._close()
            if self._own_stapler:
                await self._stapler.stopService()
            raise
        return _OwningPort(port, self._stapler, self._reactor) if self._own_stapler else port

    async def _open(self, factory: IProtocolFactory) -> IListeningPort:
        bound, self._bound = self._bound, None
        if bound is None:
            assert not isinstance(self._endpoint, str)  # noqa: S101 - bind() saw to it
            port: IListeningPort = await self._endpoint.listen(factory)
            return port
        bound.listen(factory)
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
